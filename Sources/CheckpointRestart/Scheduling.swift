// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// How the kernel runs each thread. What may be refused is tried on this process, in its one thread, before anything is changed;
/// then each thread sets its own, last of all that it does.
struct Scheduling {
    private let states: [Int32: SchedulingState]
    private let own = SchedulingState(ofCaller: ())
    /// As this process may have it, by what the program had.
    private var settings: [Setting: Setting?] = [:]
    private var masks: Set<[UInt8]> = []
    /// What is not as it was, in words.
    private(set) var remarks: [String] = []

    /// What sched_setattr takes.
    private struct Setting: Hashable {
        var policy: UInt32, flags: UInt32, nice: Int32, priority: UInt32
        var runtime: UInt64, deadline: UInt64, period: UInt64
        init(_ state: SchedulingState) {
            (policy, flags, nice, priority) = (state.policy, state.flags, state.nice, state.priority)
            (runtime, deadline, period) = (state.runtimeNs, state.deadlineNs, state.periodNs)
        }
        /// struct sched_attr, of its first size.
        var bytes: [UInt8] {
            var bytes: [UInt8] = []
            for word in [48, policy] { bytes.append(integer: word) }
            bytes.append(integer: UInt64(flags & 7))
            bytes.append(integer: nice)
            bytes.append(integer: priority)
            for word in [runtime, deadline, period] { bytes.append(integer: word) }
            return bytes
        }
    }

    init(_ image: Image, _ options: RestartOptions) throws(RestartFailure) {
        states = Dictionary(image.schedulings.map { ($0.tid, $0) }) { first, _ in first }
        for state in image.schedulings {
            try find(state, options)
            tryProcessors(state)
        }
    }

    private mutating func find(_ state: SchedulingState, _ options: RestartOptions) throws(RestartFailure) {
        let wanted = Setting(state)
        guard settings[wanted] == nil, let own else { return }
        let before = Setting(own)
        // Whatever makes a thread less urgent is always allowed. Kernel: but the way back is not, so it is not tried.
        let isMore = state.isRealTime || state.policy != 5 && own.policy == 5 || state.nice < own.nice
        var result: Int64 = 0
        if isMore {
            result = Scheduling.set(wanted)
            if result == 0 { _ = Scheduling.set(before) }
        }
        if result == 0 { settings[wanted] = .some(wanted); return }
        let what = "\(state.policyName)\(state.isRealTime ? " \(state.priority)" : ", nice \(state.nice)")"
        guard state.isRealTime else {
            // As near as this user may come.
            var nearest = wanted
            nearest.nice = max(state.nice, own.nice)
            settings[wanted] = own.policy == 5 ? .some(nil) : .some(nearest)
            remarks.append("thread \(state.tid) ran as \(what), which this user may not have here")
            return
        }
        settings[wanted] = .some(nil)
        guard options.force else {
            throw RestartFailure(
                kind: result == -1 ? .permission : .unsupported,
                what: "thread \(state.tid) ran in the real-time class \(what), which is refused here (error \(-result))",
                remedy: "restart as root or with a higher limit (ulimit -r), or with --force as an ordinary thread")
        }
        remarks.append("thread \(state.tid) ran as \(what), and is an ordinary thread here")
    }

    private static func set(_ setting: Setting) -> Int64 {
        var bytes = setting.bytes
        return ProcessCalls.perform(314, [0, 0, 0], bytes: &bytes, at: 1)
    }

    /// Kernel: a mask is cut to the processors that exist and that the cpuset allows; with none left it is refused (EINVAL).
    private mutating func tryProcessors(_ state: SchedulingState) {
        guard !state.processors.isEmpty, !masks.contains(state.processors), var before = own?.processors else { return }
        var mask = state.processors
        let result = ProcessCalls.perform(203, [0, Int64(mask.count), 0], bytes: &mask, at: 2)
        let got = SchedulingState(ofCaller: ())?.processors ?? []
        _ = ProcessCalls.perform(203, [0, Int64(before.count), 0], bytes: &before, at: 2)
        if result < 0 {
            remarks.append("none of the processors \(state.processorList) of thread \(state.tid) exists here: it may use all")
        } else {
            masks.insert(state.processors)
            if got != state.processors { remarks.append("not all of the processors \(state.processorList) of thread \(state.tid) exist here") }
        }
    }

    /// Only what is different from this process, whose threads begin as it is.
    func operations(_ thread: ThreadState, _ block: inout RestartBlock) -> [Operation] {
        guard let state = states[thread.tid], let own else { return [] }
        var operations: [Operation] = []
        func add(_ number: Kernel.Number, _ arguments: [UInt64], check: Operation.Check = .any) {
            operations.append(Operation(CKPT_RESTART_STEP_THREAD_SCHEDULING, number, arguments, check: check))
        }
        if masks.contains(state.processors), state.processors != own.processors {
            add(.schedSetaffinity, [0, UInt64(state.processors.count), block.place(state.processors)])
        }
        if state.ioPriority != own.ioPriority, state.ioPriority != 0 { add(.ioprioSet, [1, 0, UInt64(state.ioPriority)]) }
        // Order: the class behind the slack, which a real-time thread has none of.
        if state.timerSlackNs != 0, state.timerSlackNs != own.timerSlackNs { add(.prctl, [29, state.timerSlackNs]) }
        if let setting = settings[Setting(state)] ?? nil, setting != Setting(own) {
            add(.schedSetattr, [0, block.place(setting.bytes), 0], check: state.isRealTime ? .success : .any)
        }
        return operations
    }
}

extension SchedulingState {
    /// Of this thread; nil: the kernel does not tell.
    init?(ofCaller: Void) {
        self.init()
        var bytes = [UInt8](repeating: 0, count: 48), mask = [UInt8](repeating: 0, count: 128)
        guard ProcessCalls.perform(315, [0, 0, 48, 0], bytes: &bytes, at: 1) == 0 else { return nil }
        policy = bytes.word32(at: 4)
        flags = bytes.word32(at: 8)
        nice = Int32(bitPattern: bytes.word32(at: 16))
        priority = bytes.word32(at: 20)
        // Of an ordinary thread: the system's time slice, which 0 stands for.
        (runtimeNs, deadlineNs, periodNs) = policy != 6 ? (0, 0, 0) : (bytes.word64(at: 24), bytes.word64(at: 32), bytes.word64(at: 40))
        let io = ProcessCalls.perform(252, 1, 0)  // ioprio_get
        ioPriority = io >> 13 > 0 ? UInt32(truncatingIfNeeded: io) : 0
        timerSlackNs = UInt64(max(0, ProcessCalls.perform(157, 30)))
        if ProcessCalls.perform(204, [0, 128, 0], bytes: &mask, at: 2) > 0 { processors = mask }
    }
}
