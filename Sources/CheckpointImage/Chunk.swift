// SPDX-License-Identifier: Apache-2.0

/// How the bytes of a chunk are stored.
package enum Compression: UInt32, Sendable, CaseIterable {
    case none = 0
    /// One LZ4 block.
    case lz4 = 1
    /// One frame.
    case zstd = 2
}

/// Bytes of the image before compression, as they are stored: compressed images only.
package struct Chunk: Sendable, Equatable {
    /// CKPT_CHUNK_BYTES_MAX.
    package static let byteCountMax: UInt32 = 1 << 20
    static let recordByteCount = 32

    package var imageOffset: UInt64 = 0
    package var fileOffset: UInt64 = 0
    package var byteCount: UInt32 = 0
    package var storedByteCount: UInt32 = 0
    package var compression = Compression.none
    /// Of the stored bytes.
    package var crc: UInt32 = 0
    package init() {}

    package var imageEnd: UInt64 { imageOffset + UInt64(byteCount) }

    init(_ b: Span<UInt8>, at o: Int) throws(ImageError) {
        imageOffset = b.uint64(at: o)
        fileOffset = b.uint64(at: o + 8)
        byteCount = b.uint32(at: o + 16)
        storedByteCount = b.uint32(at: o + 20)
        let compression = b.uint32(at: o + 24)
        guard let known = Compression(rawValue: compression) else {
            throw .futureVersion(what: "compressed in a way (\(compression)) that this program does not know")
        }
        self.compression = known
        crc = b.uint32(at: o + 28)
    }
}

extension [Chunk] {
    /// Index of the first chunk that ends above this offset of the image; the chunks ascend.
    package func firstIndex(endingAbove offset: UInt64) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].imageEnd <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether every byte of [offset, offset + byteCount) is in a chunk. No overflow: the caller has limited both.
    func cover(_ offset: UInt64, _ byteCount: UInt64) -> Bool {
        var reached = offset, index = firstIndex(endingAbove: offset)
        while reached < offset + byteCount {
            guard index < count, self[index].imageOffset <= reached else { return false }
            reached = self[index].imageEnd
            index += 1
        }
        return true
    }
}

/// Brings stored bytes back. An implementation believes nothing of what is stored: it writes exactly `byteCount` bytes, or throws.
package protocol Decompressor: Sendable {
    /// The first `byteCount` bytes of `bytes` become what the first `storedByteCount` of `stored` stand for; both are that long.
    func decompress(
        _ stored: [UInt8], _ storedByteCount: Int, _ compression: Compression, into bytes: inout [UInt8], byteCount: Int
    ) throws(ImageError)
}
