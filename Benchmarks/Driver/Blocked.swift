// SPDX-License-Identifier: Apache-2.0
import Foundation

/// By how much checkpoints and a restart make the time-outs of blocked calls longer.
enum Blocked: Measurement {
    static let name = "blocked"
    private static let checkpointCount = 5

    /// What one run told: for each call, in the order of the program, how late it ended, in milliseconds.
    private struct Ends {
        var names: [String] = [], late: [Double] = [], wrong: [String] = []

        init(_ lines: [String]) throws {
            for line in lines {
                let words = line.split(separator: "\t").map(String.init)
                guard words.count == 3, let late = Double(words[1]) else { throw Failure("blocked told \(line)") }
                names.append(words[0])
                self.late.append(late / 1e6)
                if words[2] != "0" { wrong.append("\(words[0]) returned \(words[2])") }
            }
            guard !names.isEmpty else { throw Failure("blocked told nothing") }
        }
    }

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "Blocked calls: how much later their time is over", text: """
            Threads in calls with a time-out of 3 s, one call each, with up to \(checkpointCount) checkpoints meanwhile: how late each ends, less the pauses \
            (one to a moment of time ends by that moment); the limit is how late without a checkpoint. \
            Restarted: one checkpoint after a third of the time, SIGKILL, a restart a second later; how much later than `select`, for which the kernel counts \
            what is left. The sum of the pauses stands with the first row. A call that returns anything else than the end of its time is an error.
            """)
        section.rows = try rows("lateness", .milliseconds) {
            try place.clear()
            var alone: [Ends] = [], along: [Ends] = [], restarted: [Ends] = [], pauses: [Double] = []
            for _ in 0..<effort.turns {
                alone.append(try Ends(launch(place).finish().lines))
                let program = try launch(place)
                let start = monotonic()
                var sum = 0.0
                // None that the end of the program would meet.
                for _ in 0..<checkpointCount where monotonic() - start < 1.4e9 {
                    sum += try SaveReport.save(program.pid, in: place).pauseNanoseconds / 1e6
                    pause(seconds: 0.2)
                }
                pauses.append(sum)
                along.append(try Ends(program.finish().lines))
                let killed = try launch(place)
                pause(seconds: 0.6)
                let image = try SaveReport.save(killed.pid, in: place).image
                killed.kill()
                pause(seconds: 1)
                restarted.append(try Ends(try Program(place.program("ckpt-restart"), [image]).finish().lines))
            }
            return along[0].names.indices.map { call in
                let name = along[0].names[call], beside = restarted.map { $0.late[call] - $0.late[0] }
                let wrong = (along + restarted).flatMap { $0.wrong }.filter { $0.hasPrefix(name + " returned") }
                return Row(name, .milliseconds, zip(along, pauses).map { $0.late[call] - $1 }, aim: .below(3),
                           more: "restarted: \(Unit.milliseconds.text(beside.median))" + (call == 0 ? "; pauses: \(Unit.milliseconds.text(pauses.median))" : ""),
                           limit: Unit.milliseconds.text(alone.map { $0.late[call] }.median), complaint: wrong.first)
            }
        }
        try place.clear()
        return section
    }

    private static func launch(_ place: Place) throws -> Program {
        let program = try Program(place.benchmark("blocked"), [])
        guard program.line() == "ready" else { throw Failure("blocked did not start") }
        return program
    }
}
