// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a run found: the rows of the tables, and the JSON.
struct Results: Codable {
    struct Checkpoint: Codable {
        var mebibytes: Int
        var pauseMilliseconds, durableMilliseconds: Double
        var imageMebibytes, residentMebibytes: Double
        var mebibytesPerSecond, ddMebibytesPerSecond: Double
        var ratioToDd: Double
    }
    struct Restart: Codable {
        var mebibytes: Int
        var milliseconds, memcpyMilliseconds, ratio: Double
    }
    struct Idle: Codable {
        var operation: String
        var withoutNanoseconds, withNanoseconds: Double
        var costPercent, lowPercent, highPercent: Double
        var pairs: Int
    }
    var kernel = ""
    var cores = 0
    var date = ""
    var checkpoints: [Checkpoint] = []
    var restarts: [Restart] = []
    var idle: [Idle] = []

    var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
            return try encoder.encode(self)
        }
    }
}

/// Columns as wide as their widest cell; the first is flush left, the others right.
struct Table {
    var rows: [[String]]

    init(_ head: String...) { rows = [head] }
    mutating func add(_ cells: String...) { rows.append(cells) }

    var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}

func number(_ value: Double, _ digits: Int = 1) -> String { value.isNaN ? "–" : String(format: "%.\(digits)f", value) }
func verdict(_ isReached: Bool) -> String { isReached ? "yes" : "NO" }

/// A line at once, also when the output is no terminal.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
