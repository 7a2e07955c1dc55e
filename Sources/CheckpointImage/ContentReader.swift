// SPDX-License-Identifier: Apache-2.0

/// Reads bytes of the image as they are before compression; keeps the chunk that was needed last. One for each thread.
package struct ContentReader: Sendable {
    private let image: Image
    private var stored: [UInt8] = []
    private var bytes: [UInt8] = []
    /// Index of the chunk that is in `bytes`.
    private var held: Int?

    package init(_ image: Image) { self.image = image }

    /// Calls `body` with the bytes of [offset, offset + byteCount), one piece after the other, each of at most 1 MiB.
    package mutating func read(
        _ byteCount: UInt64, at offset: UInt64, what: String, _ body: (Span<UInt8>) throws(ImageError) -> Void
    ) throws(ImageError) {
        let (end, overflow) = offset.addingReportingOverflow(byteCount)
        guard !overflow else { throw .damaged(what: "the \(what) leaves the image", offset: nil) }
        var next = offset
        while next < end {
            let piece: Range<Int>
            if image.isCompressed {
                let index = image.chunks.firstIndex(endingAbove: next)
                guard index < image.chunks.count, image.chunks[index].imageOffset <= next else {
                    throw .damaged(what: "the \(what) is in no chunk of the image", offset: nil)
                }
                let chunk = image.chunks[index]
                try hold(index)
                piece = Int(next - chunk.imageOffset)..<Int(min(end, chunk.imageEnd) - chunk.imageOffset)
            } else {
                piece = 0..<Int(min(end - next, UInt64(Chunk.byteCountMax)))
                reserve(&bytes, piece.count)
                try image.file.read(piece.count, at: next, into: &bytes, what: what)
            }
            try body(bytes.span.extracting(piece))
            next += UInt64(piece.count)
        }
    }

    package mutating func content(_ byteCount: UInt64, at offset: UInt64, what: String) throws(ImageError) -> [UInt8] {
        var content: [UInt8] = []
        content.reserveCapacity(Int(min(byteCount, UInt64(Chunk.byteCountMax))))
        try read(byteCount, at: offset, what: what) { piece throws(ImageError) in
            for index in piece.indices { content.append(piece[index]) }
        }
        return content
    }

    package mutating func crc32c(_ byteCount: UInt64, at offset: UInt64, what: String) throws(ImageError) -> UInt32 {
        var crc: UInt32 = 0
        try read(byteCount, at: offset, what: what) { piece throws(ImageError) in crc = piece.crc32c(appendedTo: crc) }
        return crc
    }

    private mutating func hold(_ index: Int) throws(ImageError) {
        if held == index { return }
        held = nil
        let chunk = image.chunks[index]
        let storedByteCount = Int(chunk.storedByteCount), byteCount = Int(chunk.byteCount)
        reserve(&stored, storedByteCount)
        reserve(&bytes, byteCount)
        try image.file.read(storedByteCount, at: chunk.fileOffset, into: &stored, what: "chunk")
        guard stored.span.extracting(first: storedByteCount).crc32c() == chunk.crc else {
            throw .damaged(what: "the checksum of a chunk is wrong", offset: chunk.fileOffset)
        }
        if chunk.compression == .none {
            swap(&stored, &bytes)
        } else {
            guard let decompressor = image.decompressor else { throw Image.cannotDecompress }
            do throws(ImageError) {
                try decompressor.decompress(stored, storedByteCount, chunk.compression, into: &bytes, byteCount: byteCount)
            } catch {
                throw .damaged(what: "a chunk can not be decompressed", offset: chunk.fileOffset)
            }
        }
        held = index
    }

    /// Sizes are limited by the checks of the tables: 1 MiB.
    private func reserve(_ buffer: inout [UInt8], _ byteCount: Int) {
        if buffer.count < byteCount { buffer += [UInt8](repeating: 0, count: byteCount - buffer.count) }
    }
}

extension Image {
    static let cannotDecompress = ImageError.unsupported(what: "the image is compressed, which this program can not read")

    package var isCompressed: Bool { ident.flags.contains(.compressed) }

    /// Pages and blobs as they are stored; nil: the image is not compressed.
    package var storedByteCount: UInt64? {
        isCompressed ? chunks.reduce(0) { $0 + UInt64($1.storedByteCount) } : nil
    }
}
