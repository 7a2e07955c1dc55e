// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage

/// man 2 timerfd_create. A relative timer goes on with the time that remained. An absolute one keeps its point in time as
/// long as its clock is the same: always for CLOCK_REALTIME, until the next boot for the others; then it too has what remained.
enum Timerfd {
    private static let absolute: UInt32 = 1, cancelOnSet: UInt32 = 2
    /// Kernel: TFD_IOC_SET_TICKS (since 3.17, CONFIG_CHECKPOINT_RESTORE); without it, an expiration of its own is at least readable.
    private static let setTicks: UInt64 = 0x4008_5400

    /// Not started, but readable when it was: an epoll asks when it is filled.
    static func make(_ state: DescriptorState, _ image: Image, _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        guard let detail = state.detail, image.timerfds.indices.contains(detail) else { throw .undescribed(state) }
        let timer = image.timerfds[detail]
        let flags = Int64(OpenFlag.closeOnExec | state.statusFlags & OpenFlag.nonBlocking)
        let created = ProcessCalls.perform(283, Int64(timer.clock), flags)
        let descriptor = try holder.hold(created, "a timer on clock \(timer.clock)")
        var ticks: [UInt8] = []
        ticks.append(integer: timer.ticks)
        if timer.ticks > 0 { _ = ProcessCalls.perform(16, [Int64(descriptor), Int64(setTicks), 0], bytes: &ticks, at: 2) }
        return descriptor
    }

    /// Starts it, when every thread is ready: loading takes nothing from what remains.
    static func start(_ state: DescriptorState, _ image: Image, _ block: inout RestartBlock) -> [Operation] {
        guard let detail = state.detail, image.timerfds.indices.contains(detail) else { return [] }
        let timer = image.timerfds[detail], descriptor = UInt64(state.number)
        var operations: [Operation] = []
        let expired = timer.valueNs == 0 && timer.ticks > 0
        if timer.valueNs > 0 || expired && timer.intervalNs > 0 {
            // A periodic timer that has expired is not armed until it is read: it expires once more, at once.
            let remaining = max(1, timer.valueNs)
            let value = timer.settimeFlags & absolute != 0 ? moment(remaining, timer, image.process) : remaining
            operations.append(Operation(CKPT_RESTART_STEP_TIMER, .timerfdSettime,
                [descriptor, UInt64(timer.settimeFlags & (absolute | cancelOnSet)), block.place(Timers.setting(interval: timer.intervalNs, value: value)), 0]))
            if expired {
                var poll: [UInt8] = []
                poll.append(integer: state.number)
                poll.append(integer: UInt32(1))  // POLLIN
                operations.append(Operation(CKPT_RESTART_STEP_TIMER, .poll, [block.place(poll), 1, 100], check: .any))
            }
        }
        // Kernel: setting it has taken the expirations away that nobody has read.
        if timer.ticks > 0 {
            var ticks: [UInt8] = []
            ticks.append(integer: timer.ticks)
            operations.append(Operation(CKPT_RESTART_STEP_TIMER, .ioctl, [descriptor, setTicks, block.place(ticks)], check: .any))
        }
        return operations
    }

    /// The point in time on the timer's clock.
    private static func moment(_ remaining: UInt64, _ timer: TimerfdState, _ process: ProcessState) -> UInt64 {
        switch timer.clock {
        case 0, 8: return (timer.clockNs > 0 ? timer.clockNs : process.realtimeNs) &+ remaining
        case 7, 9: return (isSameBoot(process) ? (timer.clockNs > 0 ? timer.clockNs : process.boottimeNs) : Kernel.nanoseconds(.boottime)) &+ remaining
        default: return (isSameBoot(process) ? (timer.clockNs > 0 ? timer.clockNs : process.monotonicNs) : Kernel.nanoseconds(.monotonic)) &+ remaining
        }
    }

    static func isSameBoot(_ process: ProcessState) -> Bool {
        guard let text = SmallFile.read("/proc/sys/kernel/random/boot_id") else { return false }
        let digits = text.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "\n") }
        let own = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16)
        }
        return own == process.bootId
    }
}
