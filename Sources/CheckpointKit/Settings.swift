// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI
package import CheckpointImage

/// A configuration after the environment has had its say: checked, with an absolute path.
package struct Settings: Sendable, Equatable {
    package var imagePath: [UInt8]
    package var signal: CheckpointSignal
    package var exitSignal: CheckpointSignal?
    package var exitStatus: Int32
    package var generations: UInt32
    package var isVerbose: Bool
    package var interval: Configuration.Interval?
    package var minimumInterval: Duration
    package var tracker: Configuration.Tracker
    package var pauseBudget: Duration
    package var chainLength: UInt32
    package var compression: Configuration.Compression
    /// Absolute path of the program that compresses; empty without compression.
    package var sinkPath: [UInt8]
    /// 0: none.
    package var diskLimit: UInt64
    package var trimsHeap: Bool
    /// What the program promises to use at most; nil: no promise.
    package var processorLevel: ProcessorLevel?

    /// Nanoseconds of one attempt to freeze: a thread in vfork needs as long as its child needs to exec, some milliseconds.
    package static let freezeDeadline: UInt64 = 250_000_000
    /// Nanoseconds of all attempts.
    package static let freezePatience: UInt64 = 5_000_000_000

    /// Where settings come from besides the configuration.
    package struct Surroundings {
        /// A variable of the environment, as bytes; nil: not set, or empty.
        package var variable: (_ name: String) -> [UInt8]?
        package var directory: [UInt8]
        package var programName: [UInt8]
        /// The path of the image that this process was restarted from; empty: none.
        package var restartedPath: [UInt8]
        /// Where the program `ckpt` may be, the best place first.
        package var toolPaths: () -> [[UInt8]]
        package var isExecutable: (_ path: [UInt8]) -> Bool
        /// The names of `ProcessorLevel.switches` that glibc says are active; nil: it does not say.
        package var glibcFeatures: () -> Set<String>?

        package init(
            variable: @escaping (_ name: String) -> [UInt8]?, directory: [UInt8], programName: [UInt8], restartedPath: [UInt8] = [],
            toolPaths: @escaping () -> [[UInt8]] = { [] }, isExecutable: @escaping (_ path: [UInt8]) -> Bool = { _ in false },
            glibcFeatures: @escaping () -> Set<String>? = { nil }
        ) {
            self.variable = variable
            self.directory = directory
            self.programName = programName
            self.restartedPath = restartedPath
            self.toolPaths = toolPaths
            self.isExecutable = isExecutable
            self.glibcFeatures = glibcFeatures
        }

        func text(_ name: String) -> String? { variable(name).map { String(decoding: $0, as: UTF8.self) } }
    }

    /// `nil`: switched off by `CKPT_DISABLE`.
    package static func resolve(
        _ configuration: Configuration, in surroundings: Surroundings
    ) throws(CheckpointError) -> Settings? {
        if try isYes("CKPT_DISABLE", in: surroundings) == true { return nil }
        let signal = try signal("CKPT_SIGNAL", in: surroundings) ?? configuration.signal
        try check(signal, as: surroundings.text("CKPT_SIGNAL") == nil ? "Configuration.signal" : "CKPT_SIGNAL")
        let exitSignal: CheckpointSignal?
        let exitSource: String
        switch surroundings.text("CKPT_EXIT_SIGNAL") {
        case nil: (exitSignal, exitSource) = (configuration.exitSignal, "Configuration.exitSignal")
        case let text? where text.lowercased() == "none": (exitSignal, exitSource) = (nil, "CKPT_EXIT_SIGNAL")
        default: (exitSignal, exitSource) = (try self.signal("CKPT_EXIT_SIGNAL", in: surroundings), "CKPT_EXIT_SIGNAL")
        }
        if let exitSignal {
            try check(exitSignal, as: exitSource)
            guard exitSignal != signal else {
                throw .invalidSetting(name: exitSource, value: "\(exitSignal)", reason: "that is the checkpoint signal already")
            }
        }
        let exitStatus = try number("CKPT_EXIT_STATUS", orElse: configuration.exitStatus, "Configuration.exitStatus", 0...255, surroundings)
        let generations = try number("CKPT_GENERATIONS", orElse: configuration.generations, "Configuration.generations", 0...65535, surroundings)
        let chainLength = try number("CKPT_CHAIN", orElse: configuration.chainLength, "Configuration.chainLength", 0...4000, surroundings)
        let compression = try compression(configuration, in: surroundings)
        return Settings(
            imagePath: try imagePath(configuration, in: surroundings), signal: signal, exitSignal: exitSignal,
            exitStatus: Int32(exitStatus), generations: UInt32(generations),
            isVerbose: try isYes("CKPT_VERBOSE", in: surroundings) ?? configuration.isVerbose,
            interval: try interval(configuration, in: surroundings),
            minimumInterval: try duration(
                "CKPT_MIN_INTERVAL", orElse: configuration.minimumInterval, "Configuration.minimumInterval", .zero ... .longest, surroundings),
            tracker: try tracker(configuration, in: surroundings),
            pauseBudget: try duration(
                "CKPT_PAUSE", orElse: configuration.pauseBudget, "Configuration.pauseBudget", .zero ... .seconds(3600), surroundings),
            chainLength: UInt32(chainLength), compression: compression,
            sinkPath: compression == .none ? [] : try sinkPath(in: surroundings),
            diskLimit: try diskLimit(configuration, in: surroundings),
            trimsHeap: try isYes("CKPT_TRIM_HEAP", in: surroundings) ?? configuration.trimsHeap,
            processorLevel: try processorLevel(in: surroundings))
    }

    private static func imagePath(_ configuration: Configuration, in surroundings: Surroundings) throws(CheckpointError) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        let fromEnvironment = surroundings.variable("CKPT_IMAGE")
        let name = fromEnvironment == nil ? "Configuration.image" : "CKPT_IMAGE"
        var path: [UInt8]
        if let chosen = fromEnvironment ?? configuration.image.map({ Array($0.utf8) }) {
            path = chosen
        } else if !surroundings.restartedPath.isEmpty {
            path = surroundings.restartedPath
        } else {
            path = surroundings.programName + Array(".img".utf8)
        }
        func refuse(_ reason: String) -> CheckpointError {
            .invalidSetting(name: name, value: String(decoding: path, as: UTF8.self), reason: reason)
        }
        guard let last = path.last else { throw refuse("a path is needed") }
        guard last != slash, !path.contains(0) else { throw refuse("the path of a file is needed") }
        if path.first != slash {
            guard surroundings.directory.first == slash else { throw refuse("the working directory is not known; give an absolute path") }
            while path.starts(with: [UInt8(ascii: "."), slash]) { path.removeFirst(2) }
            path = surroundings.directory + (surroundings.directory.last == slash ? [] : [slash]) + path
        }
        let file = path[(path.lastIndex(of: slash) ?? 0)...].dropFirst()
        guard !file.isEmpty, !file.elementsEqual(".".utf8), !file.elementsEqual("..".utf8) else { throw refuse("the path of a file is needed") }
        // Room for `.d/` and the names in it, and for the zero byte.
        guard path.count + 32 <= Int(CKPT_PATH_BYTES) else { throw refuse("the path is too long") }
        return path
    }

    static func isYes(_ name: String, in surroundings: Surroundings) throws(CheckpointError) -> Bool? {
        guard let text = surroundings.text(name) else { return nil }
        switch text.lowercased() {
        case "1", "yes", "true", "on": return true
        case "0", "no", "false", "off": return false
        default: throw .invalidSetting(name: name, value: text, reason: "1 or 0, yes or no is needed")
        }
    }

    private static func signal(_ name: String, in surroundings: Surroundings) throws(CheckpointError) -> CheckpointSignal? {
        guard let text = surroundings.text(name) else { return nil }
        guard let signal = CheckpointSignal(text) else {
            throw .invalidSetting(name: name, value: text, reason: "no such signal; USR1, SIGUSR2, 12 or RTMIN+3 are")
        }
        return signal
    }

    private static func check(_ signal: CheckpointSignal, as name: String) throws(CheckpointError) {
        guard let reason = signal.reasonAgainst else { return }
        throw .invalidSetting(name: name, value: "\(signal)", reason: "that signal \(reason)")
    }

    static func number(
        _ name: String, orElse configured: Int, _ configuredName: String, _ range: ClosedRange<Int>, _ surroundings: Surroundings
    ) throws(CheckpointError) -> Int {
        let text = surroundings.text(name)
        let reason = "a number from \(range.lowerBound) to \(range.upperBound) is needed"
        guard let value = text.map({ Int($0) }) ?? configured, range.contains(value) else {
            throw .invalidSetting(name: text == nil ? configuredName : name, value: text ?? "\(configured)", reason: reason)
        }
        return value
    }
}
