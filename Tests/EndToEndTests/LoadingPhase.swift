// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// The loading phase of a lazy restart, seen from outside.
struct LoadingPhase {
    let run: Run
    let loader: pid_t
    /// The process that becomes the program.
    let program: pid_t
    /// All that was there when the loader was seen, and when that was.
    let processes: [pid_t]
    private let seen: ContinuousClock.Instant

    /// Restarts lazily and finds the loader. nil: the program is alive, or has ended, before it was seen.
    init?(of run: Run, identity: Flavour.Identity, below prefix: [String] = []) throws {
        // So that this process has seen it in time, on a busy host too.
        let words = ["nice", "-n", "10"] + prefix + [try run.workshop.program("ckpt-restart"), "--load", "lazy", "--identity", identity.rawValue,
            "--status-file", run.path("status"), run.image]
        try run.start(words[0], Array(words.dropFirst()))
        guard let child = run.child else { throw Broken("nothing runs") }
        let found: pid_t? = try awaitFact("a loader runs; there are \(LoadingPhase.described(run))") {
            // Order: whether the phase is over before the look for the loader.
            let isOver = run.exists("alive") || child.poll() != nil
            if let loader = LoadingPhase.loader(of: run) { return .some(loader) }
            return isOver ? .some(nil) : nil
        }
        guard let found else { return nil }
        seen = .now
        (self.run, loader) = (run, found)
        let below = processTree(below: child.id).dropFirst().filter { $0 != found }
        processes = [child.id, found] + below
        // With new ids ckpt-restart itself; else below it, with or without an init between them.
        program = identity == .new ? child.id : below.first { !text(of: "/proc/\($0)/comm").hasPrefix("ckpt-init") } ?? child.id
    }

    /// The one process of ckpt-restart that has a session of its own.
    private static func loader(of run: Run) -> pid_t? {
        processIds().first { id in
            id != run.child?.id && getsid(id) == id && text(of: "/proc/\(id)/comm") == "ckpt-restart\n" && isHere(id, run)
        }
    }

    /// What is there instead, and where it waits.
    private static func described(_ run: Run) -> String {
        processIds().filter { isHere($0, run) }.map { id in
            "\(text(of: "/proc/\(id)/stat")) at \(text(of: "/proc/\(id)/wchan")), \(fileNames("/proc/\(id)/task").map { text(of: "/proc/\(id)/task/\($0)/syscall") })"
        }.joined(separator: "; ")
    }

    fileprivate static func isHere(_ id: pid_t, _ run: Run) -> Bool {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/cwd")) == run.directory
    }

    /// False: it has ended by now.
    func signalLoader(_ signal: Int32) -> Bool { kill(loader, named: "ckpt-restart", signal) }

    /// SIGSTOP, and waits until it stands still. False: it has ended by now.
    func stopLoader() throws -> Bool {
        guard signalLoader(SIGSTOP) else { return false }
        return try awaitFact("the loader is stopped, or has ended") {
            if text(of: "/proc/\(loader)/status").contains("State:\tT") { return true }
            return !processExists(loader) || isZombie(loader) ? false : nil
        }
    }

    /// A thread that the loader has made, and which ends with it.
    func killHelper() -> Bool {
        guard let helper = fileNames("/proc/\(loader)/task").compactMap({ pid_t($0) }).first(where: { $0 != loader }) else { return false }
        return kill(helper, SIGKILL) == 0
    }

    /// Until this time has passed since the loader was seen.
    func wait(_ duration: Duration) {
        let left = seen + duration - .now
        if left > .zero { usleep(UInt32(left / .microseconds(1))) }
    }

    /// From when the loader was seen until it is gone; the program is left alone.
    func length() throws -> Duration {
        try awaitFact("the loader ends") { !processExists(loader) || isZombie(loader) ? true : nil }
        return .now - seen
    }

    func awaitNothingLeft() throws {
        try awaitFact("nothing is left of \(processes)") {
            processes.allSatisfy { !processExists($0) || isZombie($0) } && !processIds().contains { LoadingPhase.isHere($0, run) } ? true : nil
        }
    }
}

/// A phase that lasts until `end`: the program's user has as many signals queued as the program may have, so the loader's
/// reaches no thread; and the thread of the fixture `loading` that makes no system call computes on. It may be for ever.
final class OpenPhase {
    let phase: LoadingPhase
    private var program: pid_t { phase.program }
    private let queue: Child
    private static let limit = 1024 // with less it would be loaded eagerly

    init(of run: Run) throws {
        let words = run.user.prefix + [try run.workshop.program("full_queue"), "\(OpenPhase.limit + 100)"], said = run.path("queue")
        queue = try Child(Command(program: words[0], arguments: Array(words.dropFirst()), directory: run.directory,
            environment: run.environment, output: .file(said), error: .file(said)))
        let queue = self.queue
        try awaitFact("signals are queued") {
            if let ending = queue.poll() { throw Broken("full_queue \(ending): \(text(of: said))") }
            return text(of: said).hasSuffix("full\n") ? true : nil
        }
        removeFile(said)
        guard let phase = try LoadingPhase(of: run, identity: .new, below: ["prlimit", "--sigpending=\(OpenPhase.limit)"])
        else { throw Broken("the program went on though it can not be held") }
        self.phase = phase
        try awaitFact("all threads but one are held: \(threads)") {
            if let ending = run.child?.poll() { throw Broken("the program \(ending)") }
            return isSteady(asleep: true) ? true : nil
        }
    }

    /// The loader gets its threads.
    func end() { queue.end() }

    /// Those of /proc/PID/status that are pending for the process.
    var pending: Set<Int32> {
        let word = status("", "ShdPnd")
        return Set((1 ... 64).filter { word >> UInt64($0 - 1) & 1 == 1 })
    }

    private func status(_ thread: String, _ name: String) -> UInt64 {
        let line = text(of: "/proc/\(program)\(thread)/status").split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line.flatMap { UInt64($0.dropFirst(name.count + 2), radix: 16) } ?? 0
    }

    private struct Thread { var id: String, blocked: UInt64, sleeps: Bool, userTicks: UInt64 }
    private var threads: [Thread] {
        fileNames("/proc/\(program)/task").map { id in
            let words = text(of: "/proc/\(program)/task/\(id)/stat").split(separator: ")").last?.split(separator: " ") ?? []
            return Thread(id: id, blocked: status("/task/\(id)", "SigBlk"), sleeps: words.first == "S", userTicks: words.count > 11 ? UInt64(words[11]) ?? 0 : 0)
        }
    }

    /// Kernel: nobody can block SIGKILL and SIGSTOP.
    private static let everything = ~signals(9, 19)
    private static let computing = everything & ~signals(4, 5, 7, 8, 11, 31, 33)
    private static func signals(_ numbers: UInt64...) -> UInt64 { numbers.reduce(0) { $0 | 1 << ($1 - 1) } }

    /// One thread computes with the mask of the phase; the others wait in its handler, where they look about twice a second.
    private func isSteady(asleep: Bool = false) -> Bool {
        let all = threads
        return all.count == 5 && all.filter { $0.blocked == OpenPhase.computing }.count == 1
            && all.filter { $0.blocked == OpenPhase.everything && ($0.sleeps || !asleep) }.count == 4
    }

    /// The thread that computes does so for 50 ms of its own time, and the others are held all the while.
    func seeItCompute() throws {
        func ticks() -> UInt64 { threads.first { $0.blocked == OpenPhase.computing }?.userTicks ?? 0 }
        let before = ticks()
        try awaitFact("a thread computes: \(threads)") {
            guard isSteady() else { throw Broken("the program is not held any more: \(threads)") }
            return ticks() >= before + 5 ? true : nil
        }
    }
}

private func processIds() -> [pid_t] { ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) } }
