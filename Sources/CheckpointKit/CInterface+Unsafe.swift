// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
internal import CCheckpointProcess

// The C interface, defined against include/checkpointkit.h: the compiler refuses what drifts from it.
// Safety: for all of this file: a pointer that a C caller gives is valid as the header says, for the call or, with a
// hook's context, until the hook is cancelled.

/// Bytes of `ckpt_config` in the first version, which `ckpt_config_init` knew.
private let firstConfigByteCount = unsafe MemoryLayout<ckpt_config>.offset(of: \.interval) ?? MemoryLayout<ckpt_config>.size

/// Every field its default.
private func defaultConfig(size: Int) -> ckpt_config {
    unsafe ckpt_config(
        size: size, image: nil, signal: 0, exit_signal: 0, exit_status: 0, generations: -1, verbose: 0, interval: nil,
        minimum_interval: nil, tracker: nil, pause_budget: nil, compression: nil, disk_limit: nil, chain_length: -1, trim_heap: 0)
}

@c @implementation
package func ckpt_config_init(_ config: UnsafeMutablePointer<ckpt_config>!) { unsafe ckpt_config_init_sized(config, firstConfigByteCount) }

@c @implementation
package func ckpt_config_init_sized(_ config: UnsafeMutablePointer<ckpt_config>!, _ size: Int) {
    // Safety: `size` bytes are the caller's; a larger struct than ours begins with ours.
    unsafe withUnsafeBytes(of: defaultConfig(size: size)) { bytes in
        unsafe UnsafeMutableRawPointer(config).initializeMemory(as: UInt8.self, repeating: 0, count: size)
        unsafe UnsafeMutableRawPointer(config).copyMemory(from: bytes.baseAddress!, byteCount: min(size, bytes.count))
    }
}

@c @implementation
package func ckpt_enable(_ config: UnsafePointer<ckpt_config>!) -> Int32 {
    number { () throws(CheckpointError) in
        var configuration = Configuration()
        if let config = unsafe config {
            // A caller that was compiled against a later header may know more fields; one of an earlier header, fewer.
            let size = unsafe UnsafeRawPointer(config).load(as: Int.self)
            guard size >= firstConfigByteCount else {
                throw .invalidSetting(name: "ckpt_config.size", value: "\(size)", reason: "ckpt_config_init sets it")
            }
            var known = unsafe defaultConfig(size: size)
            unsafe withUnsafeMutableBytes(of: &known) { bytes in
                unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(start: config, count: min(size, bytes.count)))
            }
            configuration = unsafe try Configuration(known)
        }
        try Coordinator.own.enable(configuration)
        return 0
    }
}

extension Configuration {
    fileprivate init(_ config: ckpt_config) throws(CheckpointError) {
        self.init()
        // Safety: the texts are the caller's, for the length of ckpt_enable.
        func text(_ pointer: UnsafePointer<CChar>?) -> String? { unsafe pointer.map { unsafe String(cString: $0) } }
        image = unsafe text(config.image)
        if unsafe config.signal != 0 { signal = unsafe CheckpointSignal(rawValue: config.signal) }
        if unsafe config.exit_signal != 0 { exitSignal = unsafe CheckpointSignal(rawValue: config.exit_signal) }
        if unsafe config.exit_status != 0 { exitStatus = unsafe Int(config.exit_status) }
        if unsafe config.generations != -1 { generations = unsafe Int(config.generations) }
        isVerbose = unsafe config.verbose != 0
        // The words of the variables, read by the same code.
        let words = unsafe [
            "CKPT_EVERY": text(config.interval), "CKPT_MIN_INTERVAL": text(config.minimum_interval), "CKPT_TRACKER": text(config.tracker),
            "CKPT_PAUSE": text(config.pause_budget), "CKPT_COMPRESS": text(config.compression), "CKPT_DISK_LIMIT": text(config.disk_limit),
        ]
        try setPolicy { name in words[name].flatMap { $0 }.flatMap { $0.isEmpty ? nil : Array($0.utf8) } }
        if unsafe config.chain_length != -1 { chainLength = unsafe Int(config.chain_length) }
        trimsHeap = unsafe config.trim_heap != 0
    }
}

@c @implementation
package func ckpt_disable() -> Int32 {
    Coordinator.own.disable()
    return 0
}

@c @implementation
package func ckpt_now() -> Int32 {
    number { () throws(CheckpointError) in
        switch try Coordinator.own.now() {
        case .saved: Int(CKPT_SAVED)
        case .restarted: Int(CKPT_RESTARTED)
        case .tooSoon: Int(CKPT_TOO_SOON)
        }
    }
}

@c @implementation
package func ckpt_defer_begin() -> Int32 {
    CurrentThread.enterDeferral()
    Coordinator.own.enterDeferral()
    return 0
}

@c @implementation
package func ckpt_defer_end() -> Int32 {
    guard CurrentThread.deferralDepth > 0 else { return Int32(CKPT_EINVAL) }
    // Order: the thread's own count first, because the last one may take the checkpoint right here.
    CurrentThread.leaveDeferral()
    Coordinator.own.leaveDeferral()
    return 0
}

@c @implementation
package func ckpt_exclude(_ start: UnsafeRawPointer!, _ byte_count: Int, _ as: Int32) -> Int32 {
    number { () throws(CheckpointError) in
        let exclusion: Checkpoint.Exclusion = switch `as` {
        case CKPT_DEAD: .dead
        case CKPT_READ_ONLY: .readOnly
        default: throw .invalidExclusion(reason: "there is no kind \(`as`)")
        }
        unsafe try Checkpoint.exclude(UnsafeRawBufferPointer(start: start, count: max(0, byte_count)), as: exclusion)
        return 0
    }
}

@c @implementation
package func ckpt_include(_ start: UnsafeRawPointer!, _ byte_count: Int) -> Int32 {
    number { () throws(CheckpointError) in
        unsafe try Checkpoint.include(UnsafeRawBufferPointer(start: start, count: max(0, byte_count)))
        return 0
    }
}

/// A hook that is a C function. The context is the caller's, to use from any thread: the header says so.
@safe private struct CHook<Function>: @unchecked Sendable {
    let function: Function
    let context: UnsafeMutableRawPointer?
}
private struct Refusal: Error, CustomStringConvertible { let description: String }

@c @implementation
package func ckpt_before_checkpoint(_ hook: ckpt_before_hook!, _ context: UnsafeMutableRawPointer!) -> Int64 {
    guard let function = unsafe hook else { return Int64(CKPT_EINVAL) }
    let hook = unsafe CHook(function: function, context: context)
    return Coordinator.own.addHook("a hook in C", before: {
        let result = unsafe hook.function(hook.context)
        if result != 0 { throw Refusal(description: "it returned \(result)") }
    }).number
}

@c @implementation
package func ckpt_after_checkpoint(_ hook: ckpt_after_hook!, _ context: UnsafeMutableRawPointer!) -> Int64 {
    guard let function = unsafe hook else { return Int64(CKPT_EINVAL) }
    let hook = unsafe CHook(function: function, context: context)
    return Coordinator.own.addHook(after: { outcome in
        let number = switch outcome {
        case .captured: CKPT_SAVED
        case .cancelled: CKPT_CANCELLED
        case .failed: CKPT_FAILED
        }
        unsafe hook.function(hook.context, number)
    }).number
}

@c @implementation
package func ckpt_after_restart(_ hook: ckpt_restart_hook!, _ context: UnsafeMutableRawPointer!) -> Int64 {
    guard let function = unsafe hook else { return Int64(CKPT_EINVAL) }
    let hook = unsafe CHook(function: function, context: context)
    return Coordinator.own.addHook(restart: { restart in unsafe hook.function(hook.context, UInt32(clamping: restart.count)) }).number
}

@c @implementation
package func ckpt_cancel_hook(_ registration: Int64) -> Int32 {
    Coordinator.own.cancelHook(registration) ? 0 : Int32(CKPT_EINVAL)
}

@c @implementation
package func ckpt_restart_environment(_ name: UnsafePointer<CChar>!) -> UnsafePointer<CChar>! {
    guard let name = unsafe name, Coordinator.own.engine.live.restartCount > 0 else { return nil }
    return unsafe Coordinator.own.engine.live.environmentValue(name)
}

@c @implementation
package func ckpt_restart_count_here() -> Int32 { lastRestart().flatMap(\.countHere).map(Int32.init(clamping:)) ?? -1 }

@c @implementation
package func ckpt_restart_siblings() -> Int32 { lastRestart().flatMap(\.siblings).map(Int32.init(clamping:)) ?? -1 }

private func lastRestart() -> RestartContext? {
    let live = Coordinator.own.engine.live
    return live.restartCount > 0 ? live.restartContext : nil
}

@c @implementation
package func ckpt_preflight(_ finding: ckpt_finding!, _ context: UnsafeMutableRawPointer!) -> Int32 {
    number { () throws(CheckpointError) in
        let findings = try Checkpoint.preflight()
        guard let report = unsafe finding else { return findings.count }
        for finding in findings {
            unsafe finding.what.withCString { what in
                unsafe finding.why.withCString { why in
                    unsafe finding.remedy.withCString { remedy in unsafe report(context, what, why, remedy) }
                }
            }
        }
        return findings.count
    }
}

@c @implementation
package func ckpt_strerror(_ error: Int32) -> UnsafePointer<CChar>! {
    // The texts are constants of the program.
    unsafe ckpt_error_text(error) ?? ckpt_error_text_unknown()
}

@c @implementation
package func ckpt_version() -> UnsafePointer<CChar>! { unsafe ckpt_version_text() }

/// What `body` returns, or the number of what it throws.
private func number(_ body: () throws(CheckpointError) -> Int) -> Int32 {
    do throws(CheckpointError) {
        return Int32(clamping: try body())
    } catch {
        let number = switch error {
        case .invalidSetting: CKPT_EINVAL
        case .signalInUse: CKPT_EBUSY
        case .notEnabled: CKPT_ENOTENABLED
        case .switchedOff: CKPT_EDISABLED
        case .insideHook, .insideDeferring: CKPT_EDEFERRED
        case .cancelled: CKPT_ECANCELLED
        case .threadNotParked: CKPT_EFREEZE
        case .imageNotWritten: CKPT_EIO
        case .systemFailure: CKPT_ESYSTEM
        case .unsupported: CKPT_EUNSUPPORTED
        case .invalidExclusion: CKPT_EINVAL
        case .tooManyExclusions: CKPT_EFULL
        }
        return Int32(number)
    }
}
