// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// Resource limits: raised as far as they go for the restart itself, and set to what the program had when all else is done.
struct Limits {
    private var final: [LimitState] = []
    /// What is not as it was, in words.
    private(set) var remarks: [String] = []

    /// Their size depends on the host's memory, or they change nothing that the program computes: core, rss, nproc, memlock, locks,
    /// sigpending, nice, rtprio. Where these are lower here, they are as high as they go. So are those that nobody had set: that a batch
    /// queue limits its jobs is a rule of this host, as its memory is.
    private static let yielding: Set<UInt32> = [4, 5, 6, 8, 10, 11, 13, 14]
    /// What loading may need more of than the program is allowed in the end: fsize, data, stack, nproc, memlock, as, sigpending.
    private static let raised: Set<UInt32> = [1, 2, 3, 6, 8, 9, 11]

    init(_ image: Image, _ options: RestartOptions) throws(RestartFailure) {
        for wanted in image.limits {
            guard var here = Limits.current(wanted.resource) else { continue }
            if wanted.hard > here.hard {
                // Only with the right to.
                var more = here
                more.hard = wanted.hard
                if Limits.set(more) { here = more }
            }
            var limit = wanted
            limit.hard = min(wanted.hard, here.hard)
            limit.soft = min(wanted.soft, here.hard)
            if limit.soft != wanted.soft {
                let what = "the limit of \(wanted.name) was \(LimitState.text(wanted.soft)), here it is at most \(LimitState.text(here.hard))"
                if wanted.soft != LimitState.infinity && !Limits.yielding.contains(wanted.resource) && !options.force {
                    throw RestartFailure(
                        kind: .permission, what: what,
                        remedy: "raise it (ulimit -H\(Limits.letter(wanted.resource))), or go on with that one: --force")
                }
                remarks.append(what)
            }
            final.append(limit)
            if Limits.raised.contains(wanted.resource), here.soft < here.hard {
                here.soft = here.hard
                _ = Limits.set(here)
            }
        }
    }

    /// For the leader, behind everything that a limit could hinder.
    func operations(_ block: inout RestartBlock) -> [Operation] {
        final.map { limit in
            var bytes: [UInt8] = []
            for word in [limit.soft, limit.hard] { bytes.append(integer: word) }
            return Operation(CKPT_RESTART_STEP_LIMIT, .prlimit, [0, UInt64(limit.resource), block.place(bytes), 0])
        }
    }

    static func current(_ resource: UInt32) -> LimitState? {
        var bytes = [UInt8](repeating: 0, count: 16)
        guard ProcessCalls.perform(302, [0, Int64(resource), 0, 0], bytes: &bytes, at: 3) == 0 else { return nil }
        var limit = LimitState()
        limit.resource = resource
        (limit.soft, limit.hard) = (bytes.word64(at: 0), bytes.word64(at: 8))
        return limit
    }

    private static func set(_ limit: LimitState) -> Bool {
        var bytes: [UInt8] = []
        for word in [limit.soft, limit.hard] { bytes.append(integer: word) }
        return ProcessCalls.perform(302, [0, Int64(limit.resource), 0, 0], bytes: &bytes, at: 2) == 0
    }

    /// As ulimit of bash names it.
    private static func letter(_ resource: UInt32) -> String {
        let letters = ["t", "f", "d", "s", "c", "m", "u", "n", "l", "v", "x", "i", "q", "e", "r", "R"]
        return Int(resource) < letters.count ? letters[Int(resource)] : "a"
    }
}
