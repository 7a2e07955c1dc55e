// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What one checkpoint costs the five computations.
enum Computations: Measurement {
    static let name = "programs"

    private struct Computation {
        var name, title: String
        /// Steps of the run that shows how long a step takes.
        var steps: Int
        /// Libckpt's table: without its means, and with the best of them.
        var plain, best: Double?
    }
    private static let all = [
        Computation(name: "jacobi", title: "Jacobi", steps: 40), Computation(name: "sor", title: "SOR", steps: 10),
        Computation(name: "solve", title: "SOLVE", steps: 1, plain: 8.99, best: 0.19),
        Computation(name: "cell", title: "CELL", steps: 60, plain: 13.6, best: 2.96),
        Computation(name: "stswm", title: "STSWM", steps: 40, plain: 28.3, best: 1.94),
    ]

    private struct Kind {
        var title: String
        var isIncremental, excludes: Bool
    }
    private static let kinds = [
        Kind(title: "full", isIncremental: false, excludes: false), Kind(title: "increments", isIncremental: true, excludes: false),
        Kind(title: "exclusion", isIncremental: false, excludes: true), Kind(title: "both", isIncremental: true, excludes: true),
    ]

    private struct Run {
        var seconds: Double
        var checksum: String
        var reports: [SaveReport] = []
    }

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "What a checkpoint costs a computation", text: """
            Five computations of the kind that Libckpt's paper measured (Plank, Beck, Kingsley, Li, USENIX 1995), with 130 to 270 MiB. The extra time of a run with \
            \(effort.programCheckpoints) checkpoints against the run without any beside it, divided by their number: so the pause, the slowdown while the image is \
            written, and the tracking behind it; as overhead at one checkpoint in 10 minutes. Full: every image is full. Increments: the first, full one is \
            taken before the clock starts. Exclusion: scratch memory that is dead between two steps is left out, and checkpoints are \
            deferred inside a step. The circles are the paper's figures on its machines, without its means for “full” and with the best of them for the \
            others. Each run's checksum, and that of a restart from its last image, is that of the undisturbed run.
            """)
        var missing: [String: String] = [:]
        if try !Increment.isThere(in: place) { for kind in kinds where kind.isIncremental { missing[kind.title] = Increment.absence.why } }
        for computation in all { section.rows += try measure(computation, missing: &missing, in: place, effort: effort) }
        try place.clear()
        return section
    }

    private static func measure(_ computation: Computation, missing: inout [String: String], in place: Place, effort: Effort) throws -> [Row] {
        let aim = computation.best.map { Aim.below($0) }
        do { try place.requires(disk: 3072, memory: 2048) } catch let missing as NotThere {
            return [Row(computation.title, .percent, notThere: missing.why, aim: aim)]
        }
        note("\(computation.title)")
        try place.warm(512)
        let probe = try run(computation, steps: computation.steps, in: place)
        let steps = max(1, Int((effort.programSeconds * Double(computation.steps) / probe.seconds).rounded()))
        // Once more: the first run of a program on a virtual machine waits for memory.
        var expected = try run(computation, steps: steps, in: place).seconds
        var complaints: [String: String] = [:]
        var extra: [String: [Double]] = [:], reports: [String: [SaveReport]] = [:]
        for turn in 0..<effort.turns {
            let plain = try run(computation, steps: steps, in: place)
            expected = min(expected, plain.seconds)
            for shift in kinds.indices {
                let kind = kinds[(shift + turn) % kinds.count]
                guard missing[kind.title] == nil else { continue }
                do {
                    let result = try run(computation, steps: steps, kind: kind, checkpoints: effort.programCheckpoints, expected: expected, in: place)
                    if result.checksum != plain.checksum { complaints[kind.title] = "a run with checkpoints gave another checksum" }
                    if turn == effort.turns - 1, let image = result.reports.last?.image, try restart(image, in: place) != plain.checksum {
                        complaints[kind.title] = "a restart gave another checksum"
                    }
                    extra[kind.title, default: []].append((result.seconds - plain.seconds) / Double(result.reports.count))
                    reports[kind.title, default: []] += result.reports
                } catch let absence as NotThere {
                    missing[kind.title] = absence.why
                }
            }
        }
        let limits = try place.limits(256)
        return kinds.map { kind in
            let title = "\(computation.title), \(kind.title)"
            let figure = kind.title == "full" ? computation.plain : computation.best
            let reference = figure.map { Row.Reference(label: "Libckpt 1995", value: $0) }
            if let why = missing[kind.title] { return Row(title, .percent, notThere: why, aim: aim, reference: reference) }
            let seconds = extra[kind.title] ?? [], told = reports[kind.title] ?? []
            let bytes = told.map(\.fileByteCount).median
            let increments = kind.isIncremental ? ", increments \(told.filter(\.isIncrement).count) of \(told.count)" : ""
            let excluded = kind.excludes ? ", left out \(Unit.mebibytes.text(told.compactMap(\.excludedByteCount).median / 1_048_576))" : ""
            let more = "\(Unit.milliseconds.text(seconds.median * 1000)) a checkpoint, its pause \(Unit.milliseconds.text(told.map { $0.pauseNanoseconds / 1e6 }.median)), "
                + "image \(Unit.mebibytes.text(bytes / 1_048_576))" + excluded + increments
            let limit = limits["memcpy"].map { "memcpy of it \(Unit.milliseconds.text($0 / 1e6 * bytes / (256 * 1_048_576)))" } ?? ""
            return Row(title, .percent, seconds.map { $0 / 600 * 100 }, aim: aim, more: more, limit: limit, reference: reference, complaint: complaints[kind.title])
        }
    }

    /// One run; with `checkpoints` of them, evenly in the `expected` time.
    private static func run(_ computation: Computation, steps: Int, kind: Kind? = nil, checkpoints: Int = 0, expected: Double = 0, in place: Place) throws -> Run {
        try place.clear()
        var environment = ["CKPT_IMAGE": "\(place.work)/\(computation.name).img"]
        if let kind { environment[kind.isIncremental ? "FIRST" : "CKPT_CHAIN"] = kind.isIncremental ? "1" : "0" }
        let program = try Program(place.benchmark(computation.name), ["0", "\(steps)"] + (kind?.excludes == true ? ["exclude"] : []), environment: environment)
        guard program.line() == "ready" else {
            let status = program.end()
            if status == 69 { throw NotThere("this version has no exclusion") }
            throw Failure("\(computation.name) ended with status \(status)")
        }
        let start = monotonic()
        var run = Run(seconds: .nan, checksum: "")
        var requested = 0.0, failure: (any Error)?
        for number in 0..<checkpoints {
            pause(seconds: (Double(number) + 0.5) / Double(checkpoints) * expected - (monotonic() - start) / 1e9)
            requested = (monotonic() - start) / 1e9
            do {
                run.reports.append(try SaveReport.save(program.pid, in: place))
            } catch {
                failure = error
                break
            }
        }
        let (lines, status) = program.finish()
        for words in lines.map({ $0.split(separator: " ") }) where words.count == 2 {
            if words[0] == "checksum" { run.checksum = String(words[1]) }
            if words[0] == "seconds", let seconds = Double(words[1]) { run.seconds = seconds }
        }
        // A run that was faster than expected has ended before its last checkpoint: it has fewer.
        if let failure, run.reports.isEmpty || run.seconds > requested { throw failure }
        guard status == 0, run.seconds.isFinite, !run.checksum.isEmpty else { throw Failure("\(computation.name) ended with status \(status)") }
        return run
    }

    /// The checksum of a restart that runs to its end.
    private static func restart(_ image: String, in place: Place) throws -> String {
        let program = try Program("/usr/bin/timeout", ["-s", "KILL", "120", place.program("ckpt-restart"), "--quiet", image])
        return program.finish().lines.compactMap { $0.hasPrefix("checksum ") ? String($0.dropFirst(9)) : nil }.first ?? "none"
    }
}
