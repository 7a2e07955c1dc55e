// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI

extension Span<UInt8> {
    // Safety of all four: the load checks its bounds, and every bit pattern is a valid integer; bytes have no padding.
    // The file is little-endian, as x86-64 is.
    package func uint8(at offset: Int) -> UInt8 { unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self) }
    package func uint16(at offset: Int) -> UInt16 { unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self) }
    package func uint32(at offset: Int) -> UInt32 { unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self) }
    package func uint64(at offset: Int) -> UInt64 { unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self) }

    /// CRC32C of these bytes, behind those whose checksum is `crc`.
    package func crc32c(appendedTo crc: UInt32 = 0) -> UInt32 {
        // Safety: the C function reads exactly `count` bytes, and the pointer does not leave the closure.
        unsafe withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return crc }
            return unsafe ckpt_crc32c(crc, start, bytes.count)
        }
    }
}

extension Span<UInt8> {
    func int32(at offset: Int) -> Int32 { Int32(bitPattern: uint32(at: offset)) }
    func int64(at offset: Int) -> Int64 { Int64(bitPattern: uint64(at: offset)) }
}
