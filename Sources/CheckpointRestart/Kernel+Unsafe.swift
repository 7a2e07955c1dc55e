// SPDX-License-Identifier: Apache-2.0
import CRestorer
package import SystemPackage

/// Raw system calls with addresses as numbers: memory that is being put together for another program has no Swift type.
///
/// Safety: every address that is written or read here lies in a mapping that the caller has made at a place where
/// nothing of this program lives (`Placement`), or in an array that is held for the length of the call.
package enum Kernel {
    package enum Number: Int64 {
        case close = 3, mmap = 9, mprotect = 10, munmap = 11, rtSigaction = 13, rtSigprocmask = 14, pread = 17, ioctl = 16, exitGroup = 231, futex = 202, pwrite = 18
        case mremap = 25, madvise = 28, getcwd = 79, getdents64 = 217, getpid = 39, kill = 62, fcntl = 72, ftruncate = 77, capset = 126, prctl = 157
        case archPrctl = 158, gettid = 186, schedGetaffinity = 204, setTidAddress = 218, clockGettime = 228, tgkill = 234
        case openat = 257, setRobustList = 273, closeRange = 436, prlimit = 302, getrandom = 318, memfdCreate = 319
        case mlock2 = 325, rseq = 334, timerCreate = 222, timerSettime = 223, timerDelete = 226, setitimer = 38, timerfdSettime = 286, poll = 7
        case rtSigqueueinfo = 129, rtTgsigqueueinfo = 297, userfaultfd = 323, preadv = 295, setsid = 112
        case schedSetattr = 314, schedSetaffinity = 203, ioprioSet = 251, personality = 135
        case mseal = 462, shmat = 30
    }

    @discardableResult
    package static func call(
        _ number: Number, _ a: UInt64 = 0, _ b: UInt64 = 0, _ c: UInt64 = 0, _ d: UInt64 = 0, _ e: UInt64 = 0, _ f: UInt64 = 0
    ) throws(Errno) -> UInt64 {
        let result = ckpt_system_call(number.rawValue, a, b, c, d, e, f)
        if result < 0 && result >= -4095 { throw Errno(rawValue: CInt(-result)) }
        return UInt64(bitPattern: result)
    }

    /// Calls with the address of a copy of `bytes`, which the kernel may change.
    static func withBytes<Result, Failure>(_ bytes: inout [UInt8], _ body: (UInt64) throws(Failure) -> Result) throws(Failure) -> Result {
        try unsafe bytes.withUnsafeMutableBufferPointer { buffer throws(Failure) in try body(UInt64(UInt(bitPattern: buffer.baseAddress))) }
    }

    static func write(_ bytes: [UInt8], at address: UInt64) {
        guard let target = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return }
        unsafe bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { unsafe target.copyMemory(from: base, byteCount: source.count) }
        }
    }

    static func write(_ bytes: Span<UInt8>, at address: UInt64) {
        guard let target = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return }
        unsafe bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { unsafe target.copyMemory(from: base, byteCount: source.count) }
        }
    }

    static func copy(from source: UInt64, to target: UInt64, byteCount: UInt64) {
        guard let from = unsafe UnsafeRawPointer(bitPattern: UInt(source)),
            let to = unsafe UnsafeMutableRawPointer(bitPattern: UInt(target))
        else { return }
        unsafe to.copyMemory(from: from, byteCount: Int(byteCount))
    }

    package static func bytes(at address: UInt64, count: Int) -> [UInt8] {
        guard let source = unsafe UnsafeRawPointer(bitPattern: UInt(address)) else { return [] }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: source, count: count))
    }

    static func checksum(at address: UInt64, byteCount: UInt64) -> UInt32 {
        unsafe ckpt_crc32c(0, UnsafeRawPointer(bitPattern: UInt(address)), Int(byteCount))
    }

    static func isZero(at address: UInt64, byteCount: UInt64) -> Bool {
        let words = unsafe UnsafeBufferPointer(start: UnsafePointer<UInt64>(bitPattern: UInt(address)), count: Int(byteCount / 8))
        var sum: UInt64 = 0
        for index in words.indices { unsafe sum |= words[index] }
        return sum == 0
    }

    static func stepText(_ step: UInt32) -> String {
        // Safety: a constant of the executable, zero-terminated.
        unsafe ckpt_restart_step_text(step).map { unsafe String(cString: $0) } ?? ""
    }
}
