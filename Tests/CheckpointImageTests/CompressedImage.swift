// SPDX-License-Identifier: Apache-2.0
import CheckpointCompression
import CheckpointImage
import SystemPackage

/// An image of the builder, compressed as a sink does it; the chunks can be changed before the notes are written.
struct CompressedImage {
    var bytes: [UInt8]
    var chunks: [Chunk]
    private let tail: ImageTail

    /// Pages and blobs in chunks of so many bytes.
    struct Source: ChunkSource {
        let image: [UInt8]
        var next: Int
        let end: Int, size: Int

        mutating func next(into buffer: inout [UInt8]) throws(CompressionFailure) -> (imageOffset: UInt64, byteCount: Int)? {
            guard next < end else { return nil }
            let count = min(size, end - next)
            for index in 0..<count { buffer[index] = image[next + index] }
            defer { next += count }
            return (UInt64(next), count)
        }
    }

    init(_ codec: Codec, of builder: ImageBuilder = .small(), chunkByteCount: Int = 3 * 4096) throws {
        let image = builder.image
        let ident = try open(image).ident
        let start = Int(ident.programHeadersOffset)
        tail = ImageTail(header: Array(image[..<4096]), tail: Array(image[start...]), offset: ident.programHeadersOffset)
        let file = try TestPath([])
        let output = try FileDescriptor.open(file.path, .readWrite)
        bytes = []
        chunks = []
        try output.closeAfter {
            let compressed = CompressedOutput(descriptor: output.rawValue, codec: codec)
            let source = Source(image: image, next: 4096, end: start, size: chunkByteCount)
            let written = try compressed.write(source, threads: 3)
            let byteCount = try compressed.finish(tail, chunks: written.chunks, end: written.end)
            chunks = written.chunks
            bytes = [UInt8](repeating: 0, count: Int(byteCount))
            try read(output, into: &bytes)
        }
    }

    /// The file with these chunks, whatever they say.
    func with(_ edit: (inout [Chunk]) -> Void) throws -> [UInt8] {
        var edited = chunks
        edit(&edited)
        let start = try open(bytes).ident.notesOffset
        let written = try tail.compressed(chunks: edited, at: start)
        return written.header + bytes[4096..<Int(start)] + written.tail
    }

    /// One stored byte is another one, and every checksum is right.
    func with(storedByte offset: Int, of chunk: Int, as value: UInt8) throws -> [UInt8] {
        var changed = self
        let start = Int(chunks[chunk].fileOffset)
        changed.bytes[start + offset] = value
        let crc = Array(changed.bytes[start..<start + Int(chunks[chunk].storedByteCount)]).span.crc32c()
        let sealed = try with { $0[chunk].crc = crc }
        let end = Int(try open(bytes).ident.notesOffset)
        changed.bytes.replaceSubrange(0..<4096, with: sealed[..<4096])
        changed.bytes.replaceSubrange(end..., with: sealed[end...])
        return changed.bytes
    }
}
