// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
internal import CCheckpointProcess

// The C interface, defined against include/checkpointkit.h: the compiler refuses what drifts from it.
// Safety: for all of this file: a pointer that a C caller gives is valid as the header says, for the call or, with a
// hook's context, until the hook is cancelled.

@c @implementation
package func ckpt_config_init(_ config: UnsafeMutablePointer<ckpt_config>!) {
    unsafe config.initialize(to: ckpt_config(
        size: MemoryLayout<ckpt_config>.size, image: nil, signal: 0, exit_signal: 0, exit_status: 0, generations: -1, verbose: 0))
}

@c @implementation
package func ckpt_enable(_ config: UnsafePointer<ckpt_config>!) -> Int32 {
    var configuration = Configuration()
    if let config = unsafe config {
        // A caller that was compiled against a later header may know more fields; one of an earlier header, fewer.
        guard unsafe config.pointee.size >= MemoryLayout<ckpt_config>.size else { return Int32(CKPT_EINVAL) }
        if let image = unsafe config.pointee.image { configuration.image = unsafe String(cString: image) }
        if unsafe config.pointee.signal != 0 { configuration.signal = unsafe CheckpointSignal(rawValue: config.pointee.signal) }
        if unsafe config.pointee.exit_signal != 0 {
            configuration.exitSignal = unsafe CheckpointSignal(rawValue: config.pointee.exit_signal)
        }
        if unsafe config.pointee.exit_status != 0 { configuration.exitStatus = unsafe Int(config.pointee.exit_status) }
        if unsafe config.pointee.generations != -1 { configuration.generations = unsafe Int(config.pointee.generations) }
        configuration.isVerbose = unsafe config.pointee.verbose != 0
    }
    return number { () throws(CheckpointError) in
        try Coordinator.own.enable(configuration)
        return 0
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
        }
        return Int32(number)
    }
}
