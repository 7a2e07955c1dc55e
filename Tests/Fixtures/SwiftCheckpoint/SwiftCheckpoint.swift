// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import FixtureSupport
import Glibc

/// The library's own behaviour, as the order of what happens. Arguments: `order` (hooks, deferring, now, events),
/// `failing` (an image path whose directory is missing), `restart` (hooks after a restart), `preflight`.
struct Refusal: Error {}

@main struct SwiftCheckpoint {
    static func main() async throws {
        begin()
        switch CommandLine.arguments.dropFirst().first {
        case "failing": try await failing()
        case "restart": try await restart()
        case "preflight": try preflight()
        default: try await order()
        }
    }

    static func describe(_ event: CheckpointEvent) -> String {
        switch event {
        case .saved(let report): "saved number \(report.sequence), \(report.threadCount > 0 && report.fileByteCount > 0 ? "with sizes" : "without sizes")"
        case .failed(let failure): "failed: \(describe(failure.error))"
        case .cancelled(let failure): "cancelled: \(describe(failure.error))"
        case .restarted(let context): "restarted, number \(context.count)"
        case .tooSoon: "too soon"
        }
    }
    static func describe(_ error: CheckpointError) -> String {
        switch error {
        case .imageNotWritten(_, _, let errno): "the image was not written, \(errno == ENOENT ? "the directory is missing" : "error \(errno)")"
        case .cancelled(let hooks): "a hook cancelled: \(hooks.joined(separator: ", "))"
        default: "\(error.description.split(separator: ";").first ?? "")"
        }
    }
    static func now() -> String {
        do throws(CheckpointError) {
            switch try Checkpoint.now() {
            case .saved(let report): return "saved number \(report.sequence)"
            case .restarted(let context): return "restarted, number \(context.count)"
            case .tooSoon: return "too soon"
            }
        } catch { return describe(error) }
    }

    /// The first events, printed as they come.
    static func follow(_ count: Int) -> Task<Void, Never> {
        let events = Checkpoint.events
        return Task.detached {
            var left = count
            for await event in events {
                fact("event: \(describe(event))")
                left -= 1
                if left == 0 { break }
            }
        }
    }

    static func order() async throws {
        fact("before enable: \(now())")
        try Checkpoint.enable()
        let events = follow(3)
        let one = Checkpoint.beforeCheckpoint { fact("before one") }
        let two = Checkpoint.beforeCheckpoint { fact("before two: now is \(now())") }
        let after = Checkpoint.afterCheckpoint { outcome in fact("after one: \(outcome)") }
        let last = Checkpoint.afterCheckpoint { outcome in fact("after two: \(outcome)") }
        fact("now: \(now())")
        let refusing = Checkpoint.beforeCheckpoint("the refusing one") { throw Refusal() }
        fact("now: \(now())")
        refusing.cancel()
        one.cancel()
        two.cancel()
        last.cancel()
        Checkpoint.deferring {
            fact("inside deferring: \(now())")
            Checkpoint.deferring { _ = kill(getpid(), SIGUSR1) }
            fact("the signal came, and nothing was taken yet")
        }
        await events.value
        after.cancel()
        await Checkpoint.deferring {
            await Task.yield()
            fact("inside deferring, across a suspension: \(now())")
        }
        try Checkpoint.enable(Configuration(signal: .usr2))
        fact("now, enabled again: \(now())")
        do throws(CheckpointError) { try Checkpoint.enable(Configuration(exitStatus: 700)) } catch { fact("a wrong setting: \(describe(error))") }
        fact("now, with the old settings: \(now())")
        Checkpoint.disable()
        fact("now, disabled: \(now())")
    }

    static func failing() async throws {
        try Checkpoint.enable(Configuration(image: "missing/program.img"))
        let events = follow(2)
        fact("now: \(now())")
        kill(getpid(), SIGUSR1) // raise() would ask this thread, and those of Swift's pool block it
        await events.value
        makeDirectory("missing")
        fact("now, with the directory: \(now())")
    }

    static func restart() async throws {
        try Checkpoint.enable()
        Checkpoint.afterRestart { context in fact("after-restart one: number \(context.count), \(context.environment["COLOUR"] ?? "no colour")") }
        Checkpoint.afterRestart { _ in fact("after-restart two") }
        Checkpoint.afterCheckpoint { _ in fact("after the checkpoint") }
        fact("READY")
        let outcome = now()
        fact("now: \(outcome)")
        while !isReleased() { usleep(1000) }
        fact("the end")
    }

    static func preflight() throws {
        try Checkpoint.enable()
        fact("at first: \(try Checkpoint.preflight())")
        let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        for finding in try Checkpoint.preflight() { fact("with a socket: \(finding.what.contains("\(socket)")), \(finding.why); \(finding.remedy)") }
        close(socket)
        fact("at last: \(try Checkpoint.preflight())")
    }
}
