// SPDX-License-Identifier: Apache-2.0

/// One table with its plot.
struct Section: Codable {
    /// Lines over time or size.
    struct Curve: Codable {
        struct Line: Codable { var label: String, points: [[Double]] }
        var title, horizontal, vertical: String
        var lines: [Line]
    }

    var name, title: String
    /// How it is measured.
    var text: String
    var date = ""
    var rows: [Row] = []
    var curve: Curve?

    var table: Table {
        var table = Table(Row.head)
        for row in rows { table.add(row.cells) }
        return table
    }
}
