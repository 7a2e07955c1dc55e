// SPDX-License-Identifier: Apache-2.0

/// `12.4 MB`: three digits, decimal units.
package func text(ofByteCount byteCount: UInt64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"]
    guard byteCount >= 1000 else { return "\(byteCount) bytes" }
    var tenths = byteCount / 100, unit = 0
    while tenths >= 10_000, unit + 1 < units.count { tenths /= 1000; unit += 1 }
    return decimal(tenths: tenths) + " " + units[unit]
}

/// `850 µs`, `1.3 ms`, `2.5 s`.
package func text(of duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let microseconds = UInt64(clamping: seconds) * 1_000_000 + UInt64(clamping: attoseconds / 1_000_000_000_000)
    if microseconds < 1000 { return "\(microseconds) µs" }
    if microseconds < 1_000_000 { return decimal(tenths: microseconds / 100) + " ms" }
    return decimal(tenths: microseconds / 100_000) + " s"
}

private func decimal(tenths: UInt64) -> String {
    tenths >= 1000 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
}

extension CheckpointEvent {
    /// The line of `CKPT_VERBOSE`, without its end.
    package var line: String {
        switch self {
        case .saved(let report):
            "ckpt: saved \(report.path) (\(text(ofByteCount: report.fileByteCount))\(report.kindNote), pause \(text(of: report.pause)), "
                + "durable after \(text(of: report.durableAfter))\(report.note))"
        case .failed(let failure): "ckpt: no checkpoint: \(failure.error)"
        case .cancelled(let failure): "ckpt: no checkpoint: \(failure.error)"
        case .tooSoon: "ckpt: no checkpoint: it is too soon after the last one; ask again later"
        case .restarted(let context):
            "ckpt: restarted from \(context.image) (loaded in \(text(of: context.loadDuration))); the next image is \(context.path)"
        }
    }
}

extension CheckpointReport {
    /// `, increment 3 of 0123456789ab, 300 MB excluded`; nothing of a full image.
    package var kindNote: String {
        var note = ""
        if case .increment(let parent, let depth) = kind { note += ", increment \(depth) of \(parent)" }
        if excludedByteCount > 0 { note += ", \(text(ofByteCount: excludedByteCount)) excluded" }
        return note
    }

    fileprivate var note: String {
        (unsupportedCount > 0 ? ", \(unsupportedCount) things that a restart refuses: see `ckpt inspect`" : "")
            + (isElsewhere ? ", because another program that runs owns the configured path" : "")
    }
}
