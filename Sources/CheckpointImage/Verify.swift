// SPDX-License-Identifier: Apache-2.0
import Synchronization

extension Image {
    /// Reads every page run and blob and compares its checksum, with as many threads as help.
    package func verifyPages() throws(ImageError) {
        let pages = runs.filter { $0.kind == .here }
        // Parts small enough to be shared evenly, large enough that the counter costs nothing.
        let next = Atomic<Int>(0)
        let first = Mutex<(index: Int, error: ImageError)?>(nil)
        let partCount = 16
        runOnThreads(pages.count > partCount ? 2 : 1) {
            var reader = ContentReader(self)
            while true {
                let start = next.wrappingAdd(partCount, ordering: .relaxed).oldValue
                guard start < pages.count, first.withLock({ $0.map { $0.index > start } ?? true }) else { return }
                for index in start..<min(start + partCount, pages.count) {
                    do throws(ImageError) {
                        try self.verify(pages[index], through: &reader)
                    } catch {
                        first.withLock { if $0.map({ $0.index > index }) ?? true { $0 = (index, error) } }
                        return
                    }
                }
            }
        }
        if let failure = first.withLock({ $0 }) { throw failure.error }
        var reader = ContentReader(self)
        for (index, blob) in blobs.enumerated() where blob.byteCount > 0 {
            let crc = try reader.crc32c(blob.byteCount, at: blob.fileOffset, what: "blob")
            guard crc == blob.crc else { throw .damaged(what: "the checksum of blob \(index) is wrong", offset: blob.fileOffset) }
        }
    }

    private func verify(_ run: PageRun, through reader: inout ContentReader) throws(ImageError) {
        let crc = try reader.crc32c(run.byteCount, at: run.fileOffset, what: "pages")
        guard crc == run.crc else {
            throw .damaged(what: "the checksum of the pages at \(run.address.hex) is wrong", offset: run.fileOffset)
        }
    }
}
