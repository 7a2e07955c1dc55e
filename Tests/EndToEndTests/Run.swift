// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// One way of a fixture through its life, in a directory of its own: started, checkpointed, killed, restarted, released.
final class Run {
    let fixture: Fixture
    let user: Flavour.User
    let directory: String
    let workshop = Workshop.shared
    private(set) var child: Child?
    private var starts = 0
    var environment: [String: String] = ["PATH": Workshop.path, "FIXTURE_GIVEN": "by the driver"]
    private var succeeded = false

    /// Another process in the directory of this one.
    init(_ fixture: Fixture, as user: Flavour.User, sharing other: Run) throws {
        self.fixture = fixture
        self.user = user
        directory = other.directory
        starts = 100
        firstStart = 100
    }
    private var firstStart = 0

    init(_ fixture: Fixture, as user: Flavour.User) throws {
        self.fixture = fixture
        self.user = user
        directory = workshop.directory + "/runs/\(fixture.program).\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if user == .nobody && geteuid() == 0 { setOwner(directory, 65534) }
        if let input = fixture.standardInput { try write(input, to: "input.text") }
    }

    deinit {
        child?.end()
        if succeeded && !Workshop.keepsDirectories { try? FileManager.default.removeItem(atPath: directory) }
    }

    /// The directory is no longer needed to find out what went wrong.
    func finish() { succeeded = true }

    var image: String { "\(directory)/\(fixture.program).img" }
    func write(_ content: String, to name: String) throws { try content.write(toFile: directory + "/" + name, atomically: false, encoding: .utf8) }
    func path(_ name: String) -> String { directory + "/" + name }
    func exists(_ name: String) -> Bool { fileExists(path(name)) }

    /// What the process that was started last has printed.
    var output: String { text(of: path("out.\(starts)")) }
    var errors: String { text(of: path("err.\(starts)")) }
    /// Facts of the third act.
    var facts: String {
        let all = fixture.factsFile.map { text(of: path($0)) } ?? output
        // A restarted process begins behind the first READY.
        guard fixture.factsFile != nil || starts == firstStart + 1, let mark = all.range(of: "READY\n") else { return all }
        return String(all[mark.upperBound...])
    }
    /// For the failure message.
    var story: String {
        var lines = ["fixture: \(fixture), as \(user), in \(directory)"]
        for index in stride(from: firstStart + 1, through: starts, by: 1) {
            lines.append("process \(index) printed: \(text(of: path("out.\(index)")))")
            let errors = text(of: path("err.\(index)"))
            if !errors.isEmpty { lines.append("process \(index) said on standard error: \(errors)") }
        }
        if let child { lines.append("it \(child.poll()?.description ?? "still runs")") }
        return lines.joined(separator: "\n")
    }

    /// Throws with the story.
    func explain<Result>(_ work: () throws -> Result) throws -> Result {
        do { return try work() } catch let broken as Broken { throw Broken("\(broken.description)\n\(story)") }
    }

    func start(_ program: String, _ arguments: [String], as other: Flavour.User? = nil) throws {
        starts += 1
        removeFile(path("alive"))
        let words = (other ?? user).prefix + [program] + arguments
        child = try Child(Command(program: words[0], arguments: Array(words.dropFirst()), directory: directory, environment: environment,
            input: fixture.standardInput != nil ? .file(path("input.text")) : .null,
            output: .file(path("out.\(starts)")), error: .file(path("err.\(starts)"))))
    }

    func start() throws {
        try start(workshop.program(fixture.program), fixture.arguments)
        try waitUntilAlive()
    }

    /// The fixture waits for the driver: for the first time, or again in a restarted process.
    func waitUntilAlive(seconds: Double = 60) throws {
        try awaitFact(seconds: seconds, "\(fixture) waits for its driver") {
            if exists("alive") { return true }
            if let ending = child?.poll() { throw Broken("\(fixture) \(ending) before it was ready") }
            return nil
        }
    }

    /// A word that changes with every image: which file it is, and when it was written.
    func imageMark(_ path: String? = nil) -> String? {
        guard let status = fileStatus(path ?? image) else { return nil }
        return "\(status.st_ino) \(status.st_mtim.tv_sec) \(status.st_mtim.tv_nsec)"
    }

    /// Takes a checkpoint and waits until it is there.
    func checkpoint(_ trigger: Flavour.Trigger = .signal, seconds: Double = 60) throws {
        guard let child else { throw Broken("nothing runs") }
        let before = imageMark()
        switch trigger {
        case .signal:
            child.signal(SIGUSR1)
            try awaitFact(seconds: seconds, "the image \(image) is there") {
                if let now = imageMark(), now != before { return true }
                if let ending = child.poll() { throw Broken("the program \(ending) instead of writing an image") }
                return nil
            }
        case .save:
            let saved = try ckpt("save", "\(child.id)")
            guard saved.ending == .exited(0) else { throw Broken("ckpt save \(saved.ending): \(saved.output)\(saved.errors)") }
            guard let now = imageMark(), now != before else { throw Broken("ckpt save wrote no \(image): \(saved.output)") }
        }
    }

    struct Answer { var ending: Ending, output: String, errors: String }
    private lazy var tools = firstStart

    /// Runs a tool to its end, in the run's directory, as the run's user.
    func tool(_ program: String, _ arguments: [String], seconds: Double = 60) throws -> Answer {
        tools += 1
        let out = path("tool.\(tools).out"), err = path("tool.\(tools).err")
        let words = user.prefix + [program] + arguments
        let child = try Child(Command(program: words[0], arguments: Array(words.dropFirst()), directory: directory, environment: environment,
            output: .file(out), error: .file(err)))
        let ending = try child.wait(seconds: seconds)
        return Answer(ending: ending, output: text(of: out), errors: text(of: err))
    }
    func ckpt(_ arguments: String...) throws -> Answer { try tool(workshop.program("ckpt"), arguments) }

    /// Runs ckpt-restart to its end: for images that it refuses.
    func tryRestart(_ image: String, _ options: [String] = [], seconds: Double = 60) throws -> Answer {
        try tool(workshop.program("ckpt-restart"), options + [image], seconds: seconds)
    }

    /// SIGKILL to the process that was started, as its user would; returns when all of the program is gone.
    func kill() throws {
        guard let child else { return }
        let all = processTree(below: child.id)
        child.signal(SIGKILL)
        _ = try child.wait()
        // An orphan that nobody reaps is gone, as far as the program is concerned.
        for id in all.dropFirst() { try awaitFact("process \(id) is gone") { !processExists(id) || isZombie(id) ? true : nil } }
        self.child = nil
    }

    func restart(_ options: [String] = [], image: String? = nil) throws {
        try start(workshop.program("ckpt-restart"), options + [image ?? self.image])
    }

    /// Lets the fixture do its third act; returns how it ended.
    func release(seconds: Double = 60) throws -> Ending {
        try write("", to: "release")
        guard let child else { throw Broken("nothing runs") }
        return try child.wait(seconds: seconds)
    }
}

/// True when this process has ended and nobody has asked how.
func isZombie(_ id: pid_t) -> Bool { text(of: "/proc/\(id)/status").contains("State:\tZ") }

/// This process and all below it that live, parents first.
func processTree(below id: pid_t) -> [pid_t] {
    var all = [id], next = 0
    while next < all.count {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(all[next])/task")) ?? []
        for task in tasks {
            all += text(of: "/proc/\(all[next])/task/\(task)/children").split(separator: " ").compactMap { pid_t($0) }.filter { !isZombie($0) }
        }
        next += 1
    }
    return all
}

/// The scribes among the children of this process, and the writers that they have made.
func scribes(below id: pid_t) -> [pid_t] {
    processTree(below: id).dropFirst().filter { text(of: "/proc/\($0)/comm").hasPrefix("ckpt-scribe") }
}

/// The scribes of programs of this run's fixture, also those that have outlived their program.
func scribes(of run: Run) -> [pid_t] {
    let program = run.workshop.directory + "/" + run.fixture.program
    return fileNames("/proc").compactMap { pid_t($0) }.filter {
        text(of: "/proc/\($0)/comm").hasPrefix("ckpt-scribe") && (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/exe")) == program
    }
}

func fileNames(_ directory: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted() }
