// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What `ckpt save --json` tells. Members that a version does not have yet are nil.
struct SaveReport {
    let image: String
    let fileByteCount, pauseNanoseconds, durableNanoseconds: Double
    let isIncrement: Bool
    let isByChild: Bool?
    let rounds, frozenByteCount, excludedByteCount: Double?

    /// Asks for a checkpoint and waits until it is durable.
    static func save(_ pid: Int32, in place: Place) throws -> SaveReport {
        let lines = try Program.output(place.program("ckpt"), ["save", "--json", "\(pid)"], limit: 120)
        return try SaveReport(lines, in: place)
    }

    private init(_ lines: [String], in place: Place) throws {
        let json = try SaveReport.object(lines)
        func number(_ names: String...) -> Double? { names.lazy.compactMap { (json[$0] as? NSNumber)?.doubleValue }.first }
        guard let image = json["image"] as? String, let file = number("file_byte_count"), let pause = number("pause_ns"),
              let durable = number("durable_ns") else { throw Failure("ckpt save --json told \(lines.joined(separator: " "))") }
        self.image = image
        fileByteCount = file
        pauseNanoseconds = pause
        durableNanoseconds = durable
        rounds = number("round_count")
        frozenByteCount = number("frozen_byte_count")
        excludedByteCount = number("excluded_byte_count")
        isByChild = number("is_written_by_child").map { $0 != 0 }
        if let depth = number("depth") {
            isIncrement = depth > 0
        } else if json.keys.contains("parent") {
            isIncrement = json["parent"] is String
        } else {
            let inspected = try Program.output(place.program("ckpt"), ["inspect", "--json", image])
            isIncrement = try SaveReport.object(inspected)["parent"] is String
        }
    }

    private static func object(_ lines: [String]) throws -> [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(lines.joined(separator: "\n").utf8))) as? [String: Any] ?? [:]
    }
}
