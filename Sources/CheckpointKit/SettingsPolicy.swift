// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI
internal import CheckpointImage

/// The settings of when and how: intervals, trackers, budgets, compression, limits.
extension Settings {
    static func interval(_ configuration: Configuration, in surroundings: Surroundings) throws(CheckpointError) -> Configuration.Interval? {
        let text = surroundings.text("CKPT_EVERY")
        if let text, ["none", "0"].contains(text.lowercased()) { return nil }
        guard let text else {
            guard let interval = configuration.interval else { return nil }
            guard let reason = interval.reasonAgainst else { return interval }
            throw .invalidSetting(name: "Configuration.interval", value: "\(interval)", reason: reason)
        }
        guard let interval = Configuration.Interval(text: text) else {
            throw .invalidSetting(name: "CKPT_EVERY", value: text, reason: "none, a duration (600, 10m) or auto:MTBF (auto:24h) is needed")
        }
        if let reason = interval.reasonAgainst { throw .invalidSetting(name: "CKPT_EVERY", value: text, reason: reason) }
        return interval
    }

    static func duration(
        _ name: String, orElse configured: Duration, _ configuredName: String, _ range: ClosedRange<Duration>, _ surroundings: Surroundings
    ) throws(CheckpointError) -> Duration {
        let text = surroundings.text(name)
        guard let value = text.map({ Duration(text: $0) }) ?? configured, range.contains(value) else {
            throw .invalidSetting(
                name: text == nil ? configuredName : name, value: text ?? "\(configured)",
                reason: "a duration is needed: seconds, or a number with ms, s, m or h, from 0 to \(range.upperBound.components.seconds / 3600)h")
        }
        return value
    }

    static func tracker(_ configuration: Configuration, in surroundings: Surroundings) throws(CheckpointError) -> Configuration.Tracker {
        guard let text = surroundings.text("CKPT_TRACKER") else { return configuration.tracker }
        guard let tracker = Configuration.Tracker(rawValue: text.lowercased()) else {
            throw .invalidSetting(name: "CKPT_TRACKER", value: text, reason: "auto, uffd, mprotect or none is needed")
        }
        return tracker
    }

    static func compression(_ configuration: Configuration, in surroundings: Surroundings) throws(CheckpointError) -> Configuration.Compression {
        let text = surroundings.text("CKPT_COMPRESS")
        let name = text == nil ? "Configuration.compression" : "CKPT_COMPRESS"
        guard let compression = text.map({ Configuration.Compression(text: $0) }) ?? configuration.compression else {
            throw .invalidSetting(name: name, value: text ?? "", reason: "none, lz4, zstd or zstd:LEVEL is needed")
        }
        if let reason = compression.reasonAgainst { throw .invalidSetting(name: name, value: text ?? "\(compression)", reason: reason) }
        return compression
    }

    /// The program that the scribe starts to compress.
    static func sinkPath(in surroundings: Surroundings) throws(CheckpointError) -> [UInt8] {
        func fits(_ path: [UInt8]) -> Bool {
            path.first == UInt8(ascii: "/") && path.count < Int(CKPT_PATH_BYTES) && !path.contains(0) && surroundings.isExecutable(path)
        }
        if let path = surroundings.variable("CKPT_SINK") {
            guard fits(path) else {
                throw .invalidSetting(
                    name: "CKPT_SINK", value: String(decoding: path, as: UTF8.self),
                    reason: "the absolute path of the program ckpt is needed, which this user may execute")
            }
            return path
        }
        guard let path = surroundings.toolPaths().first(where: fits) else {
            let name = surroundings.variable("CKPT_COMPRESS") == nil ? "Configuration.compression" : "CKPT_COMPRESS"
            throw .invalidSetting(
                name: name, value: surroundings.text("CKPT_COMPRESS") ?? "on",
                reason: "the program ckpt compresses, and is neither beside the executable, nor in PATH, nor installed with the library; "
                    + "CKPT_SINK can name it")
        }
        return path
    }

    /// Nothing is believed that can be asked: glibc tells what it has chosen by. Other code that asks the processor itself is the
    /// program's word.
    static func processorLevel(in surroundings: Surroundings) throws(CheckpointError) -> ProcessorLevel? {
        guard let text = surroundings.text("CKPT_CPU"), text.lowercased() != "none" else { return nil }
        guard let level = ProcessorLevel(text) else {
            throw .invalidSetting(name: "CKPT_CPU", value: text, reason: "none, x86-64, x86-64-v2, x86-64-v3 or x86-64-v4 is needed")
        }
        guard let active = surroundings.glibcFeatures() else {
            throw .invalidSetting(
                name: "CKPT_CPU", value: text, reason: "what this libc has chosen can not be known: glibc 2.33 or newer is needed, linked dynamically")
        }
        let excess = level.excess(active)
        guard excess.isEmpty else {
            throw .invalidSetting(
                name: "CKPT_CPU", value: text,
                reason: "glibc was started with \(excess.joined(separator: ", ")); start the program by: env $(ckpt check --cpu \(level.name)) …")
        }
        return level
    }

    static func diskLimit(_ configuration: Configuration, in surroundings: Surroundings) throws(CheckpointError) -> UInt64 {
        guard let text = surroundings.text("CKPT_DISK_LIMIT") else { return configuration.diskLimit ?? 0 }
        if text.lowercased() == "none" { return 0 }
        let reason = "bytes are needed, or a number with K, M, G or T"
        let shift: UInt64 = switch text.last?.uppercased() { case "K": 10; case "M": 20; case "G": 30; case "T": 40; default: 0 }
        let digits = text.dropLast(shift == 0 ? 0 : 1)
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt64(digits), number <= UInt64(Int64.max) >> shift else {
            throw .invalidSetting(name: "CKPT_DISK_LIMIT", value: text, reason: reason)
        }
        return number << shift
    }
}

extension Configuration {
    /// Takes the policy from words as in the variables: what a caller in C gives.
    package mutating func setPolicy(_ word: @escaping (_ name: String) -> [UInt8]?) throws(CheckpointError) {
        let words = Settings.Surroundings(variable: word, directory: [], programName: [])
        interval = try Settings.interval(self, in: words)
        minimumInterval = try Settings.duration(
            "CKPT_MIN_INTERVAL", orElse: minimumInterval, "Configuration.minimumInterval", .zero ... .longest, words)
        tracker = try Settings.tracker(self, in: words)
        pauseBudget = try Settings.duration("CKPT_PAUSE", orElse: pauseBudget, "Configuration.pauseBudget", .zero ... .seconds(3600), words)
        compression = try Settings.compression(self, in: words)
        let limit = try Settings.diskLimit(self, in: words)
        diskLimit = limit == 0 ? nil : limit
    }
}
