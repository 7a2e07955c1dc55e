// SPDX-License-Identifier: Apache-2.0
import CheckpointRestart
import Testing

@Suite struct OptionTests {
    @Test func `the longest mapped path wins, at a border of components`() {
        var options = RestartOptions()
        options.mappedPaths = [.init(old: "/data", new: "/mnt/a"), .init(old: "/data/in", new: "/mnt/b"), .init(old: "/", new: "/host/")]
        #expect(options.mapped("/data/x") == "/mnt/a/x")
        #expect(options.mapped("/data/in/x") == "/mnt/b/x")
        #expect(options.mapped("/data") == "/mnt/a")
        #expect(options.mapped("/database") == "/host/database")
    }

    @Test func `a failure is one line with its class first`() {
        let failure = RestartFailure(kind: .missing, what: "the thread id 7 is taken", remedy: "try again")
        #expect(failure.line == "missing: the thread id 7 is taken; try again")
    }

    @Test func `a status file tells the class`() throws {
        let path = "/tmp/ckpt-status-\(UInt64.random(in: 0 ... .max)).json"
        defer { Files.remove(path) }
        StatusFile.write(RestartFailure(kind: .damaged, what: "a \"quote\"", remedy: "none"), to: path)
        #expect(Files.text(path) == "{\"status\":125,\"class\":\"damaged\",\"what\":\"a \\\"quote\\\"\",\"remedy\":\"none\"}\n")
    }

    @Test(arguments: ["7x", "-1", "12345"]) func `what is no generation and no identifier is refused`(at: String) {
        #expect(throws: RestartFailure.self) { _ = try ImageChoice.open("/nowhere/x.img", at: at) }
    }
}
