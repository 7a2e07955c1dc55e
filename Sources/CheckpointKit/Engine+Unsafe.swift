// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
internal import CCheckpointEngine

/// What plan time asks of signal time. A value, so that tests drive a live state of their own.
package struct Engine: Sendable {
    package var live: Live
    /// 0 or a negative errno.
    package var arm: @Sendable (borrowing ckpt_plan) -> Int32
    package var disarm: @Sendable () -> Int32
    /// A ticket, or a negative errno.
    package var request: @Sendable () -> Int64
    /// Waits until `event` differs; may return early.
    package var wait: @Sendable (_ seen: UInt32) -> Void
    /// Changes `event` and wakes everybody.
    package var announce: @Sendable () -> Void

    package init(
        live: Live, arm: @escaping @Sendable (borrowing ckpt_plan) -> Int32, disarm: @escaping @Sendable () -> Int32,
        request: @escaping @Sendable () -> Int64, wait: @escaping @Sendable (_ seen: UInt32) -> Void,
        announce: @escaping @Sendable () -> Void
    ) {
        self.live = live
        self.arm = arm
        self.disarm = disarm
        self.request = request
        self.wait = wait
        self.announce = announce
    }

    /// The engine of this process.
    package static let own = Engine(
        // Safety: the engine's live state is valid for the life of the process.
        live: unsafe Live(ckpt_engine_live()),
        // Safety: the engine copies the plan before it returns.
        arm: { plan in unsafe withUnsafePointer(to: plan) { unsafe ckpt_engine_arm($0) } },
        disarm: { ckpt_engine_disarm() },
        request: { ckpt_engine_request(0) },
        wait: { seen in ckpt_engine_wait_event(seen, 0) },
        announce: { ckpt_engine_announce() })

    /// The system call that a seccomp filter forbids, when `arm` has failed for that.
    package static var refusedCall: String? {
        // Safety: a constant string of the engine, or nil.
        unsafe ckpt_engine_refused_call().map { unsafe String(cString: $0) }
    }

    /// The notes of an image of this moment: the capture without a freeze. Empty with a negative errno when it failed.
    package static func survey() -> (notes: [UInt8], errno: Int32) {
        var byteCount = 1 << 20
        while true {
            var written: Int64 = 0
            let notes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                // Safety: the engine writes at most as many bytes as it is told, and returns how many it wrote.
                written = unsafe ckpt_engine_survey(buffer.baseAddress, byteCount)
                count = Int(max(0, written))
            }
            if written >= 0 { return (notes, 0) }
            // -ENOSPC: once more with more; 64 MiB are notes of some hundred thousand mappings.
            if written != -28 || byteCount >= 64 << 20 { return ([], Int32(clamping: written)) }
            byteCount *= 4
        }
    }
}
