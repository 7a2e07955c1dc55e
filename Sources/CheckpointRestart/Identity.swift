// SPDX-License-Identifier: Apache-2.0
package import CheckpointImage
import CRestorer

/// What the process that becomes the program has to know of its identity.
package struct EnteredIdentity: Sendable {
    /// As `ckpt_restart_context.identity`: 0 kept in this namespace, 1 kept in a namespace of its own, 2 new.
    package let mode: UInt32
    /// Threads are made with the ids of the image.
    package var setThreadIds: Bool { mode != 2 }
    /// Each thread gives back its capabilities as its last operation (`Capability.header`, `Capability.nothing`):
    /// making the others with their ids takes one.
    package let dropCapabilities: Bool
    /// What is different for the program, in words; nil: nothing.
    package let remark: String?
    /// With new ids: where the program keeps the old ones, for each thread to correct.
    package var keptIds: [KeptId] = []
    /// By how many nanoseconds CLOCK_MONOTONIC is ahead of that of the process which was started.
    package var clockShift: Int64 = 0
}

/// Process and thread ids of the program.
package enum Identity {
    /// Before this everything runs in one thread. Returns in the process that shall become the program, with every signal
    /// blocked; the supervisor, which is this process unless the ids are new, and init never return.
    package static func enter(chain: ImageChain, options: RestartOptions) throws(RestartFailure) -> EnteredIdentity {
        let image = chain.newest
        SupervisorSignals.block()
        if options.identity == .new { return try enterNew(chain, options, reason: nil) }
        guard var signals = SupervisorSignals() else {
            throw RestartFailure(kind: .io, what: "signals can not be read", remedy: "close some descriptors and try again")
        }
        signals.takeEarly()
        let wanted = Wanted(
            process: image.process.pid, threads: image.threads.map(\.tid), beaconName: image.process.beaconName,
            clocks: Clocks.Wanted(image.process))
        let reason: String
        switch keep(wanted, signals, evenIfCrowded: options.identity == .keep) {
        case .success(let entered): return entered
        case .failure(let impossible): reason = impossible.reason
        }
        signals.giveBack()
        if options.identity == .keep {
            throw RestartFailure(
                kind: .unsupported, what: "process ids can not be kept: \(reason)",
                remedy: "restart where user namespaces are allowed or as root, or use --identity new")
        }
        return try enterNew(chain, options, reason: reason)
    }

    /// The ids of the image.
    package struct Wanted: Sendable {
        let process: Int32
        let threads: [Int32]
        let beaconName: String
        let clocks: Clocks.Wanted
        init(process: Int32, threads: [Int32], beaconName: String, clocks: Clocks.Wanted = .init()) {
            self.clocks = clocks
            self.process = process
            self.threads = [process] + threads.filter { $0 != process }
            self.beaconName = beaconName
        }
    }

    package struct Impossible: Error { package let reason: String }

    /// The ids of the image, here or in a namespace; no trace of the attempt when neither is possible.
    package static func keep(
        _ wanted: Wanted, _ signals: SupervisorSignals, evenIfCrowded: Bool
    ) -> Result<EnteredIdentity, Impossible> {
        let standing = Standing(of: wanted)
        if standing == .free || standing == .crowded && evenIfCrowded {
            if let entered = enterHere(wanted, signals) { return .success(entered) }
        }
        switch enterNamespace(wanted, signals) {
        case .success(let entered): return .success(entered)
        case .failure(let obstacle):
            // Better a crowded place than new ids.
            if standing == .crowded, let entered = enterHere(wanted, signals) { return .success(entered) }
            return .failure(Impossible(reason: "\(standing.text), and \(obstacle.text)"))
        }
    }

    /// How the image's ids stand in the present namespace.
    enum Standing: Equatable {
        case free
        /// Free, but the next processes of this host would get one of them.
        case crowded
        case taken(Int32)
        case tooHigh(Int32)
        case notAllowed

        init(of wanted: Wanted) {
            for id in wanted.threads {
                switch -ckpt_identity_probe(id) {
                case 0: continue
                case 17: self = .taken(id); return  // EEXIST
                case 22: self = .tooHigh(id); return  // EINVAL
                default: self = .notAllowed; return
                }
            }
            self = wanted.threads.contains(where: Standing.isNext) ? .crowded : .free
        }

        /// Kernel: ids are given out in a circle; the last field of /proc/loadavg is the last one.
        private static func isNext(_ id: Int32) -> Bool {
            guard let text = SmallFile.read("/proc/loadavg")?.split(separator: UInt8(ascii: " ")).last,
                let last = Int32(String(decoding: text.prefix { $0 >= 48 && $0 <= 57 }, as: UTF8.self)) else { return false }
            return id > last && id - last < 256
        }

        var text: String {
            switch self {
            case .free, .crowded: "the process could not be made here"
            case .taken(let id): "id \(id) is taken here"
            case .tooHigh(let id): "id \(id) is higher than this host allows"
            case .notAllowed: "ids can not be set here without privilege"
            }
        }
    }

    /// The process is made below this one, in the present namespace. nil: not possible after all.
    private static func enterHere(_ wanted: Wanted, _ signals: SupervisorSignals) -> EnteredIdentity? {
        let supervisor = ProcessCalls.perform(39)
        let dropCapabilities = Capability.comeFromFile
        let shift = Clocks.follow(wanted.clocks)
        let (id, process) = ProcessCalls.clone(flags: 0, tid: wanted.process)
        if id < 0 { return nil }
        if id > 0 {
            var above = Supervisor(
                program: .child(Int32(id)), process: process, signals: signals, beaconName: wanted.beaconName)
            above.run()
        }
        // Order: first the promise to die with the supervisor, then the look whether it is still there.
        _ = ProcessCalls.perform(157, 1, 9)  // PR_SET_PDEATHSIG, SIGKILL
        if ProcessCalls.perform(110) != supervisor { _ = ProcessCalls.perform(231, 0) }
        _ = ProcessCalls.perform(3, Int64(signals.descriptor))
        if dropCapabilities { _ = ProcessCalls.perform(157, 4, 1) }  // PR_SET_DUMPABLE
        return EnteredIdentity(mode: 0, dropCapabilities: dropCapabilities, remark: nil, clockShift: shift)
    }

    struct Obstacle: Error {
        let step: Init.Step, errno: Int32
        var text: String {
            switch (step, errno) {
            case (.none, _): "id 1 is kept for the init of a namespace"
            case (.clone, 1): "user namespaces are forbidden here (chroot, or a security policy)"
            case (.clone, 28), (.clone, 87): "no more user namespaces are allowed here (user.max_user_namespaces)"
            case (.clone, 22), (.clone, 38): "this kernel has no user namespaces"
            case (.program, 22): "an id is higher than a namespace here allows"
            default: "\(step.text) failed (error \(errno))"
            }
        }
    }

    private static func enterNamespace(_ wanted: Wanted, _ signals: SupervisorSignals) -> Result<EnteredIdentity, Obstacle> {
        if wanted.threads.contains(1) { return .failure(Obstacle(step: .none, errno: 0)) }
        guard let (own, other) = ProcessCalls.socketPair() else { return .failure(Obstacle(step: .clone, errno: 24)) }
        let user = UInt32(truncatingIfNeeded: ProcessCalls.perform(107)), group = UInt32(truncatingIfNeeded: ProcessCalls.perform(108))
        var namespaces: Init.Namespaces = [.process, .mount]  // What root may do without a user namespace.
        var (id, _) = cloneInit(namespaces)
        if id < 0 {
            namespaces.insert(.user)
            (id, _) = cloneInit(namespaces)
        }
        if id < 0 { return .failure(Obstacle(step: .clone, errno: Int32(-id))) }
        if id == 0 {
            _ = ProcessCalls.perform(3, Int64(own))
            _ = ProcessCalls.perform(3, Int64(signals.descriptor))
            let shift = Init(
                namespaces: namespaces, user: user, group: group, programId: wanted.process,
                highestId: wanted.threads.max() ?? wanted.process, clocks: wanted.clocks, socket: other
            ).becomeProgram()
            return .success(EnteredIdentity(
                mode: 1, dropCapabilities: namespaces.contains(.user),
                remark: namespaces.contains(.user)
                    ? "process ids are kept in a namespace: files of other users show owner 65534, no supplementary groups, no set-user-id programs"
                    : "process ids are kept in a namespace", clockShift: shift))
        }
        _ = ProcessCalls.perform(3, Int64(other))
        let answer = ProcessCalls.receive(from: own)
        if let answer, case .started = answer.message {
            var above = Supervisor(
                program: .ofInit(Int32(id), socket: own), process: answer.descriptor, signals: signals, beaconName: wanted.beaconName)
            above.run()
        }
        _ = ProcessCalls.wait(options: ChildEvent.Option.exited | ChildEvent.Option.all)
        _ = ProcessCalls.perform(3, Int64(own))
        if let answer, case .failed(let step, let errno) = answer.message { return .failure(Obstacle(step: step, errno: errno)) }
        return .failure(Obstacle(step: .program, errno: 3))
    }

    private static func cloneInit(_ namespaces: Init.Namespaces) -> (id: Int64, pidfd: Int32) {
        ProcessCalls.clone(flags: namespaces.rawValue)
    }

    /// This process becomes the program, as it is.
    private static func enterNew(_ chain: ImageChain, _ options: RestartOptions, reason: String?) throws(RestartFailure) -> EnteredIdentity {
        let remark = "the program runs with new process ids" + (reason.map { ": \($0)" } ?? "")
        let locks = IdentityLocks(chain)
        let kept = KeptId.all(in: chain)
        if let holder = locks.holder() ?? kept.contended, !options.force {
            throw RestartFailure(
                kind: .unsupported, what: "\(holder), which new process ids would break" + (reason.map { "; ids can not be kept: \($0)" } ?? ""),
                remedy: "restart where user namespaces are allowed or as root")
        }
        return EnteredIdentity(mode: 2, dropCapabilities: Capability.comeFromFile, remark: reason == nil ? nil : remark, keptIds: kept.ids)
    }
}
