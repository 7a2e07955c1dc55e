// SPDX-License-Identifier: Apache-2.0
import Testing

/// The programs of Tests/Engine, in short: the engine without Swift, against the truth and with system calls that fail.
/// The long forms are `make tracker-test` and `make faults`.
@Suite struct EngineTests {
    private struct Built {
        static let failure: String? = {
            do {
                let log = Workshop.shared.directory + "/engine.log"
                let ending = try Child(Command(program: Workshop.root + "/Tests/Engine/build", arguments: [Workshop.root + "/.build/engine"],
                    directory: Workshop.root, environment: ["PATH": Workshop.path], output: .file(log), error: .file(log))).wait(seconds: 300)
                return ending == .exited(0) ? nil : text(of: log)
            } catch { return "\(error)" }
        }()
    }

    static func program(_ name: String) throws -> String {
        if let failure = Built.failure { throw Broken("Tests/Engine can not be built: \(failure)") }
        return "\(Workshop.root)/.build/engine/\(name)"
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        let user = Flavour.User.nobody, log = Workshop.shared.directory + "/runs/\(program).\(UInt32.random(in: 0 ... .max)).log"
        let words = user.prefix + [try Self.program(program), "--directory", Workshop.shared.directory + "/runs"] + arguments
        let ending = try Child(Command(program: words[0], arguments: Array(words.dropFirst()), directory: "/", environment: ["PATH": Workshop.path],
            output: .file(log), error: .file(log))).wait(seconds: 600)
        #expect(ending == .exited(0), "\(text(of: log))")
    }

    @Test(arguments: ["uffd", "mprotect"], ["0", "1"])
    func `an image holds what the memory held, whatever happened to it`(tracker: String, threads: String) throws {
        try run("tracker_rounds", ["--tracker", tracker, "--threads", threads, "--rounds", Workshop.isFull ? "10000" : "60"])
    }

    @Test(arguments: ["uffd", "mprotect"])
    func `what went wrong in the engine once goes right`(tracker: String) throws {
        try run("engine_cases", ["--tracker", tracker])
    }

    @Test(arguments: ["full", "increment"])
    func `a system call that fails loses no image`(scenario: String) throws {
        try run("fault_rounds", ["--only", scenario, "--every", Workshop.isFull ? "1" : "97"])
    }
}
