// SPDX-License-Identifier: Apache-2.0
// For the first words of a dictionary, the nearest words of the whole dictionary by edit distance.
import CheckpointKit
import Foundation

@main struct Neighbours {
    static func main() async throws {
        try Checkpoint.enable()
        let options = try Options(CommandLine.arguments.dropFirst())
        let dictionary = try Dictionary(path: options.dictionary)
        let count = min(options.words, dictionary.words.count)
        let cache = NeighbourCache()
        var output = try OrderedOutput(path: options.output)
        var progress = Progress(total: count)

        try await withThrowingTaskGroup(of: (Int, [Neighbour]).self) { group in
            var next = 0
            func addNext() {
                guard next < count else { return }
                let index = next
                next += 1
                group.addTask {
                    let bound = await cache.bound(of: index)
                    let list = dictionary.nearest(to: index, count: options.neighbours, within: bound)
                    await cache.note(list, of: index)
                    return (index, list)
                }
            }
            // A few more tasks than cores, so that none waits for the slowest of a round.
            for _ in 0..<ProcessInfo.processInfo.activeProcessorCount * 4 { addNext() }
            for try await (index, list) in group {
                addNext()
                try output.put(dictionary.line(of: index, list), at: index)
                progress.show(output.written)
            }
        }
        try output.close()
        progress.end()
    }
}

struct Options: Sendable {
    var words = 8000
    var neighbours = 5
    var dictionary = "/usr/share/dict/american-english"
    var output = "neighbours.txt"

    init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw Usage(reason: "\(name) needs a value") }
            switch name {
            case "--words": words = try Self.number(value, of: name)
            case "--neighbours": neighbours = try Self.number(value, of: name)
            case "--dictionary": dictionary = value
            case "--output": output = value
            default: throw Usage(reason: "\(name) is no option; there are --words, --neighbours, --dictionary, --output")
            }
        }
    }

    private static func number(_ text: String, of name: String) throws -> Int {
        guard let number = Int(text), number > 0 else { throw Usage(reason: "\(name) needs a positive number, not \(text)") }
        return number
    }
}

struct Usage: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }
}
