// SPDX-License-Identifier: Apache-2.0
import CLaunch
import Glibc

/// How a process ended.
enum Ending: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(by: Int32)

    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7f
        self = signal == 0 ? .exited((waitStatus >> 8) & 0xff) : .killed(by: signal)
    }

    var description: String {
        switch self {
        case .exited(let status): "exited with \(status)"
        case .killed(let signal): "killed by signal \(signal)"
        }
    }
}

/// What a child is started with. Standard output and error are files, so that nothing is lost when it is killed.
struct Command: Sendable {
    enum Stream: Sendable { case closed, file(String), null }
    var program: String
    var arguments: [String]
    var directory: String
    var environment: [String: String] = [:]
    var input = Stream.null
    var output = Stream.null
    var error = Stream.null
}

/// A child process in a process group of its own. It never outlives the object.
final class Child: @unchecked Sendable { // one test uses it, from one thread at a time
    let id: pid_t
    private(set) var ending: Ending?

    init(_ command: Command) throws {
        var id: pid_t = 0
        let error = Child.spawn(command, &id)
        guard error == 0 else { throw Broken("\(command.program) could not be started: error \(error)") }
        self.id = id
    }

    deinit { end() }

    /// The ending, when there is one by now.
    func poll() -> Ending? {
        if ending != nil { return ending }
        var status: Int32 = 0
        // Safety: `status` outlives the call.
        if unsafe waitpid(id, &status, WNOHANG) == id { ending = Ending(waitStatus: status) }
        return ending
    }

    /// Waits for the end, at most so long.
    func wait(seconds: Double = 60) throws -> Ending {
        try awaitFact(seconds: seconds, "process \(id) ends") { poll() }
    }

    func signal(_ number: Int32) {
        if poll() == nil { kill(id, number) }
    }

    /// Kills it and its group, and reaps it.
    func end() {
        guard poll() == nil else { return }
        kill(-id, SIGKILL)
        kill(id, SIGKILL)
        var status: Int32 = 0
        // Safety: `status` outlives the call. A killed child ends, so the wait does.
        while unsafe waitpid(id, &status, 0) < 0 && errno == EINTR {}
        ending = Ending(waitStatus: status)
    }

    private static func spawn(_ command: Command, _ id: inout pid_t) -> Int32 {
        // Safety: every string and `id` live until the call returns.
        unsafe ckpt_test_launch(command.directory, joined([command.program] + command.arguments),
            joined(command.environment.map { "\($0.key)=\($0.value)" }), command.input.path, command.output.path, command.error.path, &id)
    }

    private static func joined(_ words: [String]) -> [CChar] {
        words.flatMap { $0.utf8.map { CChar(bitPattern: $0) } + [0] } + [0]
    }
}

extension Command.Stream {
    var path: String {
        switch self {
        case .closed: ""
        case .null: "/dev/null"
        case .file(let path): path
        }
    }
}

/// Why a test could not be finished; its text says what the program printed.
struct Broken: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Waits for a fact, with a limit that only a hang reaches.
@discardableResult
func awaitFact<Fact>(seconds: Double = 60, _ what: @autoclosure () -> String, _ fact: () throws -> Fact?) throws -> Fact {
    let clock = ContinuousClock(), start = clock.now
    while true {
        if let found = try fact() { return found }
        if clock.now - start > .seconds(seconds) { throw Broken("not within \(Int(seconds)) s: \(what())") }
        usleep(1000)
    }
}

func processExists(_ id: pid_t) -> Bool { kill(id, 0) == 0 || errno != ESRCH }

/// A signal to this process when it still has a name that begins so; false: it has ended, and its number may be another's.
func kill(_ id: pid_t, named name: String, _ signal: Int32 = SIGKILL) -> Bool {
    // Safety: the string lives for the call.
    unsafe ckpt_test_signal_named(id, name, signal) == 0
}
