// SPDX-License-Identifier: Apache-2.0
package import CheckpointImage

/// The pages and blobs of an image that is there, as a sink gets them from a program.
struct ImageContentSource: ChunkSource {
    private var reader: ContentReader
    /// Ascending; each fits into a chunk.
    private let pieces: [Range<UInt64>]
    private var taken = 0

    init(_ image: Image) {
        reader = ContentReader(image)
        let longest = UInt64(Chunk.byteCountMax)
        var pieces: [Range<UInt64>] = []
        for run in image.runs where run.kind == .here { pieces.append(run.fileOffset..<run.fileOffset + run.byteCount) }
        for blob in image.blobs where blob.byteCount > 0 {
            for start in stride(from: blob.fileOffset, to: blob.fileOffset + blob.byteCount, by: Int(longest)) {
                pieces.append(start..<min(start + longest, blob.fileOffset + blob.byteCount))
            }
        }
        self.pieces = pieces.sorted { $0.lowerBound < $1.lowerBound }
    }

    mutating func next(into buffer: inout [UInt8]) throws(CompressionFailure) -> (imageOffset: UInt64, byteCount: Int)? {
        guard taken < pieces.count else { return nil }
        let start = pieces[taken].lowerBound
        var end = start
        while taken < pieces.count {
            let piece = pieces[taken]
            guard piece.lowerBound - end <= CompressedOutput.gapMax, piece.upperBound - start <= UInt64(buffer.count) else { break }
            for index in Int(end - start)..<Int(piece.lowerBound - start) { buffer[index] = 0 }
            var at = Int(piece.lowerBound - start)
            do throws(ImageError) {
                try reader.read(UInt64(piece.count), at: piece.lowerBound, what: "pages") { bytes throws(ImageError) in
                    for index in bytes.indices {
                        buffer[at] = bytes[index]
                        at += 1
                    }
                }
            } catch { throw .image(error) }
            end = piece.upperBound
            taken += 1
        }
        return (start, Int(end - start))
    }
}

extension CompressedOutput {
    /// Writes a whole image, which is not compressed; returns the size of the file.
    package func write(_ image: Image, threads: Int) throws(CompressionFailure) -> UInt64 {
        let written = try write(ImageContentSource(image), threads: threads)
        let start = min(image.ident.notesOffset, image.ident.programHeadersOffset)
        let header: [UInt8], tail: [UInt8]
        do throws(ImageError) {
            var reader = ContentReader(image)
            header = try reader.content(Image.pageSize, at: 0, what: "header")
            tail = try reader.content(image.ident.fileByteCount - start, at: start, what: "notes")
        } catch { throw .image(error) }
        return try finish(ImageTail(header: header, tail: tail, offset: start), chunks: written.chunks, end: written.end)
    }
}
