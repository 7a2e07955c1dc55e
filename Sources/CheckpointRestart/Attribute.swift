// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// What prctl and its like had set for the process and each thread. Only what is different here is set; nothing of it fails a
/// restart, because what may be refused is looked at before.
struct Attributes {
    private let process: [AttributeKind: UInt64]
    private let threads: [Int32: [AttributeKind: UInt64]]
    private let own: [AttributeKind: UInt64]
    private let filters: UInt32
    /// What is not as it was, in words.
    private(set) var remarks: [String] = []

    /// In the process that becomes the program.
    init(_ image: Image) {
        var process: [AttributeKind: UInt64] = [:], threads: [Int32: [AttributeKind: UInt64]] = [:]
        for attribute in image.attributes {
            guard let kind = attribute.kind else { continue }
            if attribute.tid == 0 { process[kind] = attribute.value } else { threads[attribute.tid, default: [:]][kind] = attribute.value }
        }
        (self.process, self.threads) = (process, threads)
        own = Attributes.here()
        let status = SmallFile.read("/proc/self/status").map(KeyedLines.init)
        let mode = ProcessCalls.perform(157, 21)  // PR_GET_SECCOMP
        filters = UInt32(clamping: status?.value(of: "Seccomp_filters") ?? (mode > 0 ? 1 : 0))
        adjustOOM()
        // SECBIT_KEEP_CAPS is the one that keepCapabilities sets.
        let keep: UInt64 = 1 << 4
        if let wanted = process[.securebits], let now = own[.securebits], (wanted ^ now) & ~keep != 0,
            ProcessCalls.perform(157, 28, Int64(wanted & ~keep)) != 0 {
            remarks.append("the securebits were \(wanted), which this user may not set")
        }
    }

    /// Of this thread, by kind. Kernel: as the engine asks (capture_attribute.c).
    private static func here() -> [AttributeKind: UInt64] {
        var own: [AttributeKind: UInt64] = [:]
        let words: [(AttributeKind, Int64, Int64)] = [
            (.noNewPrivileges, 39, 0), (.keepCapabilities, 7, 0), (.securebits, 27, 0), (.machineCheck, 34, 0),
            (.storeBypass, 52, 0), (.indirectBranch, 52, 1), (.noHugePages, 42, 0), (.denyWriteExecute, 66, 0), (.dumpable, 3, 0),
        ]
        let asked: [(AttributeKind, Int64)] = [(.deathSignal, 2), (.timeStamps, 25), (.subreaper, 37)]
        for (kind, option, argument) in words {
            let value = ProcessCalls.perform(157, option, argument)
            if value >= 0 { own[kind] = UInt64(value) }
        }
        for (kind, option) in asked {
            var bytes = [UInt8](repeating: 0, count: 4)
            if ProcessCalls.perform(157, [option, 0], bytes: &bytes, at: 1) == 0 { own[kind] = UInt64(bytes.word32(at: 0)) }
        }
        let personality = ProcessCalls.perform(135, 0xffff_ffff)
        if personality >= 0 { own[.personality] = UInt64(personality) }
        return own
    }

    /// proc_pid_oom_score_adj(5): to make a process less likely to be chosen takes a right, when it never had that.
    private mutating func adjustOOM() {
        guard let wanted = process[.oomAdjustment].map(Int64.init(bitPattern:)), (-1000...1000).contains(wanted) else { return }
        let path = "/proc/self/oom_score_adj"
        let text = SmallFile.read(path).map { String(decoding: $0.filter { $0 > 32 }, as: UTF8.self) }
        guard text.flatMap({ Int64($0) }) != wanted else { return }
        if SmallFile.write("\(wanted)", to: path) < 0 { remarks.append("oom_score_adj was \(wanted), which is refused here") }
    }

    /// Tells the program how many seccomp filters it was restarted under: these are not its own.
    func write(to memory: ProgramMemory) -> Bool {
        guard let address = process[.filtersAddress], address != 0 else { return true }
        var bytes: [UInt8] = []
        for _ in 0..<2 { bytes.append(integer: filters) }
        return memory.write(bytes, at: address)
    }

    /// For a thread but the leader, and for that one at the end of everything.
    func operations(_ thread: ThreadState) -> [Operation] {
        let wanted = process.merging(threads[thread.tid] ?? [:]) { _, own in own }
        return AttributeKind.allCases.compactMap { (kind) -> Operation? in
            guard let value = wanted[kind], let now = own[kind], value != now else { return nil }
            switch kind {
            // 0 where the program had none: that of the restart stays, by which the program ends with its supervisor.
            case .deathSignal: return value == 0 || value > 64 ? nil : set([1, value])
            case .noNewPrivileges: return value == 1 ? set([38, 1]) : nil  // never taken back
            case .keepCapabilities: return set([8, value])
            case .personality: return value & 0xff == 0 ? Operation(CKPT_RESTART_STEP_ATTRIBUTE, .personality, [value], check: .any) : nil
            case .timeStamps: return set([26, value])
            // PR_MCE_KILL_CLEAR 0, PR_MCE_KILL_SET 1; policy 2: that of the system
            case .machineCheck: return value < 2 ? set([33, 1, value]) : set([33, 0, 0])
            case .storeBypass: return speculation(0, value)
            case .indirectBranch: return speculation(1, value)
            default: return nil
            }
        }
    }

    /// Kernel: PR_SPEC_PRCTL 1 says that it can be set, to one of ENABLE 2, DISABLE 4, FORCE_DISABLE 8, DISABLE_NOEXEC 16.
    private func speculation(_ which: UInt64, _ value: UInt64) -> Operation? {
        value & 1 != 0 && value & 0x1e != 0 ? set([53, which, value & 0x1e]) : nil
    }

    /// Of the process; by the leader, when the others are ready. Order: dumpable last, because /proc closes with it.
    func operations() -> [Operation] {
        [AttributeKind.noHugePages, .subreaper, .denyWriteExecute, .dumpable].compactMap { (kind) -> Operation? in
            guard let value = process[kind], value != own[kind] ?? 0 else { return nil }
            switch kind {
            case .noHugePages: return set([41, value & 1, value & ~1])  // the rest: PR_THP_DISABLE_EXCEPT_ADVISED, since 6.18
            case .subreaper: return set([36, value])
            case .denyWriteExecute: return set([65, value])
            // 2 (a process that has changed its user) can not be set, and 0 keeps others out as well.
            default: return set([4, value == 1 ? 1 : 0])
            }
        }
    }

    private func set(_ arguments: [UInt64]) -> Operation { Operation(CKPT_RESTART_STEP_ATTRIBUTE, .prctl, arguments, check: .any) }
}
