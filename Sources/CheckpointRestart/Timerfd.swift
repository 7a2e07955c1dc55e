// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// man 2 timerfd_create. A relative timer goes on with the time that remained. An absolute one keeps its point in time as
/// long as its clock is the same: always for CLOCK_REALTIME, until the next boot for the others; then it too has what remained.
enum Timerfd {
    private static let absolute: UInt32 = 1, cancelOnSet: UInt32 = 2

    static func make(_ state: DescriptorState, _ image: Image, _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        guard let detail = state.detail, image.timerfds.indices.contains(detail) else { throw .undescribed(state) }
        let timer = image.timerfds[detail]
        let flags = Int64(OpenFlag.closeOnExec | state.statusFlags & OpenFlag.nonBlocking)
        let created = ProcessCalls.perform(283, Int64(timer.clock), flags)
        let descriptor = try holder.hold(created, "a timer on clock \(timer.clock)")
        let expired = timer.valueNs == 0 && timer.ticks > 0
        if timer.valueNs > 0 || expired && timer.intervalNs > 0 {
            // A periodic timer that has expired is not armed until it is read: it expires once more, at once.
            let remaining = max(1, timer.valueNs)
            let value = timer.settimeFlags & absolute != 0 ? moment(remaining, timer, image.process) : remaining
            var setting: [UInt8] = []
            for duration in [timer.intervalNs, value] {
                for word in [duration / 1_000_000_000, duration % 1_000_000_000] {
                    for index in 0..<8 { setting.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) }
                }
            }
            let result = ProcessCalls.perform(
                286, [Int64(descriptor), Int64(timer.settimeFlags & (absolute | cancelOnSet)), 0, 0], bytes: &setting, at: 2)
            if result < 0 { throw DescriptorHolder.failure(result, "a timer on clock \(timer.clock)") }
        }
        if timer.ticks > 0 {
            if expired && timer.intervalNs > 0 { _ = ProcessCalls.poll([descriptor], milliseconds: 100) }
            setTicks(timer.ticks, of: descriptor)
        }
        return descriptor
    }

    /// The point in time on the timer's clock.
    private static func moment(_ remaining: UInt64, _ timer: TimerfdState, _ process: ProcessState) -> UInt64 {
        switch timer.clock {
        case 0, 8: return process.realtimeNs + remaining
        case 7, 9: return (isSameBoot(process) ? process.boottimeNs : Kernel.nanoseconds(.boottime)) + remaining
        default: return (isSameBoot(process) ? process.monotonicNs : Kernel.nanoseconds(.monotonic)) + remaining
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

    /// Expirations that nobody has read. Kernel: TFD_IOC_SET_TICKS (since 3.17, CONFIG_CHECKPOINT_RESTORE); without it, an
    /// expiration of its own is at least readable.
    private static func setTicks(_ ticks: UInt64, of descriptor: Int32) {
        var bytes = (0..<8).map { UInt8(truncatingIfNeeded: ticks >> UInt64(8 * $0)) }
        _ = ProcessCalls.perform(16, [Int64(descriptor), 0x4008_5400, 0], bytes: &bytes, at: 2)
    }
}
