// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A bar for each row, with its interval, its aim and its reference. Rows of another unit than the first one's have no place in it.
struct BarPlot {
    private let section: Section
    private let rows: [Row]
    private let unit: Unit

    init?(_ section: Section) {
        guard let unit = section.rows.first(where: { $0.estimate != nil })?.unit else { return nil }
        rows = section.rows.filter { $0.unit == unit && $0.estimate?.median.isFinite == true }
        guard rows.count > 1 else { return nil }
        self.unit = unit
        self.section = section
    }

    var svg: String {
        let label = min(420, Double(rows.map(\.name.count).max() ?? 0) * 6.6 + 16), bars = 420.0, height = 22.0, top = 40.0
        let bottom = top + height * Double(rows.count)
        var drawing = Drawing(width: label + bars + 110, height: bottom + 56)
        drawing.text(section.title, 10, 22, size: 15)
        let values = rows.flatMap { row in
            (row.estimate.map { [$0.median, $0.low, $0.high] } ?? []) + (row.aim.map { [$0.value] } ?? []) + (row.reference.map { [$0.value] } ?? [])
        }
        let axis = Axis(values, from: label, to: label + bars)
        for tick in axis.ticks {
            drawing.line(tick.place, top - 4, tick.place, bottom, colour: "#ddd")
            drawing.text(unit.short(tick.value), tick.place, bottom + 14, anchor: .middle, size: 10, colour: "#666")
        }
        drawing.text(unit.rawValue, label + bars + 14, bottom + 14, size: 10, colour: "#666")
        for (index, row) in rows.enumerated() {
            guard let estimate = row.estimate else { continue }
            let y = top + height * Double(index), middle = y + height / 2 - 1
            drawing.text(row.name, label - 8, middle + 4, anchor: .end)
            let place = axis.place(estimate.median), from = min(place, axis.zero), to = max(place, axis.zero)
            drawing.box(from, y + 3, to - from, height - 8, colour: row.verdict == .notReached ? "#d9a08a" : "#8fb3d9")
            drawing.line(axis.place(estimate.low), middle, axis.place(estimate.high), middle, colour: "#333")
            if let aim = row.aim { drawing.line(axis.place(aim.value), y, axis.place(aim.value), y + height - 2, colour: "#c0392b", thickness: 2) }
            if let reference = row.reference { drawing.circle(axis.place(reference.value), middle, colour: "#7d3c98") }
            drawing.text(unit.text(estimate.median), label + bars + 14, middle + 4)
        }
        var legend = "bar: median; thin line: its 95 % interval"
        if rows.contains(where: { $0.aim != nil }) { legend += "; red mark: the aim" }
        if let reference = rows.compactMap(\.reference).first { legend += "; circle: \(reference.label)" }
        drawing.text(legend, 10, bottom + 42, size: 11, colour: "#555")
        return drawing.svg
    }
}

extension Unit {
    /// For an axis.
    func short(_ value: Double) -> String { String(format: "%g", (value * 1e6).rounded() / 1e6 + 0) }
}
