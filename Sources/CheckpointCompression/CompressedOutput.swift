// SPDX-License-Identifier: Apache-2.0
package import CheckpointImage
import Synchronization
package import SystemPackage

/// Why a compressed image could not be written.
package enum CompressionFailure: Error, Equatable {
    /// What was to be compressed is not what an image looks like.
    case input(String)
    case image(ImageError)
    case read(Errno)
    case write(Errno)
    /// The other side has gone before the end.
    case closed
}

/// Where the bytes to compress come from, a chunk at a time.
package protocol ChunkSource: Sendable {
    /// Fills the first bytes of `buffer`, which has room for `Chunk.byteCountMax`. nil: there are no more.
    mutating func next(into buffer: inout [UInt8]) throws(CompressionFailure) -> (imageOffset: UInt64, byteCount: Int)?
}

/// Writes a compressed image: chunks by as many threads as help, then notes and headers.
package struct CompressedOutput {
    package let descriptor: Int32
    package let codec: Codec
    /// Each thread has two buffers of 1 MiB, and what zstd needs.
    package static let threadCountMax = 16
    /// Zero pages are not there: so short a gap is filled with zeros, which costs less than another chunk.
    package static let gapMax: UInt64 = 256 << 10

    package init(descriptor: Int32, codec: Codec) {
        self.descriptor = descriptor
        self.codec = codec
    }

    /// What the threads share: who has this reads the next chunk.
    private struct Shared<Source: ChunkSource> {
        var source: Source
        var chunks: [Chunk] = []
        /// Where the next chunk goes in the file.
        var end = Image.pageSize
        var isAtEnd = false
        var failure: CompressionFailure?

        mutating func take(into buffer: inout [UInt8]) -> (imageOffset: UInt64, byteCount: Int)? {
            if isAtEnd || failure != nil { return nil }
            do throws(CompressionFailure) {
                let next = try source.next(into: &buffer)
                isAtEnd = next == nil
                return next
            } catch {
                failure = error
                return nil
            }
        }

        mutating func place(_ chunk: Chunk) -> UInt64 {
            let offset = end
            chunks.append(chunk)
            chunks[chunks.count - 1].fileOffset = offset
            end += UInt64(chunk.storedByteCount)
            return offset
        }
    }

    /// The whole content. Returns the source, the chunks in order, and where they end in the file.
    package func write<Source: ChunkSource>(
        _ source: Source, threads: Int
    ) throws(CompressionFailure) -> (source: Source, chunks: [Chunk], end: UInt64) {
        let shared = Mutex(Shared(source: source))
        let descriptor = FileDescriptor(rawValue: descriptor), codec = codec
        runOnThreads(min(max(threads, 1), CompressedOutput.threadCountMax)) {
            let compressor = Compressor(codec)
            var buffer = [UInt8](repeating: 0, count: Int(Chunk.byteCountMax))
            while let next = shared.withLock({ $0.take(into: &buffer) }) {
                var chunk = Chunk()
                chunk.imageOffset = next.imageOffset
                chunk.byteCount = UInt32(next.byteCount)
                let stored = compressor.compress(buffer, byteCount: next.byteCount)
                let bytes = stored.map { compressor.stored[..<$0] } ?? buffer[..<next.byteCount]
                chunk.compression = stored == nil ? .none : codec.compression
                chunk.storedByteCount = UInt32(bytes.count)
                chunk.crc = bytes.span.crc32c()
                let placed = chunk
                let offset = shared.withLock { $0.place(placed) }
                do throws(CompressionFailure) {
                    try CompressedOutput.write(bytes, to: descriptor, at: offset)
                } catch {
                    shared.withLock { if $0.failure == nil { $0.failure = error } }
                }
            }
        }
        let (chunks, end, failure, read) = shared.withLock { ($0.chunks, $0.end, $0.failure, $0.source) }
        if let failure { throw failure }
        let ordered = chunks.sorted { $0.imageOffset < $1.imageOffset }
        for (one, next) in zip(ordered, ordered.dropFirst()) where one.imageEnd > next.imageOffset {
            throw .input("the bytes at \(next.imageOffset) came twice")
        }
        return (read, ordered, end)
    }

    /// Notes and headers, and last the ELF header: only then the file is an image. Returns its size.
    package func finish(_ tail: ImageTail, chunks: [Chunk], end: UInt64) throws(CompressionFailure) -> UInt64 {
        let start = (end + Image.pageSize - 1) & ~(Image.pageSize - 1)
        let written = try tail.compressed(chunks: chunks, at: start)
        let descriptor = FileDescriptor(rawValue: descriptor)
        try CompressedOutput.write(written.tail[...], to: descriptor, at: start)
        try CompressedOutput.write(written.header[...], to: descriptor, at: 0)
        return start + UInt64(written.tail.count)
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to descriptor: FileDescriptor, at offset: UInt64) throws(CompressionFailure) {
        do {
            try descriptor.writeAll(toAbsoluteOffset: Int64(offset), bytes)
        } catch let errno as Errno {
            throw .write(errno)
        } catch {
            throw .write(.ioError)
        }
    }
}
