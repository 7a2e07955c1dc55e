// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Lines.
struct CurvePlot {
    let curve: Section.Curve

    var svg: String {
        let colours = ["#2471a3", "#c0392b", "#1e8449", "#7d3c98"]
        let left = 60.0, right = 700.0, top = 40.0, bottom = 280.0
        var drawing = Drawing(width: right + 20, height: bottom + 40 + 18 * Double(curve.lines.count))
        drawing.text(curve.title, 10, 22, size: 15)
        let points = curve.lines.flatMap(\.points).filter { $0.count == 2 }
        let least = points.map { $0[0] }.min() ?? 0
        let horizontal = Axis(points.map { $0[0] }, from: left, to: right, mayBeLogarithmic: false)
        let vertical = Axis(points.map { $0[1] } + [0], from: bottom, to: top, mayBeLogarithmic: false)
        for tick in horizontal.ticks where tick.value >= least {
            drawing.line(tick.place, top, tick.place, bottom, colour: "#eee")
            drawing.text(Unit.milliseconds.short(tick.value), tick.place, bottom + 14, anchor: .middle, size: 10, colour: "#666")
        }
        for tick in vertical.ticks {
            drawing.line(left, tick.place, right, tick.place, colour: "#eee")
            drawing.text(Unit.milliseconds.short(tick.value), left - 6, tick.place + 4, anchor: .end, size: 10, colour: "#666")
        }
        drawing.text(curve.horizontal, right, bottom + 30, anchor: .end, size: 11, colour: "#555")
        drawing.text(curve.vertical, 10, top - 4, size: 11, colour: "#555")
        for (index, line) in curve.lines.enumerated() {
            let colour = colours[index % colours.count], y = bottom + 34 + 18 * Double(index)
            drawing.path(line.points.filter { $0.count == 2 }.map { (horizontal.place($0[0]), vertical.place($0[1])) }, colour: colour)
            drawing.line(left, y - 4, left + 24, y - 4, colour: colour, thickness: 2)
            drawing.text(line.label, left + 32, y, size: 11)
        }
        return drawing.svg
    }
}
