// SPDX-License-Identifier: Apache-2.0

/// The descriptors of this process, by number.
enum DescriptorTable {
    /// Closes every descriptor but these.
    static func closeAll(except kept: [Int32]) {
        var first: Int64 = 0
        for number in kept.sorted() where Int64(number) >= first {
            if Int64(number) > first { close(first, Int64(number) - 1) }
            first = Int64(number) + 1
        }
        close(first, 0xffff_ffff)
    }

    private static func close(_ first: Int64, _ last: Int64) {
        if ProcessCalls.perform(436, first, last, 0) == 0 { return }  // close_range
        // Kernel: before 5.9, and under filters that do not know the call.
        for number in first...min(last, 65536) { _ = ProcessCalls.perform(3, number) }
    }

    /// What /proc tells of a descriptor of this process; nil without /proc.
    static func information(of number: Int32) -> KeyedLines? {
        SmallFile.read("/proc/self/fdinfo/\(number)").map(KeyedLines.init)
    }
}

/// A small file of /proc: lines `Key: value`.
struct KeyedLines {
    private let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The decimal number behind `key:`.
    func value(of key: String) -> Int? {
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: Array((key + ":").utf8)) {
            let digits = line.dropFirst(key.utf8.count + 1).drop { $0 == 32 || $0 == 9 }.prefix { $0 != 32 && $0 != 9 }
            return Int(String(decoding: digits, as: UTF8.self))
        }
        return nil
    }

    /// The hexadecimal number behind `key:`.
    func hexadecimal(of key: String) -> UInt64? {
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: Array((key + ":").utf8)) {
            let digits = line.dropFirst(key.utf8.count + 1).drop { $0 == 32 || $0 == 9 }
            return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
        }
        return nil
    }
}

/// A file of /proc or /sys, which is read or written whole.
enum SmallFile {
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = ProcessCalls.perform(2, [0, 0o2000000], text: path, at: 0)
        guard descriptor >= 0 else { return nil }
        defer { _ = ProcessCalls.perform(3, descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while content.count < 1 << 20 {
            let count = ProcessCalls.perform(0, [descriptor, 0, 4096], bytes: &buffer, at: 1)
            if count < 0 { return nil }
            if count == 0 { break }
            content += buffer.prefix(Int(count))
        }
        return content
    }

    /// 0 or a negative errno.
    static func write(_ text: String, to path: String) -> Int64 {
        let descriptor = ProcessCalls.perform(2, [0, 1 | 0o2000000], text: path, at: 0)
        guard descriptor >= 0 else { return descriptor }
        defer { _ = ProcessCalls.perform(3, descriptor) }
        var bytes = Array(text.utf8)
        return min(0, ProcessCalls.perform(1, [descriptor, 0, Int64(bytes.count)], bytes: &bytes, at: 1))
    }

    /// One line on standard error.
    static func tell(_ line: String) {
        var bytes = Array(line.utf8)
        _ = ProcessCalls.perform(1, [2, 0, Int64(bytes.count)], bytes: &bytes, at: 1)
    }

    /// The number that a file of one line begins with.
    static func number(_ path: String) -> Int? {
        read(path).flatMap { Int(String(decoding: $0.prefix { $0 >= 48 && $0 <= 57 }, as: UTF8.self)) }
    }
}
