// SPDX-License-Identifier: Apache-2.0
// How the kernel runs a thread, what a process may use, and what prctl has set: records of image.h, and their names.

package struct SchedulingState: Sendable, Equatable {
    package var tid: Int32 = 0
    /// SCHED_…
    package var policy: UInt32 = 0
    /// SCHED_FLAG_…
    package var flags: UInt32 = 0
    package var nice: Int32 = 0
    package var priority: UInt32 = 0
    /// Class << 13 | level; 0: as the nice value says.
    package var ioPriority: UInt32 = 0
    package var runtimeNs: UInt64 = 0, deadlineNs: UInt64 = 0, periodNs: UInt64 = 0
    package var timerSlackNs: UInt64 = 0
    /// One bit for each; empty: every one.
    package var processors: [UInt8] = []
    package init() {}

    package static let policyNames: [UInt32: String] = [0: "other", 1: "fifo", 2: "rr", 3: "batch", 5: "idle", 6: "deadline", 7: "ext"]
    package var policyName: String { SchedulingState.policyNames[policy] ?? "policy \(policy)" }
    /// SCHED_FIFO, SCHED_RR, SCHED_DEADLINE: not everybody may have them.
    package var isRealTime: Bool { [1, 2, 6].contains(policy) }

    /// As taskset prints it: `0-3,6`.
    package var processorList: String {
        let numbers = (0..<8 * processors.count).filter { processors[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
        var parts: [String] = []
        var index = 0
        while index < numbers.count {
            var last = index
            while last + 1 < numbers.count, numbers[last + 1] == numbers[last] + 1 { last += 1 }
            parts.append(last == index ? "\(numbers[index])" : "\(numbers[index])-\(numbers[last])")
            index = last + 1
        }
        return parts.joined(separator: ",")
    }
}

package struct LimitState: Sendable, Equatable {
    /// RLIMIT_…
    package var resource: UInt32 = 0
    package var soft: UInt64 = 0, hard: UInt64 = 0
    package init() {}

    package static let infinity = UInt64.max
    package static let names = [
        "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime",
    ]
    package var name: String { Int(resource) < LimitState.names.count ? LimitState.names[Int(resource)] : "resource \(resource)" }
    package static func text(_ value: UInt64) -> String { value == infinity ? "unlimited" : "\(value)" }
}

package enum AttributeKind: UInt32, Sendable, CaseIterable {
    case deathSignal = 1, noNewPrivileges, keepCapabilities, securebits, personality, timeStamps, machineCheck, storeBypass, indirectBranch
    case seccompMode, seccompFilters
    case dumpable = 16, noHugePages, subreaper, oomAdjustment, denyWriteExecute, inheritedFilters, filtersAddress

    package var word: String {
        switch self {
        case .deathSignal: "parent-death-signal"
        case .noNewPrivileges: "no-new-privileges"
        case .keepCapabilities: "keep-capabilities"
        case .securebits: "securebits"
        case .personality: "personality"
        case .timeStamps: "time-stamps"
        case .machineCheck: "machine-check"
        case .storeBypass: "store-bypass"
        case .indirectBranch: "indirect-branch"
        case .seccompMode: "seccomp-mode"
        case .seccompFilters: "seccomp-filters"
        case .dumpable: "dumpable"
        case .noHugePages: "no-huge-pages"
        case .subreaper: "subreaper"
        case .oomAdjustment: "oom-score-adjustment"
        case .denyWriteExecute: "deny-write-execute"
        case .inheritedFilters: "inherited-seccomp-filters"
        case .filtersAddress: "filters-address"
        }
    }

    /// What nearly every process has: not worth a word.
    package var ordinary: UInt64? {
        switch self {
        case .timeStamps, .dumpable: 1
        case .machineCheck: 2
        case .storeBypass, .indirectBranch, .filtersAddress: nil
        default: 0
        }
    }
}

package struct AttributeState: Sendable, Equatable {
    package var rawKind: UInt32 = 0
    /// 0: of the process, or of each thread that has no record of its own.
    package var tid: Int32 = 0
    package var value: UInt64 = 0
    package init() {}

    /// nil: of a later version.
    package var kind: AttributeKind? { AttributeKind(rawValue: rawKind) }
}

extension [AttributeState] {
    /// Of the process.
    package func value(of kind: AttributeKind) -> UInt64? { first { $0.tid == 0 && $0.kind == kind }?.value }
}
