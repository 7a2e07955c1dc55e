// SPDX-License-Identifier: Apache-2.0
import Foundation

/// All sections, as they stand in the JSON: the terminal, the document and the plots say what is there.
struct Results: Codable {
    var machine: Machine
    var date = ""
    var sections: [Section] = []

    /// A part that was measured anew takes the place of the older one.
    mutating func put(_ section: Section, order: [String]) {
        sections.removeAll { $0.name == section.name }
        sections.append(section)
        sections.sort { (order.firstIndex(of: $0.name) ?? .max) < (order.firstIndex(of: $1.name) ?? .max) }
    }

    static func read(_ path: String) -> Results? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try? decoder.decode(Results.self, from: data)
    }

    func write(_ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        try encoder.encode(self).write(to: URL(fileURLWithPath: path))
    }
}
