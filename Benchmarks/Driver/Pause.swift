// SPDX-License-Identifier: Apache-2.0
import Foundation

/// How long a checkpoint stops the program, and what it takes away from it in all.
enum Pause: Measurement {
    static let name = "pause"

    private struct Sample {
        var report: SaveReport
        var lost: Double
    }

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "The pause", text: """
            A program of that size computes and writes; each turn starts it anew, takes its first full checkpoint and two more. “Lost”: what it did less, until \
            0.2 s after the image was durable, than at the pace of the half second before, so pause and slowdown together. Sparse: 1 % of the pages each \
            second, spread evenly. Tenth: every tenth page every 100 ms. All: page after page, as fast as one core can. The limit is memcpy of what was copied \
            in the freeze, or fork where a copy-on-write child was made.
            """)
        let hasIncrements = try Increment.isThere(in: place)
        let sparseAims = [64: 2.0, 256: 2, 1024: 3, 4096: 6]
        for mebibytes in effort.pauseSizes {
            section.rows += try measure(mebibytes, .sparse, aim: sparseAims[mebibytes].map { .below($0) }, hasIncrements: hasIncrements, in: place, effort: effort).rows
        }
        for mebibytes in effort.tenthSizes { section.rows += try measure(mebibytes, .tenth, aim: .below(10), hasIncrements: hasIncrements, in: place, effort: effort).rows }
        let (rows, lines) = try measure(effort.large, .all, aim: .below(60), hasIncrements: hasIncrements, in: place, effort: effort)
        section.rows += rows
        if !lines.isEmpty {
            section.curve = Section.Curve(title: "A checkpoint of \(size(effort.large)) that is written as fast as one core can", horizontal: "ms since the request",
                                          vertical: "pages written in 20 ms, % of before", lines: lines)
        }
        return section
    }

    private static func measure(_ mebibytes: Int, _ mode: MemoryProgram.Mode, aim: Aim?, hasIncrements: Bool, in place: Place, effort: Effort)
        throws -> (rows: [Row], lines: [Section.Curve.Line]) {
        let title = "\(size(mebibytes)), \(mode.rawValue)"
        var full: [Sample] = [], later: [Sample] = []
        var lines: [Section.Curve.Line] = []
        var limits: [String: Double] = [:]
        do {
            try place.requires(disk: mebibytes * 4 + 1024, memory: mebibytes * 2 + 1024)
            note("the pause, \(title)")
            try place.warm(mebibytes / 2)
            for turn in 0..<effort.turns {
                try place.clear()
                let program = try MemoryProgram(place: place, mebibytes: mebibytes, mode: mode)
                defer { program.kill() }
                for number in 0..<3 {
                    try program.follow(until: monotonic() + 0.6e9)
                    let start = monotonic()
                    let report = try program.save()
                    let end = monotonic() + 0.2e9
                    try program.follow(until: end)
                    let pace = program.pace(before: start)
                    let sample = Sample(report: report, lost: program.lost(from: start, to: end, pace: pace))
                    if number == 0 { full.append(sample) } else { later.append(sample) }
                    if turn == 0 && number < 2 && mode == .all {
                        let points = program.steps.filter { $0.end > start - 0.2e9 && $0.start < end }.map {
                            [($0.end - start) / 1e6, $0.work / ($0.end - $0.start) / pace * 100]
                        }
                        lines.append(.init(label: number == 0 ? "the first" : "the second", points: points))
                    }
                }
            }
            try place.clear()
            limits = try place.limits(max(mebibytes, 64))
        } catch let missing as NotThere {
            return ([Row(title, .milliseconds, notThere: missing.why, aim: aim)], [])
        }
        let first = row("\(title): first", full, mebibytes, aim, limits)
        let others = hasIncrements ? row("\(title): increments", later, mebibytes, aim, limits)
            : Row("\(title): increments", .milliseconds, notThere: Increment.absence.why, aim: aim)
        return ([first, others], lines)
    }

    private static func row(_ title: String, _ samples: [Sample], _ mebibytes: Int, _ aim: Aim?, _ limits: [String: Double]) -> Row {
        let reports = samples.map(\.report)
        var more = ["lost \(Unit.milliseconds.text(samples.map { $0.lost / 1e6 }.median))",
                    "durable after \(Unit.milliseconds.text(reports.map { $0.durableNanoseconds / 1e6 }.median))",
                    "image \(Unit.mebibytes.text(reports.map { $0.fileByteCount / 1_048_576 }.median))"]
        if reports.contains(where: \.isIncrement) && !reports.allSatisfy(\.isIncrement) {
            more.append("increments \(reports.filter(\.isIncrement).count) of \(reports.count)")
        }
        let rounds = reports.compactMap(\.rounds)
        if rounds.median > 0 { more.append("rounds \(Int(rounds.median))") }
        let byChild = reports.compactMap(\.isByChild)
        if byChild.contains(true) { more.append("by the copy-on-write child \(byChild.filter { $0 }.count) of \(byChild.count)") }
        var limit = "fork \(Unit.milliseconds.text((limits["fork"] ?? .nan) / 1e6))"
        let frozen = reports.compactMap(\.frozenByteCount)
        if frozen.median > 0 && !byChild.contains(true), let memcpy = limits["memcpy"] {
            limit = "memcpy of \(Unit.mebibytes.text(frozen.median / 1_048_576)): "
                + Unit.milliseconds.text(memcpy / 1e6 * frozen.median / (Double(max(mebibytes, 64)) * 1_048_576))
        }
        return Row(title, .milliseconds, reports.map { $0.pauseNanoseconds / 1e6 }, aim: aim, more: more.joined(separator: ", "), limit: limit)
    }
}
