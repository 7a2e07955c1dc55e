// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// man 2 timer_create, man 2 setitimer: the program's timers, and the one of its periodic checkpoint.
///
/// They are made, not started, when the threads are there that get their signals; a failure can still be told then. Each has
/// the id that it had: libc has it in the program's memory. They go on with the time that remained.
struct Timers {
    private let image: Image
    private let interval: IntervalTimer?
    /// By ascending ids.
    private let timers: [TimerState]

    init(image: Image, interval: IntervalTimer?) {
        self.image = image
        self.interval = interval
        // With --allow-missing: those that cannot be.
        let possible = image.timers.filter { Judgement.judge(process: image.process, mappings: [], descriptors: [], timers: [$0], host: nil).isEmpty }
        timers = (possible + (interval.map { [$0.state] } ?? [])).sorted { $0.id < $1.id }
    }

    /// In the process that becomes the program. `tids`: of its threads, by those that they had.
    func make(_ tids: [Int32: Int32]) throws(RestartFailure) {
        if timers.isEmpty { return }
        // Kernel: PR_TIMER_CREATE_RESTORE_IDS (since 6.15): timer_create takes the id that is where it will write one.
        let takesIds = (try? Kernel.call(.prctl, 77, 1)) != nil
        defer { if takesIds { _ = try? Kernel.call(.prctl, 77, 0) } }
        for timer in timers {
            guard let clock = clock(of: timer, tids) else {
                throw RestartFailure(kind: .missing, what: "the timer \(timer.id) counts the CPU time of a thread that has ended",
                    remedy: "delete it before the checkpoint")
            }
            do throws(Errno) { try make(timer, clock, tids, takesIds: takesIds) } catch { throw Timers.failure(timer, error) }
        }
    }

    private static func failure(_ timer: TimerState, _ error: Errno) -> RestartFailure {
        let what = "the timer \(timer.id) can not be made"
        switch error {
        case .resourceTemporarilyUnavailable:
            return RestartFailure(kind: .io, what: "\(what): \(error.description)", remedy: "raise the limit of pending signals (ulimit -i)")
        case .fileExists, .resourceBusy:
            return RestartFailure(kind: .unsupported, what: "\(what): this kernel gives it another id", remedy: "use Linux 6.15 or newer")
        default:
            return RestartFailure(kind: .permission, what: "\(what): \(error.description)", remedy: "restart it as a user who may make such a timer")
        }
    }

    /// Kernel: before 6.15 ids count up from 0 in each process, so those between are made and deleted.
    private static let turnsMax = 1 << 18

    private func make(_ timer: TimerState, _ clock: Int32, _ tids: [Int32: Int32], takesIds: Bool) throws(Errno) {
        var event: [UInt8] = []  // struct sigevent
        event.append(integer: timer.value)
        event.append(integer: timer.signal)
        // A signal for a thread that has ended never comes.
        let isSilent = timer.notify == 1 || timer.isBound && timer.tid == 0
        event.append(integer: isSilent ? 1 : timer.notify)
        event.append(integer: isSilent || !timer.isBound ? 0 : tids[timer.tid] ?? 0)
        event.append(contentsOf: repeatElement(0, count: 64 - event.count))
        for _ in 0..<Timers.turnsMax {
            var id: [UInt8] = []
            id.append(integer: timer.id)
            try Kernel.withBytes(&event) { event throws(Errno) in
                try Kernel.withBytes(&id) { id throws(Errno) in
                    _ = try Kernel.call(.timerCreate, UInt64(bitPattern: Int64(clock)), event, id)
                }
            }
            let got = Int32(bitPattern: id.word32(at: 0))
            if got == timer.id { return }
            try Kernel.call(.timerDelete, UInt64(bitPattern: Int64(got)))
            if takesIds || got > timer.id { break }
        }
        throw .fileExists
    }

    /// CPU time is that of the process or thread which has taken the place of the old one.
    private func clock(of timer: TimerState, _ tids: [Int32: Int32]) -> Int32? {
        guard let owner = timer.cpuTimeOf else { return timer.clock }
        if !timer.isOfThread { return -8 | timer.clock & 7 }
        // Of one thread alone, or of the one that gets the signal: see `Judgement`.
        let old = owner != 0 ? owner : timer.tid != 0 ? timer.tid : image.process.pid
        return tids[old].map { ~$0 << 3 | timer.clock & 7 }
    }

    /// For the restorer, as late as can be.
    func start(_ block: inout RestartBlock) -> [Operation] {
        var operations: [Operation] = []
        for timer in timers where timer.valueNs > 0 || timer.intervalNs > 0 {
            let setting = block.place(Timers.setting(interval: timer.intervalNs, value: max(1, timer.valueNs)))
            operations.append(Operation(CKPT_RESTART_STEP_TIMER, .timerSettime, [UInt64(timer.id), 0, setting, 0]))
        }
        for timer in image.itimers where timer.valueNs > 0 || timer.intervalNs > 0 {
            // Kernel: a periodic ITIMER_REAL stands still while its signal is pending (kernel/time/itimer.c): it expires once more,
            // which makes no second signal.
            var setting: [UInt8] = []  // struct itimerval
            for duration in [timer.intervalNs, max(1000, timer.valueNs)] {
                setting.append(integer: duration / 1_000_000_000)
                setting.append(integer: duration % 1_000_000_000 / 1000)
            }
            operations.append(Operation(CKPT_RESTART_STEP_TIMER, .setitimer, [UInt64(timer.which), block.place(setting), 0]))
        }
        return operations
    }

    /// struct itimerspec
    static func setting(interval: UInt64, value: UInt64) -> [UInt8] {
        var setting: [UInt8] = []
        for duration in [interval, value] {
            setting.append(integer: duration / 1_000_000_000)
            setting.append(integer: duration % 1_000_000_000)
        }
        return setting
    }
}
