// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What an increment occupies.
enum Increment: Measurement {
    static let name = "increment"

    /// Whether this version takes increments with this tracker. A checkpoint of memory that was all written may be full in any version.
    static func isThere(in place: Place, tracker: String = "auto") throws -> Bool {
        try place.clear()
        let program = try MemoryProgram(place: place, mebibytes: 16, mode: .still, environment: ["CKPT_TRACKER": tracker])
        defer { program.kill() }
        _ = try program.save()
        _ = try program.dirty()
        return try program.save().isIncrement
    }
    static let absence = NotThere("this version takes no increments")

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "The bytes of an increment", text: """
            A program of \(size(effort.large)) writes 1 % of its pages, evenly spread, and rests; blocks of the image's file on the disk. The aim is 1.05 × the \
            written bytes and 256 KiB.
            """)
        let title = "increment of \(size(effort.large)), 1 % written"
        section.rows = try rows(title, .mebibytes) {
            try place.requires(disk: effort.large * 3 + 1024, memory: effort.large * 2)
            try place.clear()
            let program = try MemoryProgram(place: place, mebibytes: effort.large, mode: .still)
            defer { program.kill() }
            let first = try program.save()
            var sizes: [Double] = [], written = 0.0, times: [Double] = []
            for _ in 0..<effort.turns {
                written = try program.dirty()
                let report = try program.save()
                guard report.isIncrement else { throw absence }
                sizes.append(try place.allocatedByteCount(report.image) / 1_048_576)
                times.append(report.durableNanoseconds / 1e6)
            }
            return [Row(title, .mebibytes, sizes, aim: .atMost((written * 1.05 + 262_144) / 1_048_576),
                        more: "durable after \(Unit.milliseconds.text(times.median)); the full image \(Unit.mebibytes.text(first.fileByteCount / 1_048_576))",
                        limit: "written: \(Unit.mebibytes.text(written / 1_048_576))")]
        }
        try place.clear()
        return section
    }
}
