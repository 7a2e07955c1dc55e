// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Appends lines to a file in the order of their indices, in whatever order they come.
struct OrderedOutput {
    private let file: FileHandle
    private var waiting: [Int: String] = [:]
    private(set) var written = 0

    init(path: String) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
            throw Usage(reason: "\(path) cannot be written; name another file with --output")
        }
        self.file = file
    }

    mutating func put(_ line: String, at index: Int) throws {
        waiting[index] = line
        while let line = waiting.removeValue(forKey: written) {
            try file.write(contentsOf: Data(line.utf8))
            written += 1
        }
    }

    func close() throws { try file.close() }
}
