// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a page costs that is written for the first time after a checkpoint.
enum Tracking: Measurement {
    static let name = "tracking"

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "A page that is written for the first time after a checkpoint", text: """
            Time to write \(effort.trackedPages) clean pages, minus time to write them again, for each page; each sample behind a checkpoint of its own that \
            is durable. The limit is the first touch of a fresh page, measured beside it.
            """)
        let kinds: [(String, String, Aim?)] = [
            ("uffd", "userfaultfd", .atMost(1.5)), ("mprotect", "mprotect and SIGSEGV", nil), ("none", "no tracker (full images by a copy-on-write child)", nil),
        ]
        for (word, title, aim) in kinds {
            section.rows += try rows(title, .microseconds, aim: aim) {
                if try word != "none" && !Increment.isThere(in: place, tracker: word) { throw Increment.absence }
                try place.clear()
                try place.warm(effort.trackedPages / 128)
                // The first checkpoint is a full one, and the memory was never tracked before it.
                let lines = try Program.output(place.benchmark("track"), ["\(effort.trackedPages)", "\(effort.turns + 1)"],
                                               environment: ["CKPT_TRACKER": word, "CKPT_IMAGE": place.work + "/track.img"]).dropFirst()
                let samples = lines.map { $0.split(separator: " ").compactMap { Double($0) } }
                guard samples.allSatisfy({ $0.count == 3 }) else { throw Failure("track printed \(lines)") }
                let bare = samples.map { $0[2] / 1000 }.median
                return [Row(title, .microseconds, samples.map { ($0[0] - $0[1]) / 1000 }, aim: aim,
                            more: "a page already written: \(Unit.nanoseconds.text(samples.map { $0[1] }.median))", limit: "bare fault \(Unit.microseconds.text(bare))")]
            }
        }
        try place.clear()
        return section
    }
}
