// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointKit
import Testing

/// Settings of when and how.
struct SettingsPolicyTests {
    private func resolve(
        _ configuration: Configuration = .init(), _ variables: [String: String] = [:], tools: [String] = [], executables: Set<String> = []
    ) throws -> Settings {
        try #require(try Settings.resolve(configuration, in: Settings.Surroundings(
            variable: { variables[$0].map { Array($0.utf8) } }, directory: Array("/home/me".utf8), programName: Array("sum".utf8),
            toolPaths: { tools.map { Array($0.utf8) } }, isExecutable: { executables.contains(String(decoding: $0, as: UTF8.self)) })))
    }

    @Test func `without settings nothing is periodic, too soon, compressed or limited`() throws {
        let settings = try resolve()
        #expect(settings.interval == nil && settings.minimumInterval == .zero && settings.tracker == .auto)
        #expect(settings.pauseBudget == .milliseconds(5) && settings.chainLength == 16)
        #expect(settings.compression == .none && settings.sinkPath.isEmpty && settings.diskLimit == 0 && !settings.trimsHeap)
    }

    @Test func `the environment wins over the code`() throws {
        let configuration = Configuration(
            interval: .every(.seconds(5)), minimumInterval: .seconds(1), tracker: .mprotect, pauseBudget: .seconds(1), chainLength: 3,
            compression: .zstd(level: 9), diskLimit: 77, trimsHeap: true)
        let variables = [
            "CKPT_EVERY": "auto:24h", "CKPT_MIN_INTERVAL": "10m", "CKPT_TRACKER": "uffd", "CKPT_PAUSE": "2ms", "CKPT_CHAIN": "0",
            "CKPT_COMPRESS": "none", "CKPT_DISK_LIMIT": "10G", "CKPT_TRIM_HEAP": "no",
        ]
        let settings = try resolve(configuration, variables)
        #expect(settings.interval == .automatic(meanTimeBetweenFailures: .seconds(86400)) && settings.minimumInterval == .seconds(600))
        #expect(settings.tracker == .uffd && settings.pauseBudget == .milliseconds(2) && settings.chainLength == 0)
        #expect(settings.compression == .none && settings.diskLimit == 10 << 30 && !settings.trimsHeap)
        let none = try resolve(configuration, ["CKPT_EVERY": "none", "CKPT_DISK_LIMIT": "none", "CKPT_COMPRESS": "none"])
        #expect(none.interval == nil && none.diskLimit == 0)
        let code = try resolve(configuration, [:], tools: ["/a/ckpt"], executables: ["/a/ckpt"])
        #expect(code.interval == .every(.seconds(5)) && code.tracker == .mprotect && code.diskLimit == 77 && code.trimsHeap)
        #expect(code.compression == .zstd(level: 9) && code.chainLength == 3)
    }

    static let durations: [(String, Duration)] = [
        ("600", .seconds(600)), ("0", .zero), ("0.5", .milliseconds(500)), ("250ms", .milliseconds(250)), ("1.5ms", .microseconds(1500)), ("3s", .seconds(3)),
        ("10m", .seconds(600)), ("24h", .seconds(86400)), ("0.25H", .seconds(900)), ("100000h", .seconds(360_000_000)),
    ]

    @Test(arguments: durations) func `a duration is seconds, or has its unit`(_ text: String, _ duration: Duration) throws {
        #expect(Duration(text: text) == duration)
        #expect(try resolve(.init(), ["CKPT_MIN_INTERVAL": text]).minimumInterval == duration)
    }

    @Test(arguments: ["", "m", "-1", "+1", "1d", "1 s", ".5", "5.", "1e3", "0x10", "1.2.3", "99999999999999999999", "٣"])
    func `what is no duration is none`(_ text: String) { #expect(Duration(text: text) == nil) }

    @Test(arguments: [
        ("CKPT_EVERY", "often"), ("CKPT_EVERY", "auto"), ("CKPT_EVERY", "auto:"), ("CKPT_EVERY", "auto:0"), ("CKPT_EVERY", "auto:10ms"),
        ("CKPT_EVERY", "0.1ms"), ("CKPT_EVERY", "1000000h"), ("CKPT_MIN_INTERVAL", "soon"), ("CKPT_TRACKER", "soft-dirty"), ("CKPT_PAUSE", "2h"),
        ("CKPT_PAUSE", "x"), ("CKPT_CHAIN", "-1"), ("CKPT_CHAIN", "65536"), ("CKPT_COMPRESS", "gzip"), ("CKPT_COMPRESS", "zstd:"),
        ("CKPT_COMPRESS", "zstd:0"), ("CKPT_COMPRESS", "zstd:23"), ("CKPT_COMPRESS", "lz4:1"), ("CKPT_DISK_LIMIT", "K"), ("CKPT_DISK_LIMIT", "1E"),
        ("CKPT_DISK_LIMIT", "-5"), ("CKPT_DISK_LIMIT", "9999999999T"), ("CKPT_TRIM_HEAP", "some"),
    ])
    func `what is not valid is named with its value`(_ name: String, _ value: String) throws {
        let error = #expect(throws: CheckpointError.self) { try resolve(.init(), [name: value]) }
        guard case .invalidSetting(name, value, _) = error else { return #expect(Bool(false), "\(error as Any)") }
    }

    @Test func `what the code sets wrongly is named as the code's`() {
        for configuration in [
            Configuration(interval: .every(.zero)), Configuration(interval: .automatic(meanTimeBetweenFailures: .milliseconds(1))),
            Configuration(minimumInterval: .seconds(-1)), Configuration(pauseBudget: .seconds(-1)), Configuration(chainLength: -1),
            Configuration(compression: .zstd(level: 99)),
        ] {
            let error = #expect(throws: CheckpointError.self) { try resolve(configuration) }
            guard case .invalidSetting(let name, _, _) = error, name.hasPrefix("Configuration.") else { return #expect(Bool(false), "\(error as Any)") }
        }
    }

    @Test func `a limit of disk space has powers of 1024`() throws {
        for (text, bytes) in [("12", 12), ("3k", 3 << 10), ("5M", 5 << 20), ("7G", 7 << 30), ("2t", 2 << 40)] as [(String, UInt64)] {
            #expect(try resolve(.init(), ["CKPT_DISK_LIMIT": text]).diskLimit == bytes)
        }
    }

    @Test func `the program that compresses is the first of its places, or what CKPT_SINK names`() throws {
        let places = ["/exe/ckpt", "relative/ckpt", "/usr/bin/ckpt"]
        func path(_ variables: [String: String], _ executables: Set<String>) throws -> String {
            let settings = try resolve(Configuration(compression: .lz4), variables, tools: places, executables: executables)
            return String(decoding: settings.sinkPath, as: UTF8.self)
        }
        #expect(try path([:], ["/exe/ckpt", "/usr/bin/ckpt"]) == "/exe/ckpt")
        #expect(try path([:], ["relative/ckpt", "/usr/bin/ckpt"]) == "/usr/bin/ckpt")
        #expect(try path(["CKPT_SINK": "/opt/ckpt"], ["/opt/ckpt", "/exe/ckpt"]) == "/opt/ckpt")
        #expect(throws: CheckpointError.self) { try path([:], []) }
        let error = #expect(throws: CheckpointError.self) { try path(["CKPT_SINK": "/opt/ckpt"], ["/exe/ckpt"]) }
        guard case .invalidSetting("CKPT_SINK", "/opt/ckpt", _) = error else { return #expect(Bool(false), "\(error as Any)") }
    }

    @Test func `a promise about the processor is believed only when glibc says the same`() throws {
        func level(_ text: String, _ active: Set<String>?) throws -> UInt32? {
            let settings = try Settings.resolve(.init(), in: Settings.Surroundings(
                variable: { $0 == "CKPT_CPU" ? Array(text.utf8) : nil }, directory: Array("/home".utf8), programName: Array("p".utf8),
                glibcFeatures: { active }))
            return try #require(settings).processorLevel?.number
        }
        #expect(try level("none", nil) == nil)
        #expect(try level("x86-64-v2", ["SSE4_2", "POPCNT"]) == 2 && level("X86-64-V3", ["AVX2", "XSAVE"]) == 3 && level("x86-64", []) == 1)
        for (text, active) in [("x86-64-v2", nil), ("x86-64-v2", ["AVX2"]), ("x86-64-v3", ["XSAVEC"]), ("x86-64-v7", [])] as [(String, Set<String>?)] {
            let error = #expect(throws: CheckpointError.self) { try level(text, active) }
            guard case .invalidSetting("CKPT_CPU", text, let reason) = error else { return #expect(Bool(false), "\(error as Any)") }
            #expect(active != ["AVX2"] || reason.contains("AVX2; start the program by: env $(ckpt check --cpu x86-64-v2)"))
        }
    }

    @Test func `a request that is too soon is an outcome and an event`() async throws {
        let scribe = FakeScribe(answer: .init(outcome: CKPT_OUTCOME_TOO_SOON)), coordinator = Coordinator(scribe.engine)
        try coordinator.enable(Configuration(image: "/tmp/x.img", minimumInterval: .seconds(1)))
        let events = CheckpointEvents(coordinator)
        #expect(try coordinator.now() == .tooSoon)
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next() == .tooSoon)
        #expect(CheckpointEvent.tooSoon.line == "ckpt: no checkpoint: it is too soon after the last one; ask again later")
    }

    @Test func `a heap that is to be trimmed makes the scribe ask, until there is none to trim`() throws {
        let scribe = FakeScribe(), coordinator = Coordinator(scribe.engine)
        try coordinator.enable(Configuration(image: "/tmp/x.img", trimsHeap: true))
        #expect(scribe.load(\.hooks) == 1)
        guard case .saved = try coordinator.now() else { return #expect(Bool(false)) }
        try coordinator.enable(Configuration(image: "/tmp/x.img"))
        #expect(scribe.load(\.hooks) == 0)
        guard case .saved = try coordinator.now() else { return #expect(Bool(false)) }
    }
}
