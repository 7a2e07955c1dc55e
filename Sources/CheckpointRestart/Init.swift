// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// PID 1 of the program's own namespace: makes the program's process, reaps what is left to it, and tells the supervisor.
///
/// Signals do not pass here: the supervisor reaches the program's process by its descriptor. All of init's are blocked.
struct Init {
    /// What it does before the program exists, for the line that says why not.
    enum Step: Int32 {
        case none = 0, clone, identityMap, parent, mounts, proc, program

        var text: String {
            switch self {
            case .none: "nothing"
            case .clone: "making namespaces"
            case .identityMap: "mapping the user id"
            case .parent: "following the supervisor"
            case .mounts: "making the mounts private"
            case .proc: "mounting /proc"
            case .program: "making the process"
            }
        }
    }

    /// Namespaces that init was made in.
    struct Namespaces: OptionSet {
        let rawValue: UInt64
        static let user = Namespaces(rawValue: 0x1000_0000)
        static let process = Namespaces(rawValue: 0x2000_0000)
        static let mount = Namespaces(rawValue: 0x2_0000)
    }

    let namespaces: Namespaces
    let user: UInt32, group: UInt32
    let programId: Int32, highestId: Int32
    let clocks: Clocks.Wanted
    let socket: Int32

    /// In the fresh PID 1. Returns in the process that becomes the program, and in no other, `EnteredIdentity.clockShift`.
    func becomeProgram() -> Int64 {
        if namespaces.contains(.user) { mapIds() }
        // Order: first the promise to die with the supervisor, then the look whether it is still there.
        require(ProcessCalls.perform(157, 1, 9), .parent)  // PR_SET_PDEATHSIG, SIGKILL
        // Kernel: the parent is outside the namespace, getppid() is always 0. Its end of the socket tells.
        if ProcessCalls.poll([socket], milliseconds: 0)[0] { exit(0) }
        // Mounts made outside still arrive; nothing of ours gets out.
        require(ProcessCalls.mount("none", at: "/", type: "none", flags: 0x4000 | 0x80000), .mounts)  // MS_REC | MS_SLAVE
        require(ProcessCalls.mount("proc", at: "/proc", type: "proc", flags: 2 | 4 | 8), .proc)  // nosuid, nodev, noexec
        raiseHighestId()
        let shift = Clocks.follow(clocks)
        let (id, process) = ProcessCalls.clone(flags: 0, tid: programId)
        if id == 0 {
            _ = ProcessCalls.perform(3, Int64(socket))
            if namespaces.contains(.user) { Capability.keepOnlyCheckpointRestore() }
            return shift
        }
        require(id, .program)
        serve(process)
    }

    /// Maps exactly the user's own ids: they look as they are. Kernel: without privilege only after setgroups is denied.
    private func mapIds() {
        _ = SmallFile.write("deny", to: "/proc/self/setgroups")
        require(SmallFile.write("\(user) \(user) 1", to: "/proc/self/uid_map"), .identityMap)
        require(SmallFile.write("\(group) \(group) 1", to: "/proc/self/gid_map"), .identityMap)
    }

    /// Kernel: since 6.14 each process namespace has a highest id of its own; before, this file is not for us.
    private func raiseHighestId() {
        guard namespaces.contains(.user), let limit = SmallFile.number("/proc/sys/kernel/pid_max"), highestId >= limit else { return }
        _ = SmallFile.write(String(highestId + 1), to: "/proc/sys/kernel/pid_max")
    }

    private func serve(_ process: Int32) -> Never {
        _ = ProcessCalls.perform(157, [15, 0], text: "ckpt-init", at: 1)  // PR_SET_NAME
        _ = ProcessCalls.perform(157, 4, 1)  // PR_SET_DUMPABLE
        _ = ProcessCalls.perform(80, [], text: "/", at: 0)
        _ = ProcessCalls.send(.started, to: socket, descriptor: process)
        DescriptorTable.closeAll(except: [socket])
        let options = ChildEvent.Option.exited | ChildEvent.Option.stopped | ChildEvent.Option.all
        while true {
            switch ProcessCalls.wait(options: options) {
            case .success(let event?) where event.pid == programId:
                if let end = SupervisorMessage.End(event) { outlast(end) }
                if event.code == ChildEvent.Code.stopped { _ = ProcessCalls.send(.stopped(signal: event.status), to: socket) }
            case .success: continue
            case .failure(.noChildProcess): exit(0)
            case .failure: continue
            }
        }
    }

    /// The program ended; the supervisor goes too. What the program left running (a daemon, a checkpoint that is still
    /// being written) goes on, and init with it.
    private func outlast(_ end: SupervisorMessage.End) -> Never {
        let rest = ChildEvent.Option.exited | ChildEvent.Option.all
        var alone = false
        var known = false
        while !known {
            switch ProcessCalls.wait(options: rest | ChildEvent.Option.noHang) {
            case .success(nil): known = true
            case .success: continue
            case .failure: (known, alone) = (true, true)
            }
        }
        if !alone { _ = ProcessCalls.perform(157, 1, 0) }  // PR_SET_PDEATHSIG: none
        _ = ProcessCalls.send(.ended(end, alone: alone), to: socket)
        _ = ProcessCalls.perform(3, Int64(socket))
        while true {
            if case .failure(let error) = ProcessCalls.wait(options: rest), error != .interrupted { exit(0) }
        }
    }

    private func require(_ result: Int64, _ step: Step) {
        if result >= 0 { return }
        _ = ProcessCalls.send(.failed(step: step, errno: Int32(-result)), to: socket)
        exit(0)
    }

    private func exit(_ status: Int64) -> Never {
        while true { _ = ProcessCalls.perform(231, status) }
    }
}
