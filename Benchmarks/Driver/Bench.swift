// SPDX-License-Identifier: Apache-2.0
// checkpoint-bench [--only NAME,…] [--quick]: measures what everything costs. `make bench` runs it. --quick shows in two minutes that all of it
// works; its figures say little and go into no document.
import Foundation

@main struct Bench {
    private static var measurements: [any Measurement.Type] {
        [Limits.self, Idle.self, Tracking.self, Pause.self, Throughput.self, Increment.self, Computations.self, Restart.self, Blocked.self]
    }

    static func main() {
        var words = CommandLine.arguments.dropFirst(), isQuick = false, wanted: [String]?
        while let word = words.popFirst() {
            switch word {
            case "--quick": isQuick = true
            case "--only":
                guard let names = words.popFirst() else { usage("--only needs names") }
                wanted = names.split(separator: ",").map(String.init)
            default: usage("\(word) is no option")
            }
        }
        let names = measurements.map { $0.name }
        for name in wanted ?? [] where !names.contains(name) { usage("there is no measurement \(name)") }
        do {
            let place = try Place()
            defer { place.remove() }
            let isGood = try run(measurements.filter { wanted?.contains($0.name) ?? true }, in: place, isQuick: isQuick)
            if !isGood {
                place.remove()
                exit(1)
            }
        } catch {
            complain("bench: \(error)")
            exit(1)
        }
    }

    private static func run(_ measurements: [any Measurement.Type], in place: Place, isQuick: Bool) throws -> Bool {
        let effort = isQuick ? Effort.quick : Effort(), path = place.build + (isQuick ? "/bench-quick.json" : "/bench.json")
        var results = Results.read(path) ?? Results(machine: Machine(imagesIn: place.work))
        results.machine = Machine(imagesIn: place.work)
        results.date = today
        say("bench: \(results.machine.line)\n")
        var isGood = true
        for measurement in measurements {
            do {
                let start = monotonic()
                var section = try measurement.measure(in: place, effort: effort)
                section.date = today
                say("\(section.title) (\(section.name), \(Int((monotonic() - start) / 1e9)) s)\n\(section.text.inLines)\n\(section.table.text)")
                results.put(section, order: Self.measurements.map { $0.name })
                // Kept at once: a run that is ended early has what it has.
                try results.write(path)
                if section.rows.contains(where: { $0.complaint != nil }) { isGood = false }
            } catch {
                isGood = false
                complain("bench: \(measurement.name): \(error)")
            }
        }
        guard !isQuick, let written = Results.read(path) else { return isGood }
        try Document(results: written).write(root: place.root)
        say("JSON: .build/bench.json; Documentation/performance.md and its plots are made from it")
        return isGood
    }

    private static var today: String { String(Date.now.ISO8601Format().prefix(10)) }
    private static func complain(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
    private static func usage(_ text: String) -> Never {
        complain("bench: \(text)\nusage: checkpoint-bench [--only \(measurements.map { $0.name }.joined(separator: ","))] [--quick]")
        exit(64)
    }
}
