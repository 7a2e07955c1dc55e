// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
internal import CCheckpointProcess
internal import CheckpointImage
import Glibc

/// What `enable()` asks the process about itself.
package enum ProcessFacts {
    /// Of the environment; nil: not set, or empty.
    package static func environmentValue(_ name: String) -> [UInt8]? {
        // Safety: copied before anybody can change the environment; a program that calls setenv in another thread
        // meanwhile breaks every getenv.
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: value, count: strlen(value))).map { UInt8(bitPattern: $0) }
    }

    /// Name of the executable's file, as it was when first asked: in a restarted process /proc/self/exe may be `ckpt-restart`.
    package static let programName: [UInt8] = {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        // Safety: readlink writes at most the count it is given.
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe readlink("/proc/self/exe", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        // Safety: glibc sets the name at the start of the process and it stays.
        guard count > 0 else { return unsafe Array(String(cString: ckpt_invocation_name()).utf8) }
        var path = buffer[..<count]
        let deleted = Array(" (deleted)".utf8)
        if path.count > deleted.count, path.suffix(deleted.count).elementsEqual(deleted) { path.removeLast(deleted.count) }
        return Array(path[(path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? path.startIndex)...])
    }()

    /// The working directory, or a negative errno.
    package static func directory() -> (path: [UInt8], errno: Int32) {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        // Safety: getcwd writes at most the count it is given, with its zero byte.
        let isKnown = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe getcwd(bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count) != nil
        }
        return isKnown ? (Array(buffer.prefix { $0 != 0 }), 0) : ([], -errno)
    }

    /// Descriptors 0 to 2 as they are now.
    package static func standardStreams() -> [ckpt_inherited_stream] {
        (0...2).map { (descriptor: Int32) in
            var status = stat()
            // Safety: fstat fills the struct it is given.
            guard unsafe fstat(descriptor, &status) == 0 else { return ckpt_inherited_stream() }
            return ckpt_inherited_stream(device: UInt64(status.st_dev), inode: UInt64(status.st_ino), mode: status.st_mode, open: 1)
        }
    }

    /// True when the program handles this signal.
    package static func isHandled(_ signal: CheckpointSignal) -> Bool {
        var action = sigaction()
        // Safety: sigaction fills the struct it is given.
        guard unsafe sigaction(signal.rawValue, nil, &action) == 0 else { return false }
        return unsafe action.__sigaction_handler.sa_handler != nil
    }

    /// Where the program `ckpt` may be: beside the executable, in PATH, where `make install` puts it with the library.
    package static func toolPaths() -> [[UInt8]] {
        func directory(of path: [UInt8]) -> [UInt8] { Array(path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)]) }
        var directories: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        // Safety: readlink writes at most the count it is given.
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe readlink("/proc/self/exe", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        if count > 0 { directories.append(directory(of: Array(buffer[..<count]))) }
        directories += (environmentValue("PATH") ?? []).split(separator: UInt8(ascii: ":")).map(Array.init)
        // Safety: the loader's own string, which stays as long as this library is loaded.
        if let library = unsafe ckpt_library_path() {
            directories.append(directory(of: unsafe Array(String(cString: library).utf8)) + Array("/../bin".utf8))
        }
        return directories.map { $0 + Array("/ckpt".utf8) }
    }

    /// The names of `ProcessorLevel.switches` that glibc says are active; nil: it does not say.
    package static func glibcFeatures() -> Set<String>? {
        var active: Set<String> = []
        // glibc does not tell its preferences: what it was told is in the environment that it was started with.
        let told = Set((environmentValue("GLIBC_TUNABLES") ?? []).split { ",=:".utf8.contains($0) }
            .map { String(decoding: $0, as: UTF8.self) })
        if !told.contains("-" + ProcessorLevel.preference) { active.insert(ProcessorLevel.preference) }
        for (name, _) in ProcessorLevel.switches where name != ProcessorLevel.preference {
            // Safety: the string lives for the call.
            switch unsafe ckpt_glibc_has(name) {
            case 0: continue
            case 1: active.insert(name)
            default: return nil
            }
        }
        return active
    }

    /// Gives free heap back to the kernel.
    package static func trimHeap() { ckpt_trim_heap() }
    package static var isUnderValgrind: Bool { ckpt_is_under_valgrind() }

    /// True for a file that this user may execute.
    package static func isExecutable(_ path: [UInt8]) -> Bool {
        var status = stat()
        let name = String(decoding: path, as: UTF8.self)
        // Safety: stat fills the struct it is given; the string lives for the calls.
        return unsafe stat(name, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(name, X_OK) == 0
    }

    /// CLOCK_MONOTONIC.
    package static func monotonicTime() -> Duration {
        var time = timespec()
        // Safety: clock_gettime fills the struct it is given.
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// The plan for these settings.
    package static func plan(for settings: Settings, inherited: [ckpt_inherited_stream]) -> ckpt_plan {
        var plan = ckpt_plan()
        plan.version = CKPT_PLAN_VERSION
        plan.byte_count = UInt32(MemoryLayout<ckpt_plan>.size)
        plan.signal = settings.signal.rawValue
        plan.exit_signal = settings.exitSignal?.rawValue ?? 0
        plan.exit_status = settings.exitStatus
        plan.generations = settings.generations
        plan.freeze_deadline_ns = Settings.freezeDeadline
        plan.freeze_patience_ns = Settings.freezePatience
        plan.tracker = settings.tracker.rawTracker
        plan.pause_budget_ns = settings.pauseBudget.nanoseconds
        switch settings.interval {
        case .every(let interval): plan.interval_ns = interval.nanoseconds
        case .automatic(let failure): plan.failure_ns = failure.nanoseconds
        case nil: break
        }
        plan.minimum_interval_ns = settings.minimumInterval.nanoseconds
        plan.disk_limit_byte_count = settings.diskLimit
        plan.chain_length = settings.chainLength
        plan.processor_level = settings.processorLevel?.number ?? 0
        (plan.compression, plan.compression_level) = settings.compression.raw
        if inherited.count == 3 { plan.inherited = (inherited[0], inherited[1], inherited[2]) }
        // Safety: each function fills a field of this struct, of the size that its declaration says.
        plan.rseq_byte_count = unsafe ckpt_rseq(&plan.rseq_offset)
        plan.rseq_signature = CKPT_RSEQ_SIGNATURE
        plan.build_id_byte_count = unsafe withUnsafeMutableBytes(of: &plan.build_id) { bytes in
            unsafe ckpt_executable_build_id(bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
        }
        // Safety: the settings hold paths that are shorter than their fields, which are all zero.
        unsafe withUnsafeMutableBytes(of: &plan.sink_path) { unsafe $0.copyBytes(from: settings.sinkPath) }
        unsafe withUnsafeMutableBytes(of: &plan.image_path) { unsafe $0.copyBytes(from: settings.imagePath) }
        return plan
    }
}

/// Depth of the calling thread inside `deferring` and hooks.
package enum CurrentThread {
    package static var isInHook: Bool {
        get { ckpt_thread_is_in_hook() }
        set { ckpt_thread_set_in_hook(newValue) }
    }
    package static var deferralDepth: UInt32 { ckpt_thread_deferral_depth() }
    package static func enterDeferral() { ckpt_thread_change_deferral_depth(1) }
    package static func leaveDeferral() { ckpt_thread_change_deferral_depth(-1) }
}

/// What strerror(3) says.
package func text(ofErrno error: Int32) -> String {
    let number = error < 0 ? -error : error
    // Safety: the function writes at most the count it is given, with a zero byte.
    var buffer = [CChar](repeating: 0, count: 128)
    return unsafe buffer.withUnsafeMutableBufferPointer { bytes in
        unsafe ckpt_errno_text(number, bytes.baseAddress!, bytes.count)
        return unsafe String(cString: bytes.baseAddress!)
    }
}

/// Writes one line to standard error.
package func printToStandardError(_ line: String) {
    var bytes = Array((line + "\n").utf8)
    // Safety: write reads the bytes it is given. A line that cannot be written is nobody's loss.
    _ = unsafe bytes.withUnsafeMutableBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// The text of a step of signal time.
package func text(ofStep step: UInt32) -> String {
    // Safety: a constant string, or nil.
    guard let text = unsafe ckpt_step_text(step) else { return "step \(step)" }
    return unsafe String(cString: text)
}
