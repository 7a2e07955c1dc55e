// SPDX-License-Identifier: Apache-2.0
import CheckpointKit

/// What `ckpt save` prints.
enum SaveText {
    static func line(_ raw: RawReport) -> String {
        let report = raw.saved
        let refused = report.unsupportedCount > 0
            ? "\n\(report.unsupportedCount) things that a restart refuses: see `ckpt inspect`" : ""
        return "\(report.path.inOneLine): \(text(ofByteCount: report.fileByteCount))\(report.kindNote), pause \(text(of: report.pause)), "
            + "durable after \(text(of: report.durableAfter))" + refused
    }

    static func json(_ raw: RawReport) -> Json {
        let report = raw.saved
        let (parent, depth): (String?, Int) = switch report.kind {
        case .full: (nil, 0)
        case .increment(let parent, let depth): (parent, depth)
        }
        return .object([
            ("image", .string(report.path)), ("identifier", .string(report.identifier)),
            ("kind", .string(parent == nil ? "full" : "increment")), ("parent", parent.map { .string($0) } ?? .null),
            ("depth", .integer(Int64(depth))), ("sequence", .number(report.sequence)),
            ("file_byte_count", .number(report.fileByteCount)), ("memory_byte_count", .number(report.memoryByteCount)),
            ("page_byte_count", .number(report.pageByteCount)), ("stored_byte_count", .number(report.storedByteCount)),
            ("excluded_byte_count", .number(report.excludedByteCount)), ("precopied_byte_count", .number(report.precopiedByteCount)),
            ("frozen_byte_count", .number(report.frozenByteCount)), ("round_count", .integer(Int64(report.roundCount))),
            ("is_written_by_child", .bool(report.isWrittenByChild)), ("tracker", .string(report.tracker.rawValue)),
            ("pause_ns", nanoseconds(report.pause)),
            ("park_ns", nanoseconds(report.parkDuration)), ("durable_ns", nanoseconds(report.durableAfter)),
            ("write_ns", nanoseconds(report.writeDuration)), ("thread_count", .integer(Int64(report.threadCount))),
            ("attempts", .integer(Int64(report.attempts))), ("unsupported_count", .integer(Int64(report.unsupportedCount))),
            ("is_elsewhere", .bool(report.isElsewhere)),
        ])
    }

    static func json(_ failure: SaveFailure) -> Json {
        .object([
            ("failure", .string(failure.what)), ("remedy", .string(failure.remedy)), ("status", .integer(Int64(failure.status.rawValue))),
        ])
    }

    private static func nanoseconds(_ duration: Duration) -> Json {
        .integer(duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000)
    }
}
