// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// The program's memory as the image has it, before any of it is loaded. Checksums are not compared here.
struct ImageMemory {
    private let image: Image
    init(_ image: Image) { self.image = image }

    /// nil: not all of it is mapped and readable here. What was never populated reads as zeros.
    func read(_ address: UInt64, byteCount: Int) -> [UInt8]? {
        let (end, overflow) = address.addingReportingOverflow(UInt64(byteCount))
        guard !overflow, isMapped(address, end) else { return nil }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var index = image.runs.firstIndex(endingAbove: address)
        while index < image.runs.count, image.runs[index].address < end {
            let run = image.runs[index]
            index += 1
            if run.kind == .zero { continue }
            if run.kind != .here { return nil }
            let from = max(run.address, address), to = min(run.end, end)
            var piece = [UInt8](repeating: 0, count: Int(to - from))
            let offset = run.fileOffset + (from - run.address)
            let got = ProcessCalls.perform(
                17, [Int64(image.descriptor), 0, Int64(piece.count), Int64(clamping: offset)], bytes: &piece, at: 1)  // pread
            if got != Int64(piece.count) { return nil }
            let start = Int(from - address)
            bytes.replaceSubrange(start..<start + piece.count, with: piece)
        }
        return bytes
    }

    func word(_ address: UInt64) -> UInt64? { read(address, byteCount: 8)?.word64(at: 0) }

    private func isMapped(_ start: UInt64, _ end: UInt64) -> Bool {
        var reached = start
        for mapping in image.mappings where mapping.start <= reached && reached < mapping.end { reached = mapping.end }
        return reached >= end
    }
}

extension [UInt8] {
    func word32(at offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(self[offset + $1]) << UInt32(8 * $1) } }
    func word64(at offset: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(self[offset + $1]) << UInt64(8 * $1) } }
}

extension [PageRun] {
    /// Index of the first run that ends above the address; the runs ascend.
    fileprivate func firstIndex(endingAbove address: UInt64) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
