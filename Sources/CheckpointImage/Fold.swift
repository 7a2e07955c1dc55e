// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// One full image from a chain. It keeps the identifier of the newest one, so what is written later still finds its parent.
package struct Fold {
    /// A run of the new file, and the pieces that it is made of.
    private struct Run {
        var address: UInt64
        var pageCount: UInt32
        var isHere: Bool
        var pieces: Range<Int>
        var fileOffset: UInt64 = 0
        var crc: UInt32 = 0
        var end: UInt64 { address + UInt64(pageCount) * Image.pageSize }
    }

    private let chain: ImageChain
    private var runs: [Run] = []
    private var segments: [Segment] = []
    private var blobOffsets: [UInt64] = []
    /// Where the next thing is written.
    private var cursor = Image.pageSize

    /// Writes the image; its first bytes come last, as they do in a checkpoint.
    package static func write(_ chain: ImageChain, to output: borrowing OutputFile) throws(ImageError) {
        var fold = Fold(chain)
        try fold.writePages(to: output)
        try fold.writeBlobs(to: output)
        try fold.writeTables(to: output)
    }

    private init(_ chain: ImageChain) {
        self.chain = chain
        for mapping in chain.newest.mappings { layOut(mapping) }
    }

    // MARK: - Where everything will be

    private mutating func layOut(_ mapping: Mapping) {
        let first = runs.count
        var index = chain.pieces.firstIndex(from: mapping.start)
        while index < chain.pieces.count, chain.pieces[index].address < mapping.end {
            add(index, isFirst: runs.count == first)
            index += 1
        }
        begin(mapping, at: mapping.start)
        for index in first..<runs.count where runs[index].isHere {
            let last = segments.count - 1
            // A large gap begins another segment, a smaller one is a hole of the file.
            if runs[index].address - (segments[last].address + segments[last].fileByteCount) >= Fold.gapByteCount {
                segments[last].memoryByteCount = runs[index].address - segments[last].address
                begin(mapping, at: runs[index].address)
            }
            let segment = segments[segments.count - 1]
            runs[index].fileOffset = segment.fileOffset + (runs[index].address - segment.address)
            segments[segments.count - 1].fileByteCount = runs[index].end - segment.address
            cursor = segment.fileOffset + (runs[index].end - segment.address)
        }
    }

    /// CKPT_SEGMENT_GAP.
    private static let gapByteCount: UInt64 = 1 << 20

    private mutating func begin(_ mapping: Mapping, at address: UInt64) {
        var segment = Segment()
        segment.address = address
        segment.memoryByteCount = mapping.end - address
        segment.fileOffset = cursor
        segment.protection = mapping.protection
        segments.append(segment)
    }

    /// Joins what follows on the run before, up to the next multiple of the longest run; and cuts what is longer.
    private mutating func add(_ index: Int, isFirst: Bool) {
        let piece = chain.pieces[index]
        guard piece.isHere else {
            return runs.append(Run(address: piece.address, pageCount: piece.pageCount, isHere: false, pieces: index..<index + 1))
        }
        let longest = UInt64(Image.runPagesMax) * Image.pageSize
        var address = piece.address
        var isFirst = isFirst
        while address < piece.end {
            let end = min(piece.end, address - address % longest + longest)
            if !isFirst, let last = runs.last, last.isHere, last.end == address, address % longest != 0 {
                runs[runs.count - 1].pageCount += UInt32((end - address) / Image.pageSize)
                runs[runs.count - 1].pieces = last.pieces.lowerBound..<index + 1
            } else {
                runs.append(Run(address: address, pageCount: UInt32((end - address) / Image.pageSize), isHere: true, pieces: index..<index + 1))
            }
            isFirst = false
            address = end
        }
    }

    // MARK: - Content

    private mutating func writePages(to output: borrowing OutputFile) throws(ImageError) {
        var reader = PageReader(chain)
        for index in runs.indices where runs[index].isHere {
            let run = runs[index]
            var content: [UInt8] = []
            content.reserveCapacity(Int(run.end - run.address))
            for number in run.pieces {
                var piece = chain.pieces[number]
                let start = max(piece.address, run.address), end = min(piece.end, run.end)
                piece.address = start
                piece.pageCount = UInt32((end - start) / Image.pageSize)
                content += try reader.read(piece)
            }
            runs[index].crc = content.span.crc32c()
            try output.write(content, at: run.fileOffset)
        }
    }

    private mutating func writeBlobs(to output: borrowing OutputFile) throws(ImageError) {
        let image = chain.newest
        for (index, blob) in image.blobs.enumerated() {
            blobOffsets.append(blob.byteCount == 0 ? blob.fileOffset : cursor)
            var crc: UInt32 = 0, done: UInt64 = 0
            while done < blob.byteCount {
                let part = try image.file.read(min(1 << 20, blob.byteCount - done), at: blob.fileOffset + done, what: "blob")
                crc = part.span.crc32c(appendedTo: crc)
                try output.write(part, at: cursor + done)
                done += UInt64(part.count)
            }
            guard blob.byteCount == 0 || crc == blob.crc else {
                throw .damaged(what: "the checksum of blob \(index) is wrong", offset: blob.fileOffset)
            }
            cursor = (cursor + blob.byteCount + 7) & ~7
        }
    }

    // MARK: - Notes and headers

    private mutating func writeTables(to output: borrowing OutputFile) throws(ImageError) {
        let notesOffset = (cursor + 3) & ~3
        var notes = try FoldedNotes(chain.newest)
        notes.replaceRuns(runs.map { run in
            var record = PageRun()
            (record.address, record.pageCount, record.kind) = (run.address, run.pageCount, run.isHere ? .here : .zero)
            (record.fileOffset, record.crc) = (run.fileOffset, run.crc)
            return record
        })
        notes.moveBlobs(to: blobOffsets)
        let headersOffset = (notesOffset + UInt64(notes.byteCount) + 7) & ~7
        let headers = ProgramHeaders(segments: segments, notesOffset: notesOffset, notesByteCount: UInt64(notes.byteCount))
        var header = try chain.newest.file.read(ElfHeader.byteCount, at: 0, what: "header")
        headers.describe(in: &header, at: headersOffset)
        notes.seal(
            fileByteCount: headersOffset + UInt64(headers.bytes.count), notesOffset: notesOffset, headersOffset: headersOffset, headers: headers,
            elfHeader: header)
        try output.write(notes.bytes, at: notesOffset)
        try output.write(headers.bytes, at: headersOffset)
        try output.write(header, at: 0)
    }
}
