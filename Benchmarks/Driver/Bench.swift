// SPDX-License-Identifier: Apache-2.0
// checkpoint-bench [--quick]: measures what a checkpoint, a restart and an idle enabled program cost. `make bench` runs it.
import Foundation

@main struct Bench {
    static func main() {
        do {
            let place = try Place()
            defer { place.remove() }
            try measure(in: place, isQuick: CommandLine.arguments.contains("--quick"))
        } catch {
            FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func measure(in place: Place, isQuick: Bool) throws {
        let measurements = Measurements(place: place, turns: isQuick ? 3 : 7)
        let sizes = isQuick ? [1, 64] : [1, 64, 256, 1024]

        var results = Results()
        results.kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)) ?? ""
        results.cores = ProcessInfo.processInfo.activeProcessorCount
        results.date = Date.now.ISO8601Format()
        say("bench: kernel \(results.kernel), \(results.cores) cores; medians of \(measurements.turns)\n")

        say("Checkpoint of a program in C that writes a tenth of its pages every 100 ms, beside dd conv=fsync of the image")
        for size in sizes { results.checkpoints.append(try measurements.checkpoint(size)) }
        var table = Table("memory", "pause", "durable after", "image", "resident", "throughput", "dd", "of dd", "aim: 80 %")
        for row in results.checkpoints {
            table.add("\(row.mebibytes) MiB", number(row.pauseMilliseconds, 2) + " ms", number(row.durableMilliseconds) + " ms",
                      number(row.imageMebibytes) + " MiB", number(row.residentMebibytes) + " MiB", number(row.mebibytesPerSecond, 0) + " MiB/s",
                      number(row.ddMebibytesPerSecond, 0) + " MiB/s", number(row.ratioToDd * 100, 0) + " %", verdict(row.ratioToDd >= 0.8))
        }
        say(table.text)

        say("Restart, warm: execution of ckpt-restart to the first instruction, beside memcpy of the same size")
        for size in sizes { results.restarts.append(try measurements.restart(size)) }
        table = Table("memory", "restart", "memcpy", "ratio", "aim", "reached")
        for row in results.restarts {
            let (aim, isReached) = switch row.mebibytes {
            case 1: ("10 ms", row.milliseconds <= 10)
            case 1024: ("1.5 × memcpy", row.ratio <= 1.5)
            default: ("", true)
            }
            table.add("\(row.mebibytes) MiB", number(row.milliseconds) + " ms", number(row.memcpyMilliseconds, 2) + " ms", number(row.ratio, 2), aim,
                      aim.isEmpty ? "" : verdict(isReached))
        }
        say(table.text)

        let pairs = isQuick ? 15 : 41
        say("Idle cost of an enabled program, \(pairs) interleaved pairs: median of the pairs' ratios and its 95 % interval")
        results.idle = try measurements.idle(pairs: pairs)
        table = Table("operation", "without", "enabled", "cost", "95 % interval", "aim: < 0.5 %")
        for row in results.idle {
            table.add(row.operation, number(row.withoutNanoseconds, 2) + " ns", number(row.withNanoseconds, 2) + " ns", number(row.costPercent, 2) + " %",
                      number(row.lowPercent, 2) + " … " + number(row.highPercent, 2) + " %",
                      row.highPercent < 0.5 ? "yes" : row.lowPercent < 0.5 ? "not shown" : "NO")
        }
        say(table.text)

        try results.json.write(to: URL(fileURLWithPath: place.build + "/bench.json"))
        say("JSON: .build/bench.json")
    }
}
