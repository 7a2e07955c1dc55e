// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a figure counts, and how it is written.
enum Unit: String, Codable {
    case milliseconds = "ms", microseconds = "µs", nanoseconds = "ns"
    case percent = "%", times = "×", mebibytes = "MiB", mebibytesPerSecond = "MiB/s"

    func text(_ value: Double) -> String { digits(value) + " " + rawValue }

    /// Three digits that mean something.
    func digits(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let places = switch abs(value) {
        case 0: 0
        case 100...: 0
        case 10..<100: 1
        case 1..<10: 2
        case 0.1..<1: 3
        default: 4
        }
        return String(format: "%.\(places)f", value)
    }
}
