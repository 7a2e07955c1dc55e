// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Documentation/performance.md and its plots, made from the JSON.
struct Document {
    let results: Results

    func write(root: String) throws {
        let folder = root + "/Documentation/performance"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for section in results.sections {
            if let plot = BarPlot(section) { try plot.svg.write(toFile: "\(folder)/\(section.name).svg", atomically: true, encoding: .utf8) }
            if let curve = section.curve {
                try CurvePlot(curve: curve).svg.write(toFile: "\(folder)/\(section.name)-curve.svg", atomically: true, encoding: .utf8)
            }
        }
        try markdown.write(toFile: root + "/Documentation/performance.md", atomically: true, encoding: .utf8)
    }

    var markdown: String {
        var parts = ["""
            # What it costs

            Measured by `make bench`, which writes this page and its plots from `.build/bench.json`; `make bench ONLY=pause` measures a part anew.
            \("\(results.machine.line). \(results.date).".inLines)

            Each figure is the median of the samples of one run; the interval encloses it with a probability of at least 95 % (sign test; of 7
            samples these are the least and the greatest). An aim is *reached* when the whole interval reaches it, *not reached* when none of it
            does, else *not shown*. *Not there*: this version, or this machine, has nothing to measure. The last column is what the machine itself
            can do at best, measured beside it.

            """]
        for section in results.sections {
            parts.append("## \(section.title)\n\n\(section.text.inLines)\n\n`make bench ONLY=\(section.name)`, \(section.date):\n\n\(section.table.markdown)")
            if BarPlot(section) != nil { parts.append("![\(section.title)](performance/\(section.name).svg)\n") }
            if let curve = section.curve { parts.append("![\(curve.title)](performance/\(section.name)-curve.svg)\n") }
        }
        return parts.joined(separator: "\n")
    }
}
