// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// CLOCK_MONOTONIC and CLOCK_BOOTTIME begin with the host: on one with a shorter uptime they would go backwards, and every deadline
/// that the program holds in its memory would be far away; on one with a longer uptime every deadline would be over. So after another
/// boot they go on from what they were at the checkpoint. On the same host they have gone on by themselves.
///
/// Kernel (time_namespaces(7), since 5.6): a process that unshares its time namespace stays where it is, its children are in the new
/// one; the offsets are written before the first child, relative to the initial namespace, and begin as those of the old one.
enum Clocks {
    /// What they said at the checkpoint, in nanoseconds.
    struct Wanted: Sendable {
        var monotonic: UInt64 = 0, boottime: UInt64 = 0
        /// They are the clocks of this host, which has not been booted since.
        var isThisHost = true

        init() {}

        init(_ process: ProcessState) {
            (monotonic, boottime) = (process.monotonicNs, process.boottimeNs)
            // A program that an earlier restart has given clocks of its own began at another moment. When the wall clock was set
            // meanwhile that looks the same, and the clocks go on from the checkpoint, which does no harm.
            let then = Int64(clamping: process.realtimeNs) &- Int64(clamping: process.boottimeNs)
            let now = Int64(clamping: Kernel.nanoseconds(.realtime)) &- Int64(clamping: Kernel.nanoseconds(.boottime))
            isThisHost = Timerfd.isSameBoot(process) && (then &- now).magnitude < 60_000_000_000
        }
    }

    /// Before the process is made that becomes the program. Returns by how much its CLOCK_MONOTONIC is ahead of ours then; 0 where
    /// nothing has to be done, or is allowed.
    static func follow(_ wanted: Wanted) -> Int64 {
        func shift(_ then: UInt64, _ clock: Kernel.Clock) -> Int64 {
            guard then > 0, then < 1 << 60 else { return 0 }
            let shift = Int64(then) - Int64(clamping: Kernel.nanoseconds(clock))
            return shift > 0 || !wanted.isThisHost ? shift : 0
        }
        let monotonic = shift(wanted.monotonic, .monotonic), boottime = shift(wanted.boottime, .boottime)
        if monotonic == 0 && boottime == 0 { return 0 }
        guard ProcessCalls.perform(272, 0x80) == 0 else { return 0 }  // unshare, CLONE_NEWTIME
        let own = offsets()
        let text = line("monotonic", own["monotonic"] ?? 0, plus: monotonic) + line("boottime", own["boottime"] ?? 0, plus: boottime)
        return SmallFile.write(text, to: "/proc/self/timens_offsets") == 0 ? monotonic : 0
    }

    /// In nanoseconds, as they are.
    private static func offsets() -> [String: Int64] {
        var found: [String: Int64] = [:]
        for line in (SmallFile.read("/proc/self/timens_offsets") ?? []).split(separator: UInt8(ascii: "\n")) {
            let words = line.split { $0 == 32 || $0 == 9 }.map { String(decoding: $0, as: UTF8.self) }
            guard words.count == 3, let seconds = Int64(words[1]), let nanoseconds = Int64(words[2]), abs(seconds) < 1 << 32 else { continue }
            found[words[0]] = seconds * 1_000_000_000 + nanoseconds
        }
        return found
    }

    private static func line(_ clock: String, _ own: Int64, plus shift: Int64) -> String {
        let total = own &+ shift, billion: Int64 = 1_000_000_000
        // Kernel: the nanoseconds are never negative.
        let nanoseconds = (total % billion + billion) % billion
        return "\(clock) \((total - nanoseconds) / billion) \(nanoseconds)\n"
    }
}
