// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CCheckpointProcess
import CheckpointKit
import Glibc
import SystemPackage

/// The place where the scribe finds us: a directory of our own (0700) with one socket (0600), named by the nonce that the
/// signal carries. Removed when this value ends, however it ends.
struct Meeting: ~Copyable {
    let nonce: UInt64
    private let directory: String
    private let socket: Int32

    /// - Parameter root: `/proc/PID/root`, so that the place is where the program looks for it.
    init(root: String, uid: UInt32, gid: UInt32) throws(SaveFailure) {
        let nonce = UInt64.random(in: 1...UInt64.max)
        let digits = String(nonce, radix: 16)
        let directory = root + CKPT_SAVE_DIRECTORY + String(repeating: "0", count: 16 - digits.utf8.count) + digits
        umask(0o077)
        // Safety: the strings live for the calls.
        guard unsafe mkdir(directory, 0o700) == 0, unsafe geteuid() != 0 || lchown(directory, uid, gid) == 0 else {
            let error = Errno(rawValue: errno)
            unsafe rmdir(directory)
            throw SaveFailure(of: error, "\(directory): \(error)", "a place that the program can reach is needed")
        }
        let socket = unsafe ckpt_requester_listen(directory + "/s", uid, gid)
        guard socket >= 0 else {
            let error = Errno(rawValue: -socket)
            unsafe unlink(directory + "/s")
            unsafe rmdir(directory)
            throw SaveFailure(of: error, "\(directory)/s: \(error)", "a place that the program can reach is needed")
        }
        self.nonce = nonce
        self.directory = directory
        self.socket = socket
    }

    deinit {
        close(socket)
        // Safety: the strings live for the calls.
        unsafe unlink(directory + "/s")
        unsafe rmdir(directory)
    }

    var descriptor: Int32 { socket }

    /// Who came; nil: nobody, or somebody else's process.
    func accept(from uid: UInt32) -> Visitor? {
        var who = UInt32.max
        // Safety: the function fills one word.
        let descriptor = unsafe ckpt_requester_accept(socket, &who)
        guard descriptor >= 0 else { return nil }
        let visitor = Visitor(descriptor: descriptor)
        return who == uid ? visitor : nil
    }
}

/// The scribe at the other end of the socket.
final class Visitor {
    let descriptor: Int32
    private var received: [UInt8] = []

    init(descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }

    /// What we want; false: it is gone.
    func send(image: [UInt8], exitAfter: Bool) -> Bool {
        // Safety: a struct of numbers and bytes, all zero; the path is shorter than its field.
        let request = UnsafeMutablePointer<ckpt_save_request>.allocate(capacity: 1)
        defer { unsafe request.deallocate() }
        unsafe UnsafeMutableRawPointer(request).initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<ckpt_save_request>.size)
        unsafe request.pointee.magic = UInt64(CKPT_SAVE_MAGIC)
        unsafe request.pointee.exit_after = exitAfter ? 1 : 0
        unsafe withUnsafeMutableBytes(of: &request.pointee.path) { unsafe $0.copyBytes(from: image) }
        let byteCount = MemoryLayout<ckpt_save_request>.size
        // Kernel: a Unix stream socket takes five kilobytes into its empty buffer at once.
        return unsafe Glibc.send(descriptor, request, byteCount, Int32(MSG_NOSIGNAL)) == byteCount
    }

    enum Answer { case more, report(RawReport), gone }

    /// Reads what there is.
    func receive() -> Answer {
        let whole = MemoryLayout<ckpt_report>.size
        var chunk = [UInt8](repeating: 0, count: whole - received.count)
        // Safety: the kernel writes at most as many bytes as the buffer has.
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return .gone }
        received.append(contentsOf: chunk[..<count])
        guard received.count == whole else { return .more }
        received[whole - 1] = 0
        // Safety: a whole report, of a type without padding that matters, whose path ends with a zero byte.
        return unsafe received.withUnsafeBytes { bytes in
            let report = UnsafeMutablePointer<ckpt_report>.allocate(capacity: 1)
            defer { unsafe report.deallocate() }
            unsafe UnsafeMutableRawPointer(report).copyMemory(from: bytes.baseAddress!, byteCount: whole)
            return unsafe .report(RawReport(report))
        }
    }
}

/// What `ckpt save` waits for besides the scribe.
struct Watch: ~Copyable {
    let program: Int32
    let signals: Int32

    init(pid: Int32) throws(SaveFailure) {
        let program = ckpt_requester_watch(pid)
        guard program >= 0 else {
            throw SaveFailure(.unavailable, "there is no process \(pid)", "give the number that ps(1) shows")
        }
        self.program = program
        signals = ckpt_requester_take_signals()
    }

    deinit {
        close(program)
        close(signals)
    }

    /// Which of the descriptors have something; empty: the time is over.
    func wait(_ descriptors: [Int32], milliseconds: Int32) -> Set<Int32> {
        // Safety: the function reads as many words as it is told.
        let bits = unsafe ckpt_requester_wait(descriptors, descriptors.count, milliseconds)
        return Set(descriptors.enumerated().filter { bits > 0 && bits & (1 << $0.offset) != 0 }.map(\.element))
    }

    var signal: Int32 { ckpt_requester_read_signal(signals) }

    /// Sends the checkpoint signal with the nonce.
    func request(_ process: EnabledProcess, exit: Bool, nonce: UInt64) throws(SaveFailure) {
        let failure = ckpt_requester_send(process.pid, process.signal, nonce)
        guard failure == 0 else {
            let error = Errno(rawValue: -failure)
            throw SaveFailure(of: error, "sending the signal: \(error)", "be the user whose process it is, or root")
        }
    }
}

/// Owner of a process, and where its root directory is seen from here.
struct ProcessOwner {
    let uid, gid: UInt32
    let root: String

    init(pid: Int32) throws(SaveFailure) {
        var status = stat()
        // Safety: stat fills the struct it is given.
        guard unsafe stat("/proc/\(pid)", &status) == 0 else {
            throw SaveFailure(.unavailable, "there is no process \(pid)", "give the number that ps(1) shows")
        }
        (uid, gid) = (status.st_uid, status.st_gid)
        root = unsafe access("/proc/\(pid)/root/tmp", X_OK) == 0 ? "/proc/\(pid)/root" : ""
    }
}
