// SPDX-License-Identifier: Apache-2.0
import CLZ4
import CZstd
package import CheckpointImage

/// What the programs give to `Image.open`.
package struct SystemDecompressor: Decompressor {
    package init() {}

    package func decompress(
        _ stored: [UInt8], _ storedByteCount: Int, _ compression: Compression, into bytes: inout [UInt8], byteCount: Int
    ) throws(ImageError) {
        guard storedByteCount <= stored.count, byteCount <= bytes.count, byteCount <= Int32.max else {
            throw .damaged(what: "a chunk is longer than its buffer", offset: nil)
        }
        // Safety: both functions read `storedByteCount` bytes at most and write `byteCount` bytes at most, also of hostile
        // input; both buffers are at least as long and held for the call.
        let written: Int = unsafe stored.withUnsafeBytes { from in
            unsafe bytes.withUnsafeMutableBytes { to in
                guard let source = from.baseAddress, let target = to.baseAddress else { return -1 }
                switch compression {
                case .none: return -1
                case .lz4:
                    return Int(unsafe LZ4_decompress_safe(
                        source.assumingMemoryBound(to: CChar.self), target.assumingMemoryBound(to: CChar.self),
                        Int32(storedByteCount), Int32(byteCount)))
                case .zstd:
                    let result = unsafe ZSTD_decompress(target, byteCount, source, storedByteCount)
                    return ZSTD_isError(result) != 0 ? -1 : Int(result)
                }
            }
        }
        guard written == byteCount else { throw .damaged(what: "a chunk can not be decompressed", offset: nil) }
    }
}

/// Compresses one chunk after the other; one for each thread, because zstd keeps its tables.
///
/// Safety: the context is made and freed by this object, which is not shared between threads.
@safe final class Compressor {
    private let codec: Codec
    private let context: OpaquePointer?
    private(set) var stored: [UInt8]

    init(_ codec: Codec) {
        self.codec = codec
        unsafe context = codec.compression == .zstd ? ZSTD_createCCtx() : nil
        stored = [UInt8](repeating: 0, count: Int(Chunk.byteCountMax))
    }

    deinit { _ = unsafe ZSTD_freeCCtx(context) }

    /// Compresses the first bytes into `stored`; returns how many they have become. nil: no fewer.
    func compress(_ bytes: [UInt8], byteCount: Int) -> Int? {
        guard byteCount > 1, byteCount <= bytes.count, byteCount <= stored.count else { return nil }
        // Safety: the functions read `byteCount` bytes and write at most one fewer, for which `stored` has room; both
        // buffers are held for the call.
        let written: Int = unsafe bytes.withUnsafeBytes { from in
            unsafe stored.withUnsafeMutableBytes { to in
                guard let source = from.baseAddress, let target = to.baseAddress else { return 0 }
                switch codec.compression {
                case .none: return 0
                case .lz4:
                    return Int(unsafe LZ4_compress_default(
                        source.assumingMemoryBound(to: CChar.self), target.assumingMemoryBound(to: CChar.self),
                        Int32(byteCount), Int32(byteCount - 1)))
                case .zstd:
                    guard let context = unsafe context else { return 0 }
                    let result = unsafe ZSTD_compressCCtx(context, target, byteCount - 1, source, byteCount, codec.level)
                    return ZSTD_isError(result) != 0 ? 0 : Int(result)
                }
            }
        }
        return written > 0 ? written : nil
    }
}
