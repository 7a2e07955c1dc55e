// SPDX-License-Identifier: Apache-2.0
import CRestorer
import SystemPackage

/// System calls of identity, supervisor and init. Results are the kernel's: a number, or a negative errno.
///
/// Safety: every address that is handed over belongs to a value that is held for the length of the call, and its size is
/// that of the structure which the call is documented to read or write.
enum ProcessCalls {
    static func perform(
        _ number: Int64, _ a: Int64 = 0, _ b: Int64 = 0, _ c: Int64 = 0, _ d: Int64 = 0, _ e: Int64 = 0
    ) -> Int64 {
        func word(_ value: Int64) -> UInt64 { UInt64(bitPattern: value) }
        return ckpt_system_call(number, word(a), word(b), word(c), word(d), word(e), 0)
    }

    /// As `perform`, with the address of `bytes` as argument `position`.
    static func perform(
        _ number: Int64, _ arguments: [Int64], bytes: inout [UInt8], at position: Int
    ) -> Int64 {
        var words = arguments + Array(repeating: 0, count: 6 - arguments.count)
        return unsafe bytes.withUnsafeMutableBytes { buffer in
            words[position] = Int64(Int(bitPattern: buffer.baseAddress))
            return perform(number, words[0], words[1], words[2], words[3], words[4])
        }
    }

    /// As `perform`, with a zero-terminated copy of `text` as argument `position`.
    static func perform(_ number: Int64, _ arguments: [Int64], text: String, at position: Int) -> Int64 {
        var bytes = Array(text.utf8) + [0]
        return perform(number, arguments, bytes: &bytes, at: position)
    }

    /// `mount(source, target, type, flags, nil)`.
    static func mount(_ source: String, at target: String, type: String, flags: Int64) -> Int64 {
        unsafe source.withCString { source in
            unsafe target.withCString { target in
                unsafe type.withCString { type in
                    perform(165, Int64(Int(bitPattern: source)), Int64(Int(bitPattern: target)), Int64(Int(bitPattern: type)), flags)
                }
            }
        }
    }

    static func clone(flags: UInt64, tid: Int32 = 0) -> (id: Int64, pidfd: Int32) {
        var pidfd: Int32 = -1
        let id = unsafe ckpt_identity_clone(flags, tid, &pidfd)
        return (id, pidfd)
    }

    /// Two ends of a socket of whole messages, closed on exec.
    static func socketPair() -> (first: Int32, second: Int32)? {
        var pair = [UInt8](repeating: 0, count: 8)
        // AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC
        guard perform(53, [1, 5 | 0o2000000, 0], bytes: &pair, at: 3) == 0 else { return nil }
        return (integer(pair, at: 0), integer(pair, at: 4))
    }

    static func send(_ message: SupervisorMessage, to socket: Int32, descriptor: Int32 = -1) -> Int64 {
        let words = message.words
        return unsafe words.withUnsafeBufferPointer { unsafe ckpt_identity_send(socket, $0.baseAddress, descriptor) }
    }

    /// nil: the other end is closed.
    static func receive(from socket: Int32) -> (message: SupervisorMessage, descriptor: Int32)? {
        var words: [Int32] = [0, 0, 0]
        var descriptor: Int32 = -1
        let result = unsafe words.withUnsafeMutableBufferPointer { unsafe ckpt_identity_receive(socket, $0.baseAddress, &descriptor) }
        guard result == 0, let message = SupervisorMessage(words: words) else { return nil }
        return (message, descriptor)
    }

    /// Waits until one of the descriptors has something to say (also: its other end is closed); which ones have.
    static func poll(_ descriptors: [Int32], milliseconds: Int64) -> [Bool] {
        var bytes: [UInt8] = []
        for descriptor in descriptors {
            append(descriptor, to: &bytes)
            bytes += [1, 0, 0, 0]  // POLLIN
        }
        guard perform(7, [0, Int64(descriptors.count), milliseconds], bytes: &bytes, at: 0) > 0 else {
            return Array(repeating: false, count: descriptors.count)
        }
        return descriptors.indices.map { bytes[$0 * 8 + 6] != 0 || bytes[$0 * 8 + 7] != 0 }
    }

    /// `waitid(P_ALL)`; nil: nothing to tell, or no child.
    static func wait(options: Int64) -> Result<ChildEvent?, Errno> {
        var bytes = [UInt8](repeating: 0, count: 128)
        let result = perform(247, [0, 0, 0, options, 0], bytes: &bytes, at: 2)
        if result < 0 { return .failure(Errno(rawValue: CInt(-result))) }
        let pid = integer(bytes, at: 16)
        if pid == 0 { return .success(nil) }
        return .success(ChildEvent(pid: pid, code: integer(bytes, at: 8), status: integer(bytes, at: 24)))
    }

    /// Maps one page of the descriptor, shared and read-only.
    static func showPage(of descriptor: Int32) -> Bool {
        let result = ckpt_system_call(9, 0, 4096, 1, 1, UInt64(UInt32(bitPattern: descriptor)), 0)
        return result > 0
    }

    static func setCapabilities(header: [UInt8], sets: [UInt8]) -> Int64 {
        var header = header
        return unsafe sets.withUnsafeBytes { sets in
            perform(126, [0, Int64(Int(bitPattern: sets.baseAddress))], bytes: &header, at: 0)
        }
    }

    static func integer(_ bytes: [UInt8], at offset: Int) -> Int32 {
        Int32(truncatingIfNeeded: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) })
    }

    static func append(_ value: Int32, to bytes: inout [UInt8]) {
        for index in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: value >> Int32(8 * index))) }
    }
}
