// SPDX-License-Identifier: Apache-2.0
import CRestorer

/// What waitid tells of a child.
struct ChildEvent {
    let pid: Int32, code: Int32, status: Int32
    enum Code { static let exited: Int32 = 1, killed: Int32 = 2, dumped: Int32 = 3, stopped: Int32 = 5, continued: Int32 = 6 }
    enum Option { static let noHang: Int64 = 1, stopped: Int64 = 2, exited: Int64 = 4, leave: Int64 = 0x1000000, all: Int64 = 0x40000000 }
}

/// What init tells the supervisor.
enum SupervisorMessage {
    /// A step of init failed; nothing was started.
    case failed(step: Init.Step, errno: Int32)
    /// With a descriptor of the program's process.
    case started
    case stopped(signal: Int32)
    /// The program ended; `alone`: nothing is left in its namespace, init ends too.
    case ended(End, alone: Bool)

    enum End {
        case exited(status: Int32)
        case killed(signal: Int32)

        init?(_ event: ChildEvent) {
            switch event.code {
            case ChildEvent.Code.exited: self = .exited(status: event.status)
            case ChildEvent.Code.killed, ChildEvent.Code.dumped: self = .killed(signal: event.status)
            default: return nil
            }
        }
    }

    var words: [Int32] {
        switch self {
        case .failed(let step, let errno): [1, step.rawValue, errno]
        case .started: [2, 0, 0]
        case .stopped(let signal): [3, signal, 0]
        case .ended(.exited(let status), let alone): [4, status, alone ? 1 : 0]
        case .ended(.killed(let signal), let alone): [5, signal, alone ? 1 : 0]
        }
    }

    init?(words: [Int32]) {
        guard words.count == 3 else { return nil }
        switch words[0] {
        case 1:
            guard let step = Init.Step(rawValue: words[1]) else { return nil }
            self = .failed(step: step, errno: words[2])
        case 2: self = .started
        case 3: self = .stopped(signal: words[1])
        case 4: self = .ended(.exited(status: words[1]), alone: words[2] == 1)
        case 5: self = .ended(.killed(signal: words[1]), alone: words[2] == 1)
        default: return nil
        }
    }
}

/// `ckpt-restart` while the program runs below it: passes signals down and the program's end up, and nothing else.
///
/// It holds none of the program's streams: a reader of the program's output sees its end when the program closes it.
struct Supervisor {
    enum Program {
        /// A child of this process.
        case child(Int32)
        /// A child of our init, which tells by this socket.
        case ofInit(Int32, socket: Int32)
    }

    private let program: Program
    private let process: Int32
    private var signals: SupervisorSignals

    /// - Parameter process: descriptor of the program's process.
    init(program: Program, process: Int32, signals: SupervisorSignals, beaconName: String) {
        self.program = program
        self.process = process
        self.signals = signals
        showBeacon(named: beaconName)
        setName("ckpt-restart")
        makeDumpable()
        // The working directory would keep a file system busy.
        _ = ProcessCalls.perform(80, [], text: "/", at: 0)
        var kept = [process, signals.descriptor]
        if case .ofInit(_, let socket) = program { kept.append(socket) }
        DescriptorTable.closeAll(except: kept)
    }

    mutating func run() -> Never {
        signals.forwardEarly(to: process)
        while true {
            switch program {
            case .child:
                _ = ProcessCalls.poll([signals.descriptor], milliseconds: -1)
                forwardSignals()
                reapChildren()
            case .ofInit(_, let socket):
                let ready = ProcessCalls.poll([signals.descriptor, socket], milliseconds: -1)
                if ready[0] { forwardSignals() }
                if ready[1] { hearInit(socket) }
            }
        }
    }

    private func forwardSignals() {
        while let signal = signals.next() { signal.forward(to: process) }
    }

    private mutating func reapChildren() {
        let options = ChildEvent.Option.exited | ChildEvent.Option.stopped | ChildEvent.Option.noHang | ChildEvent.Option.all
        while case .success(let event?) = ProcessCalls.wait(options: options) {
            guard case .child(let pid) = program, event.pid == pid else { continue }
            if event.code == ChildEvent.Code.stopped { stop() }
            if let end = SupervisorMessage.End(event) { Supervisor.end(as: end) }
        }
    }

    private mutating func hearInit(_ socket: Int32) {
        switch ProcessCalls.receive(from: socket)?.message {
        case .stopped: stop()
        case .ended(let end, let alone):
            // Nothing of us stays behind when the shell shows its prompt.
            if alone { _ = ProcessCalls.wait(options: ChildEvent.Option.exited | ChildEvent.Option.all) }
            Supervisor.end(as: end)
        case .failed, .started: break
        case nil:  // init was killed, and the program with it.
            Supervisor.end(as: .killed(signal: 9))
        }
    }

    /// The program was stopped (Ctrl-Z): this process stops too, so that the shell notices; and goes on with it.
    private mutating func stop() {
        guard isProgramStopped else { return }  // Continued meanwhile.
        let own = ProcessCalls.perform(39)
        _ = ProcessCalls.perform(62, own, 19)  // SIGSTOP
        // Kernel: this call takes the lock that a signal to a process group holds while it is handed out: when it returns,
        // the program has the SIGCONT of `fg`, if it was meant for the whole group.
        _ = ProcessCalls.perform(109, 0, ProcessCalls.perform(121, 0))
        while let signal = signals.next() {
            if signal.number != 18 { signal.forward(to: process) }
        }
        if isProgramStopped { _ = ProcessCalls.perform(424, Int64(process), 18) }
    }

    private var isProgramStopped: Bool {
        guard let information = DescriptorTable.information(of: process), let pid = information.value(of: "Pid"), pid > 0,
            let state = SmallFile.read("/proc/\(pid)/stat"), let mark = state.lastIndex(of: UInt8(ascii: ")")), mark + 2 < state.count
        else { return true }
        return state[mark + 2] == UInt8(ascii: "T")
    }

    /// Ends this process as the program ended.
    private static func end(as end: SupervisorMessage.End) -> Never {
        switch end {
        case .exited(let status): exit(status)
        case .killed(let signal):
            // No core of the supervisor: a limit of 0 does not stop a core_pattern that is a pipe.
            _ = ProcessCalls.perform(157, 4, 0)  // PR_SET_DUMPABLE
            var nothing = [UInt8](repeating: 0, count: 32)
            _ = ProcessCalls.perform(160, [4, 0], bytes: &nothing, at: 1)  // RLIMIT_CORE
            _ = ProcessCalls.perform(13, [Int64(signal), 0, 0, 8], bytes: &nothing, at: 1)  // default action
            _ = ProcessCalls.perform(14, [2, 0, 0, 8], bytes: &nothing, at: 1)  // SIG_SETMASK, nothing
            _ = ProcessCalls.perform(62, ProcessCalls.perform(39), Int64(signal))
            exit(128 + signal)  // As PID 1 nothing kills us.
        }
    }

    private static func exit(_ status: Int32) -> Never {
        while true { _ = ProcessCalls.perform(231, Int64(status)) }
    }

    /// `ckpt save` and `ckpt list` find the program by this mapping also under the supervisor's process id.
    private func showBeacon(named name: String) {
        guard !name.isEmpty else { return }
        let descriptor = ProcessCalls.perform(319, [0, 1], text: name, at: 0)  // MFD_CLOEXEC
        guard descriptor >= 0 else { return }
        _ = ProcessCalls.perform(77, descriptor, 4096)
        _ = ProcessCalls.showPage(of: Int32(descriptor))
        _ = ProcessCalls.perform(3, descriptor)
    }

    private func setName(_ name: String) { _ = ProcessCalls.perform(157, [15, 0], text: name, at: 1) }

    /// An executable with file capabilities hides its /proc from its own user.
    private func makeDumpable() { _ = ProcessCalls.perform(157, 4, 1) }
}
