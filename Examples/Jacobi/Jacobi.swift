// SPDX-License-Identifier: Apache-2.0
// Heat in a square plate by Jacobi's method: dense arrays, one thread for each strip of rows, a checksum at the end.
// The checksum does not depend on the number of threads, nor on checkpoints and restarts.
import CheckpointKit
import Foundation

@main struct Jacobi {
    static func main() throws {
        try Checkpoint.enable()
        let numbers = CommandLine.arguments.dropFirst().map { Int($0) ?? 0 }
        guard numbers.count <= 3, numbers.allSatisfy({ $0 > 0 }) else {
            FileHandle.standardError.write(Data("usage: Jacobi [SIZE [ROUNDS [THREADS]]]\n".utf8))
            exit(64)
        }
        let size = numbers.first ?? 1500
        let rounds = numbers.dropFirst().first ?? 2000
        let threadCount = min(numbers.dropFirst(2).first ?? ProcessInfo.processInfo.activeProcessorCount, size)

        let exchange = Exchange(stripCount: threadCount)
        for index in 0..<threadCount {
            let firstRow = size * index / threadCount, endRow = size * (index + 1) / threadCount
            let thread = Thread {
                var strip = Strip(rowCount: endRow - firstRow, columnCount: size, isTop: index == 0)
                for _ in 0..<rounds {
                    exchange.post(top: strip.topRow, bottom: strip.bottomRow, of: index)
                    strip.relax(above: exchange.bottomRow(of: index - 1), below: exchange.topRow(of: index + 1))
                    exchange.finishRound()
                }
                exchange.deliver(strip.cells, of: index)
            }
            thread.name = "strip \(index)"
            thread.start()
        }
        let cells = exchange.waitForAll()
        let checksum = cells.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ $1.bitPattern) &* 0x100_0000_01b3 }
        print("Jacobi \(size) × \(size), \(rounds) rounds: mean \(cells.reduce(0, +) / Double(cells.count)), checksum \(String(checksum, radix: 16))")
    }
}

/// The rows of one thread. The plate's upper edge is hot (1), the others are cold (0).
struct Strip {
    private let rowCount, columnCount: Int
    private let isTop: Bool
    private(set) var cells: [Double]
    private var next: [Double]

    init(rowCount: Int, columnCount: Int, isTop: Bool) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.isTop = isTop
        cells = Array(repeating: 0, count: rowCount * columnCount)
        next = cells
    }

    var topRow: [Double] { Array(cells.prefix(columnCount)) }
    var bottomRow: [Double] { Array(cells.suffix(columnCount)) }

    mutating func relax(above: [Double]?, below: [Double]?) {
        let upperEdge = above ?? Array(repeating: isTop ? 1 : 0, count: columnCount)
        let lowerEdge = below ?? Array(repeating: 0, count: columnCount)
        for row in 0..<rowCount {
            let start = row * columnCount
            for column in 0..<columnCount {
                let up = row == 0 ? upperEdge[column] : cells[start - columnCount + column]
                let down = row == rowCount - 1 ? lowerEdge[column] : cells[start + columnCount + column]
                let left = column == 0 ? 0 : cells[start + column - 1]
                let right = column == columnCount - 1 ? 0 : cells[start + column + 1]
                next[start + column] = (up + down + left + right) / 4
            }
        }
        swap(&cells, &next)
    }
}
