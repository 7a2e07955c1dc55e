// SPDX-License-Identifier: Apache-2.0

/// What an enabled program pays while no checkpoint is taken.
enum Idle: Measurement {
    static let name = "idle"

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var order: [String] = []
        var costs: [String: [Double]] = [:], without: [String: [Double]] = [:], with: [String: [Double]] = [:], instructions: [String: [Double]] = [:]
        for turn in 0..<effort.pairs {
            for line in try Program.output(place.benchmark("idle"), [place.library, "\(turn)"]) {
                let words = line.split(separator: " ")
                guard words.count == 5, let first = Double(words[1]), let second = Double(words[2]), let ratio = Double(words[3]) else {
                    throw Failure("idle printed \(line)")
                }
                let name = String(words[0])
                if !order.contains(name) { order.append(name) }
                without[name, default: []].append(first)
                with[name, default: []].append(second)
                costs[name, default: []].append((ratio - 1) * 100)
                if let ratio = Double(words[4]) { instructions[name, default: []].append((ratio - 1) * 100) }
            }
        }
        var section = Section(name: name, title: "An enabled program, while no checkpoint is taken", text: """
            \(effort.pairs) pairs of processes, interleaved: two children of one process, with the same code at the same places, of which one \
            (the other one each time) loads and enables the library, take turns on one processor in batches of some milliseconds. Each sample is the median of \
            neighbouring batches' ratios.\(instructions.isEmpty ? " This machine does not count instructions." : "")
            """)
        for name in order {
            let nanoseconds = "\(Unit.nanoseconds.text((without[name] ?? []).median)) → \(Unit.nanoseconds.text((with[name] ?? []).median))"
            let counted = instructions[name].map { "; instructions \(Unit.percent.text($0.median))" } ?? ""
            section.rows.append(Row(name, .percent, costs[name] ?? [], aim: .below(0.3), more: nanoseconds + counted, limit: "0 %"))
        }
        return section
    }
}
