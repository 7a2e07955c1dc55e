// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The program `memory`, while it runs.
final class MemoryProgram {
    enum Mode: String { case still, compute, sparse, tenth, all }
    /// What it did between two lines.
    struct Step { var start, end, work: Double }

    let place: Place
    private let program: Program
    private(set) var checksum: String
    private(set) var steps: [Step] = []
    private var last = Double.nan

    init(place: Place, mebibytes: Int, mode: Mode, environment: [String: String] = [:]) throws {
        self.place = place
        program = try Program(place.benchmark("memory"), ["\(mebibytes)", mode.rawValue], environment: environment)
        let words = program.line()?.split(separator: " ") ?? []
        guard words.count == 2, words[0] == "ready" else { throw Failure("memory \(mebibytes) \(mode) did not start") }
        checksum = String(words[1])
    }

    func kill() { program.kill() }
    func save() throws -> SaveReport { try SaveReport.save(program.pid, in: place) }

    /// `still` and `compute`: writes a hundredth of the pages; returns their bytes.
    func dirty() throws -> Double {
        Foundation.kill(program.pid, SIGUSR2)
        let words = program.line()?.split(separator: " ") ?? []
        guard words.count == 3, words[0] == "dirtied", let pages = Double(words[1]) else { throw Failure("memory did not write its pages") }
        checksum = String(words[2])
        return pages * 4096
    }

    /// Reads what it has told, until a line that was printed after `time`.
    func follow(until time: Double) throws {
        while !(last >= time) {
            let words = program.line()?.split(separator: " ").compactMap { Double($0) } ?? []
            guard words.count == 2 else { throw Failure("memory ended") }
            if last.isFinite { steps.append(Step(start: last, end: words[0], work: words[1])) }
            last = words[0]
        }
    }

    /// Work in a nanosecond while nothing disturbs: the median of the half second before `time`.
    func pace(before time: Double) -> Double {
        steps.filter { $0.end <= time && $0.start >= time - 0.5e9 }.map { $0.work / ($0.end - $0.start) }.median
    }

    /// What the program lost between two moments, in nanoseconds of its own pace.
    func lost(from start: Double, to end: Double, pace: Double) -> Double {
        steps.filter { $0.end > start && $0.start < end }.map { ($0.end - $0.start) - $0.work / pace }.reduce(0, +)
    }
}
