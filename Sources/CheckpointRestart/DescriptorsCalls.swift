// SPDX-License-Identifier: Apache-2.0
import CRestorer
import SystemPackage

/// open(2) flags, as fdinfo shows them.
enum OpenFlag {
    static let accessMode: UInt32 = 3, readOnly: UInt32 = 0, writeOnly: UInt32 = 1, readWrite: UInt32 = 2
    static let create: UInt32 = 0o100, exclusive: UInt32 = 0o200, noTerminal: UInt32 = 0o400, truncate: UInt32 = 0o1000
    static let append: UInt32 = 0o2000, nonBlocking: UInt32 = 0o4000, async: UInt32 = 0o20000, direct: UInt32 = 0o40000
    static let directory: UInt32 = 0o200000, noFollow: UInt32 = 0o400000, noAccessTime: UInt32 = 0o1000000
    static let closeOnExec: UInt32 = 0o2000000, path: UInt32 = 0o10000000, temporary: UInt32 = 0o20000000
    /// What F_SETFL can change.
    static let settable = append | nonBlocking | async | direct | noAccessTime
    /// What made the file, and must not make it again.
    static let making = create | exclusive | truncate | noTerminal | temporary | directory
}

/// Calls on descriptors. Negative results are errnos, as the kernel gives them.
enum DescriptorCalls {
    static func open(_ path: [UInt8], _ flags: UInt32, mode: UInt32 = 0) -> Int64 {
        var bytes = path + [0]
        return ProcessCalls.perform(2, [0, Int64(flags | OpenFlag.closeOnExec), Int64(mode)], bytes: &bytes, at: 0)
    }

    /// The open description once more, with a position and a mode of its own. Needs /proc.
    static func openAgain(_ descriptor: Int32, _ flags: UInt32) -> Int64 {
        open(Array("/proc/self/fd/\(descriptor)".utf8), flags & ~OpenFlag.making)
    }

    /// Gives EBADF to whoever reads or writes it.
    static func placeholder() -> Int64 { open(Array("/".utf8), OpenFlag.path) }

    static func close(_ descriptor: Int32) { _ = ProcessCalls.perform(3, Int64(descriptor)) }

    static func control(_ descriptor: Int32, _ command: Int64, _ argument: Int64 = 0) -> Int64 {
        ProcessCalls.perform(72, Int64(descriptor), command, argument)
    }
    static func isOpen(_ descriptor: Int32) -> Bool { control(descriptor, 1) >= 0 }
    static func statusFlags(_ descriptor: Int32) -> UInt32 { UInt32(truncatingIfNeeded: max(0, control(descriptor, 3))) }
    @discardableResult
    static func setStatusFlags(_ descriptor: Int32, _ flags: UInt32) -> Int64 { control(descriptor, 4, Int64(flags & OpenFlag.settable)) }

    /// A duplicate at `floor` or above, closed on exec.
    static func duplicate(_ descriptor: Int32, above floor: Int32) -> Int64 { control(descriptor, 1030, Int64(floor)) }
    static func duplicate(_ descriptor: Int32, to number: Int32, closeOnExec: Bool) -> Int64 {
        ProcessCalls.perform(292, Int64(descriptor), Int64(number), closeOnExec ? Int64(OpenFlag.closeOnExec) : 0)
    }

    static func seek(_ descriptor: Int32, to position: UInt64) -> Int64 {
        ProcessCalls.perform(8, Int64(descriptor), Int64(clamping: position), 0)
    }
    static func position(_ descriptor: Int32) -> Int64 { ProcessCalls.perform(8, Int64(descriptor), 0, 1) }

    /// nil: not all of it could be read.
    static func read(_ descriptor: Int32, byteCount: Int, at offset: UInt64) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < byteCount {
            var piece = [UInt8](repeating: 0, count: min(byteCount - bytes.count, 1 << 20))
            let got = ProcessCalls.perform(
                17, [Int64(descriptor), 0, Int64(piece.count), Int64(clamping: offset) + Int64(bytes.count)], bytes: &piece, at: 1)
            if got == -4 { continue }
            if got <= 0 { return nil }
            bytes += piece.prefix(Int(got))
        }
        return bytes
    }

    /// 0 or a negative errno.
    static func write(_ descriptor: Int32, _ content: [UInt8]) -> Int64 {
        var rest = content[...]
        while !rest.isEmpty {
            var piece = Array(rest.prefix(1 << 20))
            let got = ProcessCalls.perform(1, [Int64(descriptor), 0, Int64(piece.count)], bytes: &piece, at: 1)
            if got == -4 { continue }
            if got < 0 { return got }
            rest = rest.dropFirst(Int(got))
        }
        return 0
    }

    /// Both ends of a new pipe.
    static func pipe() -> Result<(read: Int32, write: Int32), Errno> {
        var pair = [UInt8](repeating: 0, count: 8)
        let result = ProcessCalls.perform(293, [0, Int64(OpenFlag.closeOnExec)], bytes: &pair, at: 0)
        if result < 0 { return .failure(Errno(rawValue: CInt(-result))) }
        return .success((ProcessCalls.integer(pair, at: 0), ProcessCalls.integer(pair, at: 4)))
    }
}

/// What fstat tells.
struct FileStatus {
    let device: UInt64, inode: UInt64, rdev: UInt64, byteCount: UInt64
    let mode: UInt32
    let modifiedNs: Int64

    init?(_ descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 144)  // struct stat
        guard ProcessCalls.perform(5, [Int64(descriptor), 0], bytes: &bytes, at: 1) == 0 else { return nil }
        device = bytes.word64(at: 0)
        inode = bytes.word64(at: 8)
        mode = bytes.word32(at: 24)
        rdev = bytes.word64(at: 40)
        byteCount = bytes.word64(at: 48)
        modifiedNs = Int64(bitPattern: bytes.word64(at: 88)) &* 1_000_000_000 &+ Int64(bitPattern: bytes.word64(at: 96))
    }

    enum Kind: UInt32 { case file = 0o100000, directory = 0o40000, fifo = 0o10000, device = 0o20000 }
    func isA(_ kind: Kind) -> Bool { mode & 0o170000 == kind.rawValue }
}
