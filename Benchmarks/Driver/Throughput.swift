// SPDX-License-Identifier: Apache-2.0
import Foundation

/// How fast a full image becomes durable.
enum Throughput: Measurement {
    static let name = "throughput"

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "How fast a full image becomes durable", text: """
            A program of \(size(effort.large)) that rests; from the request to the durable image, in turn with as many random bytes written with O_DIRECT in \
            blocks of 1 MiB and fsync, by one thread and by two (the faster of the two is the limit), and with `dd conv=fsync` of the image itself.
            """)
        section.rows = try rows("of the limit", .percent, aim: .atLeast(90)) {
            try place.requires(disk: effort.large * 4 + 1024, memory: effort.large * 3)
            try place.clear()
            let program = try MemoryProgram(place: place, mebibytes: effort.large, mode: .still, environment: ["CKPT_CHAIN": "0"])
            defer { program.kill() }
            var rates: [Double] = [], direct: [Int: [Double]] = [:], dd: [Double] = []
            let copy = place.work + "/copy"
            // The first turn warms up.
            for turn in 0...effort.turns {
                let report = try program.save()
                var threads: [Int: Double] = [:]
                for count in turn % 2 == 0 ? [1, 2] : [2, 1] {
                    let lines = try Program.output(place.benchmark("direct"), [copy, "\(Int(report.fileByteCount))", "\(count)"])
                    guard let time = lines.first.flatMap({ Double($0) }) else { throw Failure("direct printed nothing") }
                    threads[count] = report.fileByteCount / time * 1e9 / 1_048_576
                    try FileManager.default.removeItem(atPath: copy)
                }
                let start = monotonic()
                _ = try Program.output("/bin/dd", ["if=" + report.image, "of=" + copy, "bs=1M", "conv=fsync", "status=none"])
                let time = monotonic() - start
                try FileManager.default.removeItem(atPath: copy)
                guard turn > 0 else { continue }
                rates.append(report.fileByteCount / report.durableNanoseconds * 1e9 / 1_048_576)
                dd.append(report.fileByteCount / time * 1e9 / 1_048_576)
                for (count, rate) in threads { direct[count, default: []].append(rate) }
            }
            let best = (direct[1] ?? []).median >= (direct[2] ?? []).median ? 1 : 2
            let limit = "O_DIRECT, \(best == 1 ? "one thread" : "two threads"): \(Unit.mebibytesPerSecond.text((direct[best] ?? []).median))"
            let other = "\(best == 1 ? "two threads" : "one thread"): \(Unit.mebibytesPerSecond.text((direct[3 - best] ?? []).median))"
            let share = zip(rates, direct[best] ?? []).map { $0 / $1 * 100 }
            return [
                Row("of the limit", .percent, share, aim: .atLeast(90), more: other, limit: limit),
                Row("of dd conv=fsync", .percent, zip(rates, dd).map { $0 / $1 * 100 }, more: "dd: \(Unit.mebibytesPerSecond.text(dd.median))"),
                Row("throughput", .mebibytesPerSecond, rates, limit: limit),
            ]
        }
        try place.clear()
        return section
    }
}
