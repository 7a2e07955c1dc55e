// SPDX-License-Identifier: Apache-2.0

/// Columns: each as wide as its widest cell, the last one free.
struct Columns {
    let titles: [String]
    /// Columns of numbers stand to the right.
    var rightAligned: Set<Int> = []
    var rows: [[String]] = []

    var text: String {
        let all = [titles] + rows
        let widths = titles.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = " "
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += " " + (rightAligned.contains(column) ? padding + cell : column == row.count - 1 ? cell : cell + padding)
            }
            return line
        }.joined(separator: "\n")
    }
}

extension UInt64 {
    /// A size for people: 640 B, 12.3 KiB, 4.0 MiB.
    var inUnits: String {
        guard self >= 1024 else { return "\(self) B" }
        var value = Double(self)
        var unit = 0
        while value >= 1024, unit < 5 {
            value /= 1024
            unit += 1
        }
        return "\(value.withOneDigit) \(["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit])"
    }

    /// Nanoseconds since 1970 as a date in UTC.
    var asDate: String {
        let seconds = self / 1_000_000_000
        // Days to a date: H. Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = seconds / 86400 + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let time = seconds % 86400
        return "\(year)-\(month.inTwoDigits)-\(day.inTwoDigits) \((time / 3600).inTwoDigits):\((time / 60 % 60).inTwoDigits):\((time % 60).inTwoDigits) UTC"
    }

    /// Nanoseconds as milliseconds.
    var inMilliseconds: String { "\((Double(self) / 1e6).withOneDigit) ms" }

    private var inTwoDigits: String { self < 10 ? "0\(self)" : "\(self)" }
}

extension Double {
    var withOneDigit: String {
        let tenths = UInt64((self * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
