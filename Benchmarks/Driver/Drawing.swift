// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A small SVG.
struct Drawing {
    let width, height: Double
    private var parts: [String] = []

    init(width: Double, height: Double) {
        self.width = width
        self.height = height
    }

    enum Anchor: String { case start, middle, end }

    mutating func text(_ text: String, _ x: Double, _ y: Double, anchor: Anchor = .start, size: Int = 12, colour: String = "#222") {
        parts.append("<text x=\"\(f(x))\" y=\"\(f(y))\" text-anchor=\"\(anchor.rawValue)\" font-size=\"\(size)\" fill=\"\(colour)\">\(escaped(text))</text>")
    }
    mutating func box(_ x: Double, _ y: Double, _ width: Double, _ height: Double, colour: String) {
        parts.append("<rect x=\"\(f(x))\" y=\"\(f(y))\" width=\"\(f(max(width, 0.5)))\" height=\"\(f(height))\" fill=\"\(colour)\"/>")
    }
    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String, thickness: Double = 1) {
        parts.append("<line x1=\"\(f(x1))\" y1=\"\(f(y1))\" x2=\"\(f(x2))\" y2=\"\(f(y2))\" stroke=\"\(colour)\" stroke-width=\"\(f(thickness))\"/>")
    }
    mutating func circle(_ x: Double, _ y: Double, colour: String) {
        parts.append("<circle cx=\"\(f(x))\" cy=\"\(f(y))\" r=\"4\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\"/>")
    }
    mutating func path(_ points: [(Double, Double)], colour: String) {
        let text = points.map { "\(f($0.0)),\(f($0.1))" }.joined(separator: " ")
        parts.append("<polyline points=\"\(text)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\"/>")
    }

    var svg: String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(f(width)) \(f(height))" width="\(f(width))" height="\(f(height))" font-family="sans-serif">
        <rect width="100%" height="100%" fill="#fff"/>
        \(parts.joined(separator: "\n"))
        </svg>

        """
    }

    private func f(_ value: Double) -> String { String(format: "%.1f", value) }
    private func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
    }
}
