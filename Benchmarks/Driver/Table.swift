// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Cells with a head, for a terminal and for Markdown.
struct Table {
    private var rows: [[String]]

    init(_ head: [String]) { rows = [head] }
    mutating func add(_ cells: [String]) { rows.append(cells) }

    /// Columns as wide as their widest cell. Columns that are empty are left out.
    var text: String {
        let columns = filled
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(columns, widths).map { column, width in
                let space = String(repeating: " ", count: width - row[column].count)
                // Figures are flush right, words flush left.
                return (1...3).contains(column) ? space + row[column] : row[column] + space
            }.joined(separator: "  ").trimmingEnd
        }.joined(separator: "\n") + "\n"
    }

    var markdown: String {
        let columns = filled
        let lines = rows.map { row in "| " + columns.map { row[$0].replacingOccurrences(of: "|", with: "\\|") }.joined(separator: " | ") + " |" }
        let rule = "|" + columns.map { (1...3).contains($0) ? "---:|" : "---|" }.joined()
        return ([lines[0], rule] + lines.dropFirst()).joined(separator: "\n") + "\n"
    }

    private var filled: [Int] {
        rows[0].indices.filter { column in column == 0 || rows.dropFirst().contains { !$0[column].isEmpty } }
    }
}

extension String {
    fileprivate var trimmingEnd: String { String(reversed().drop { $0 == " " }.reversed()) }
}
