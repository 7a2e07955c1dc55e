// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import Testing

struct SettingsTests {
    private func resolve(
        _ configuration: Configuration = .init(), _ variables: [String: String] = [:], restartedPath: String = ""
    ) throws -> Settings? {
        try Settings.resolve(configuration, in: Settings.Surroundings(
            variable: { variables[$0].map { Array($0.utf8) } }, directory: Array("/home/me".utf8), programName: Array("sum".utf8),
            restartedPath: Array(restartedPath.utf8)))
    }
    private func path(_ configuration: Configuration = .init(), _ variables: [String: String] = [:], restartedPath: String = "") throws -> String {
        String(decoding: try #require(try resolve(configuration, variables, restartedPath: restartedPath)).imagePath, as: UTF8.self)
    }

    @Test func `without settings it is SIGUSR1, status 85, one generation and program img in the working directory`() throws {
        let settings = try #require(try resolve())
        #expect(settings.signal == .usr1 && settings.exitSignal == nil && settings.exitStatus == 85)
        #expect(settings.generations == 1 && !settings.isVerbose)
        #expect(try path() == "/home/me/sum.img")
    }

    @Test func `the environment wins over the code`() throws {
        var configuration = Configuration(image: "code.img", signal: .usr2, exitSignal: .terminate, exitStatus: 1, generations: 2, isVerbose: true)
        let variables = [
            "CKPT_IMAGE": "/scratch/env.img", "CKPT_SIGNAL": "RTMIN+3", "CKPT_EXIT_SIGNAL": "none", "CKPT_EXIT_STATUS": "7",
            "CKPT_GENERATIONS": "0", "CKPT_VERBOSE": "no",
        ]
        let settings = try #require(try resolve(configuration, variables))
        #expect(settings.signal.rawValue == 37 && settings.exitSignal == nil && settings.exitStatus == 7 && settings.generations == 0)
        #expect(!settings.isVerbose)
        #expect(try path(configuration, variables) == "/scratch/env.img")
        configuration.image = nil
        #expect(try resolve(configuration)?.signal == .usr2)
    }

    @Test(arguments: [
        ("./a.img", "/home/me/a.img"), ("a.img", "/home/me/a.img"), ("../a.img", "/home/me/../a.img"), ("/a.img", "/a.img"),
        ("././runs/a", "/home/me/runs/a"),
    ])
    func `a relative image becomes absolute`(_ image: String, absolute: String) throws {
        #expect(try path(Configuration(image: image)) == absolute)
    }

    @Test func `a restarted process goes on with the image that it came from`() throws {
        #expect(try path(restartedPath: "/data/old.img") == "/data/old.img")
        #expect(try path(Configuration(image: "new.img"), restartedPath: "/data/old.img") == "/home/me/new.img")
    }

    @Test(arguments: [
        ("CKPT_IMAGE", "runs/"), ("CKPT_IMAGE", ".."), ("CKPT_IMAGE", String(repeating: "x", count: 4096)),
        ("CKPT_SIGNAL", "USR3"), ("CKPT_SIGNAL", "KILL"), ("CKPT_SIGNAL", "SEGV"), ("CKPT_SIGNAL", "33"), ("CKPT_SIGNAL", "0"),
        ("CKPT_SIGNAL", "65"), ("CKPT_SIGNAL", "RTMIN+31"), ("CKPT_SIGNAL", "-1"), ("CKPT_EXIT_SIGNAL", "USR1"),
        ("CKPT_EXIT_STATUS", "256"), ("CKPT_EXIT_STATUS", "-1"), ("CKPT_EXIT_STATUS", "x"), ("CKPT_GENERATIONS", "many"),
        ("CKPT_VERBOSE", "maybe"), ("CKPT_DISABLE", "2"),
    ])
    func `what is not valid is named with its value`(_ name: String, _ value: String) throws {
        let error = #expect(throws: CheckpointError.self) { try resolve(.init(), [name: value]) }
        guard case .invalidSetting(let named, let said, _) = error else { return #expect(Bool(false), "\(error as Any)") }
        #expect(named == name)
        #expect(said.contains(value) || CheckpointSignal(value).map { said == "\($0)" } == true, "\(said)")
    }

    @Test func `what the code sets wrongly is named as the code's`() {
        #expect(throws: CheckpointError.invalidSetting(
            name: "Configuration.exitStatus", value: "1000", reason: "a number from 0 to 255 is needed")) {
            try resolve(Configuration(exitStatus: 1000))
        }
    }

    @Test func `CKPT_DISABLE switches off, whatever else is set`() throws {
        #expect(try resolve(.init(), ["CKPT_DISABLE": "1", "CKPT_SIGNAL": "nonsense"]) == nil)
        #expect(try resolve(.init(), ["CKPT_DISABLE": "0"]) != nil)
    }

    @Test(arguments: [
        ("USR1", 10), ("SIGUSR1", 10), ("sigusr2", 12), ("12", 12), ("TERM", 15), ("RTMIN", 34), ("SIGRTMIN+2", 36), ("RTMAX", 64),
        ("RTMAX-1", 63), ("64", 64),
    ])
    func `a signal has its usual names`(_ text: String, _ number: Int32) {
        #expect(CheckpointSignal(text)?.rawValue == number)
    }

    @Test(arguments: [Int32(1)...31, 34...64].joined().map { $0 })
    func `the name of a signal is read again as the same signal`(_ number: Int32) {
        #expect(CheckpointSignal("\(CheckpointSignal(rawValue: number))")?.rawValue == number)
    }

    @Test(arguments: [(UInt64(999), "999 bytes"), (1000, "1.0 kB"), (12_400_000, "12.4 MB"), (123_456_789, "123 MB"), (5_000_000_000, "5.0 GB")])
    func `a count of bytes has three digits`(_ byteCount: UInt64, _ expected: String) {
        #expect(text(ofByteCount: byteCount) == expected)
    }

    @Test(arguments: [
        (Duration.microseconds(850), "850 µs"), (.microseconds(1300), "1.3 ms"), (.milliseconds(2500), "2.5 s"), (.zero, "0 µs"),
    ])
    func `a duration has its unit`(_ duration: Duration, _ expected: String) {
        #expect(text(of: duration) == expected)
    }
}
