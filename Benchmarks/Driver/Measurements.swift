// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What `ckpt save --json` tells.
private struct Report: Decodable {
    let image: String
    let file_byte_count, pause_ns, durable_ns: Double
}

struct Measurements {
    let place: Place
    let turns: Int

    private func memoryProgram(_ mebibytes: Int, _ mode: String) throws -> Program {
        let program = try Program(place.benchmark("memory"), ["\(mebibytes)", mode])
        guard try program.line() == "ready" else { throw Failure(description: "memory \(mebibytes) \(mode) did not start") }
        return program
    }

    private func save(_ program: Program) throws -> Report {
        let lines = try Program.output("/usr/bin/timeout", ["60", place.program("ckpt"), "save", "--json", "\(program.pid)"])
        return try JSONDecoder().decode(Report.self, from: Data(lines.joined(separator: "\n").utf8))
    }

    private func clear() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: place.work) {
            try FileManager.default.removeItem(atPath: place.work + "/" + name)
        }
    }

    /// A program that writes a tenth of its pages every 100 ms; in turn with dd of the same bytes.
    func checkpoint(_ mebibytes: Int) throws -> Results.Checkpoint {
        try clear()
        let program = try memoryProgram(mebibytes, "busy")
        defer { program.kill() }
        var reports: [Report] = []
        var dd: [Double] = []
        let copy = place.work + "/copy"
        for _ in 0..<turns {
            let report = try save(program)
            reports.append(report)
            try? FileManager.default.removeItem(atPath: copy)
            let time = try seconds {
                _ = try Program.output("/bin/dd", ["if=" + report.image, "of=" + copy, "bs=1M", "conv=fsync", "status=none"])
            }
            dd.append(report.file_byte_count / time)
        }
        let rate = reports.map { $0.file_byte_count / ($0.durable_ns / 1e9) }
        return Results.Checkpoint(
            mebibytes: mebibytes, pauseMilliseconds: reports.map(\.pause_ns).median / 1e6, durableMilliseconds: reports.map(\.durable_ns).median / 1e6,
            imageMebibytes: reports.map(\.file_byte_count).median / 1_048_576, residentMebibytes: program.residentByteCount / 1_048_576,
            mebibytesPerSecond: rate.median / 1_048_576, ddMebibytesPerSecond: dd.median / 1_048_576,
            ratioToDd: zip(rate, dd).map { $0 / $1 }.median)
    }

    /// From the execution of ckpt-restart until the program's own loop goes on; in turn with memcpy of the same size.
    func restart(_ mebibytes: Int) throws -> Results.Restart {
        try clear()
        let program = try memoryProgram(mebibytes, "still")
        let report: Report
        do {
            defer { program.kill() }
            report = try save(program)
        }
        var restarts: [Double] = []
        var copies: [Double] = []
        // The first one warms the caches and does not count.
        for turn in 0...turns {
            // Free memory that the host of a virtual machine has taken back is cold too.
            _ = try Program.output(place.benchmark("copy"), ["\(mebibytes)", "0"])
            guard let time = try Program.output("/usr/bin/timeout", ["-s", "KILL", "60", place.benchmark("launch"), place.program("ckpt-restart"), report.image]).first.flatMap(Double.init) else {
                throw Failure(description: "the restarted program printed nothing")
            }
            let copy = try Program.output(place.benchmark("copy"), ["\(mebibytes)", "3"]).compactMap(Double.init).median
            guard turn > 0 else { continue }
            restarts.append(time)
            copies.append(copy)
        }
        return Results.Restart(mebibytes: mebibytes, milliseconds: restarts.median / 1e6, memcpyMilliseconds: copies.median / 1e6,
                               ratio: zip(restarts, copies).map { $0 / $1 }.median)
    }

    /// The same program with and without the library, pair by pair; every other pair in the other order.
    func idle(pairs: Int) throws -> [Results.Idle] {
        try clear()
        var with: [String: [Double]] = [:], without: [String: [Double]] = [:]
        var order: [String] = []
        func run(_ isEnabled: Bool) throws {
            for line in try Program.output(place.benchmark("idle"), isEnabled ? [place.library] : []) {
                let words = line.split(separator: " ")
                guard words.count == 2, let value = Double(words[1]) else { continue }
                let name = String(words[0])
                if !order.contains(name) { order.append(name) }
                if isEnabled { with[name, default: []].append(value) } else { without[name, default: []].append(value) }
            }
        }
        for pair in 0..<pairs {
            try run(pair % 2 == 0)
            try run(pair % 2 == 1)
        }
        return order.map { name in
            let withValues = with[name] ?? [], withoutValues = without[name] ?? []
            let costs = zip(withValues, withoutValues).map { ($0 / $1 - 1) * 100 }
            let interval = costs.medianInterval
            return Results.Idle(operation: name, withoutNanoseconds: withoutValues.median, withNanoseconds: withValues.median,
                                costPercent: costs.median, lowPercent: interval.lowerBound, highPercent: interval.upperBound, pairs: costs.count)
        }
    }
}
