// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The engine without the library: programs in C that are linked to its sources (Tests/Engine). `make tracker-test` and
/// `make faults` run all of what is a sample here.
@Suite(.serialized) struct EngineTests {
    private func run(_ program: String, _ arguments: [String], as user: Flavour.User) throws {
        let directory = "/tmp/ckpt-tests.\(getpid())/engine"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let scratch = directory + "/\(program).\(user)", log = scratch + ".log"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        setMode(scratch, 0o1777)
        let environment = ["PATH": Workshop.path]
        let built = try Child(Command(program: Workshop.root + "/Tests/Engine/build", arguments: [directory], directory: Workshop.root,
            environment: environment, output: .file(log), error: .file(log))).wait(seconds: 300)
        #expect(built == .exited(0), "\(text(of: log))")
        let words = user.prefix + [directory + "/" + program] + arguments + ["--directory", scratch]
        let child = try Child(Command(program: words[0].hasPrefix("/") ? words[0] : "/usr/bin/" + words[0], arguments: Array(words.dropFirst()),
            directory: scratch, environment: environment, output: .file(log), error: .file(log)))
        defer { child.end() }
        #expect(try child.wait(seconds: 600) == .exited(0), "\(text(of: log))")
    }

    @Test(arguments: Flavour.User.available)
    func `after random operations each image is what the memory was`(user: Flavour.User) throws {
        try run("tracker_rounds", ["--rounds", "100", "--threads", "0"], as: user)
    }

    @Test func `while threads go on with them, each image is what the memory was when they stopped`() throws {
        try run("tracker_rounds", ["--rounds", "60", "--threads", "1"], as: .nobody)
    }

    @Test func `whichever system call goes wrong, the newest image is complete and the program goes on`() throws {
        try run("fault_rounds", ["--every", "97"], as: .nobody)
    }
}
