// SPDX-License-Identifier: Apache-2.0
import Foundation

struct Neighbour: Sendable {
    let index: Int
    let distance: Int
}

/// The words, in the order of the file, and the search through them.
struct Dictionary: Sendable {
    let words: [String]
    private let scalars: [[UInt32]]

    init(path: String) throws {
        let text = try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8)
        words = text.split(separator: "\n").map(String.init)
        scalars = words.map { $0.unicodeScalars.map(\.value) }
    }

    /// The `count` nearest other words; of equally near ones, those that come first in the file. `bound` is a distance
    /// within which there are certainly `count` of them: it saves time and never changes the result.
    func nearest(to index: Int, count: Int, within bound: Int?) -> [Neighbour] {
        let word = scalars[index]
        var best: [Neighbour] = []
        var rows = Rows(columnCount: word.count + 1)
        var limit = bound ?? Int.max
        for other in scalars.indices where other != index {
            guard let distance = rows.distance(from: word, to: scalars[other], within: limit) else { continue }
            let place = best.firstIndex { $0.distance > distance } ?? best.count
            best.insert(Neighbour(index: other, distance: distance), at: place)
            if best.count > count { best.removeLast() }
            // Once the list is full, only something nearer than its last entry can change it.
            if best.count == count { limit = min(limit, best[count - 1].distance - 1) }
        }
        return best
    }

    func line(of index: Int, _ list: [Neighbour]) -> String {
        words[index] + ":" + list.map { " \(words[$0.index]) \($0.distance)" }.joined(separator: ",") + "\n"
    }
}

/// Two rows of the table of Wagner and Fischer.
struct Rows {
    private var above: [Int]
    private var row: [Int]

    init(columnCount: Int) {
        above = Array(repeating: 0, count: columnCount)
        row = above
    }

    /// The edit distance (insert, delete, replace: 1 each); nil when it is greater than `limit`.
    mutating func distance(from word: [UInt32], to other: [UInt32], within limit: Int) -> Int? {
        if abs(word.count - other.count) > limit { return nil }
        for column in above.indices { above[column] = column }
        for (line, scalar) in other.enumerated() {
            row[0] = line + 1
            var least = row[0]
            for column in word.indices {
                let replaced = above[column] + (word[column] == scalar ? 0 : 1)
                let value = min(replaced, above[column + 1] + 1, row[column] + 1)
                row[column + 1] = value
                least = min(least, value)
            }
            // No later row has a smaller minimum.
            if least > limit { return nil }
            swap(&above, &row)
        }
        return above[word.count] <= limit ? above[word.count] : nil
    }
}
