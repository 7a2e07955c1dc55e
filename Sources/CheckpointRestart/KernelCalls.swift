// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// Protections and flags as the kernel numbers them.
enum Memory {
    static let read: UInt64 = 1, write: UInt64 = 2
    static let shared: UInt64 = 1, isPrivate: UInt64 = 2, anonymous: UInt64 = 0x20, growsDown: UInt64 = 0x100, droppable: UInt64 = 8
    static let noReserve: UInt64 = 0x4000, populate: UInt64 = 0x8000, fixedNoReplace: UInt64 = 0x100000
    static let moveFixed: UInt64 = 3  // MREMAP_MAYMOVE | MREMAP_FIXED
    static let pageByteCount: UInt64 = 4096
    static let hugeByteCount: UInt64 = 2 << 20
    /// Behind the last address that a process may map.
    static let end: UInt64 = 0x7fff_ffff_f000
}

enum Advice: UInt64 {
    case dontFork = 10, huge = 14, noHuge = 15, dontDump = 16, wipeOnFork = 18, installGuard = 102
}

extension Kernel {
    package static func map(
        at address: UInt64, byteCount: UInt64, protection: UInt64, flags: UInt64, descriptor: Int32 = -1, offset: UInt64 = 0
    ) throws(Errno) {
        let got = try call(
            .mmap, address, byteCount, protection, flags | Memory.fixedNoReplace, UInt64(bitPattern: Int64(descriptor)), offset)
        if got != address {  // Kernel: before 4.17 the flag is unknown and the address a wish.
            try call(.munmap, got, byteCount)
            throw Errno.fileExists
        }
    }

    static func protect(_ range: AddressRange, _ protection: UInt64) throws(Errno) {
        try call(.mprotect, range.start, range.byteCount, protection)
    }

    static func advise(_ range: AddressRange, _ advice: Advice) throws(Errno) {
        try call(.madvise, range.start, range.byteCount, advice.rawValue)
    }

    /// Reads exactly `byteCount` bytes; a file that ends before is `.outOfRange`.
    static func read(_ descriptor: Int32, into address: UInt64, byteCount: UInt64, offset: UInt64) throws(Errno) {
        var done: UInt64 = 0
        while done < byteCount {
            do throws(Errno) {
                let count = try call(.pread, UInt64(UInt32(bitPattern: descriptor)), address + done, byteCount - done, offset + done)
                if count == 0 { throw Errno.outOfRange }
                done += count
            } catch Errno.interrupted { continue }
        }
    }

    /// A whole small file of /proc or /sys; nil when it can not be read.
    static func file(_ path: String, limit: Int = 16 << 20) -> [UInt8]? {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec) else { return nil }
        defer { try? file.close() }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while content.count < limit {
            let used = content.count
            let count = try? withBytes(&buffer) { address throws(Errno) in
                try call(.pread, UInt64(UInt32(bitPattern: file.rawValue)), address, 1 << 16, UInt64(used))
            }
            guard let count else { return nil }
            if count == 0 { break }
            content.append(contentsOf: buffer.prefix(Int(count)))
        }
        return content
    }

    static func nanoseconds(_ clock: Clock) -> UInt64 {
        var bytes = [UInt8](repeating: 0, count: 16)
        _ = try? withBytes(&bytes) { address throws(Errno) in try call(.clockGettime, clock.rawValue, address) }
        var reader = ByteReader(bytes)
        return reader.next() &* 1_000_000_000 &+ reader.next()
    }

    enum Clock: UInt64 { case realtime = 0, monotonic = 1, processTime = 2, boottime = 7 }

    /// 64 random bits, never 0.
    static func random() throws(Errno) -> UInt64 {
        while true {
            var bytes = [UInt8](repeating: 0, count: 8)
            _ = try withBytes(&bytes) { address throws(Errno) in try call(.getrandom, address, 8) }
            var reader = ByteReader(bytes)
            let value = reader.next()
            if value != 0 { return value }
        }
    }

    /// Processors that this process may use.
    static func processorCount() -> Int {
        var mask = [UInt8](repeating: 0, count: 1024)
        _ = try? withBytes(&mask) { address throws(Errno) in try call(.schedGetaffinity, 0, 1024, address) }
        return max(1, mask.reduce(0) { $0 + $1.nonzeroBitCount })
    }
}

/// Little-endian 64-bit words, one after the other; zeros behind the end.
package struct ByteReader {
    private let bytes: [UInt8]
    private var offset = 0
    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package mutating func next() -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<8 where offset + index < bytes.count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += 8
        return value
    }
}

extension [UInt8] {
    /// Appends the integer, little-endian.
    mutating func append<Integer: FixedWidthInteger>(integer value: Integer) {
        for index in 0..<(Integer.bitWidth / 8) { append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
    /// Appends at most `byteCount - 1` bytes of the text and zeros up to `byteCount`.
    mutating func append(text: some Sequence<UInt8>, padded byteCount: Int) {
        let bytes = Array(text.prefix(byteCount - 1))
        append(contentsOf: bytes)
        append(contentsOf: repeatElement(0, count: byteCount - bytes.count))
    }
}
