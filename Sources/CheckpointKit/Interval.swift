// SPDX-License-Identifier: Apache-2.0

extension Configuration {
    /// When checkpoints are taken without being asked for.
    public enum Interval: Sendable, Equatable {
        /// One each time this is over; at least a millisecond.
        case every(Duration)
        /// As often as costs least, for a program that is interrupted once in this time on average; at least a second.
        ///
        /// The interval is found anew from what each checkpoint cost (its pause, and the slowdown while it was written):
        /// √(2CM) after Young, "A first order approximation to the optimum checkpoint interval" (1974), with the terms of higher
        /// order of Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps" (2006). A checkpoint
        /// counts for the interval after the next. Until the first is known its cost is taken to be 100 ms. Never shorter than a
        /// second, than `minimumInterval`, or than twice the time until the last image was durable.
        case automatic(meanTimeBetweenFailures: Duration)
    }
}

extension Configuration.Interval {
    /// `600`, `10m`, `auto:24h`; nil: neither.
    package init?(text: String) {
        let prefix = "auto:"
        let isAutomatic = text.lowercased().hasPrefix(prefix)
        guard let duration = Duration(text: isAutomatic ? String(text.dropFirst(prefix.count)) : text) else { return nil }
        self = isAutomatic ? .automatic(meanTimeBetweenFailures: duration) : .every(duration)
    }

    /// Why it cannot be; nil: it can.
    package var reasonAgainst: String? {
        switch self {
        case .every(let duration) where duration < .milliseconds(1) || duration > .longest: "1 ms to 100 years is needed"
        case .automatic(let duration) where duration < .seconds(1) || duration > .longest:
            "a mean time between failures from 1 s to 100 years is needed"
        default: nil
        }
    }
}

extension Duration {
    /// A hundred years: what is longer is a mistake.
    package static let longest = Duration.seconds(100 * 366 * 86400)

    /// A number of seconds, or with `ms`, `s`, `m`, `h`; nil: neither.
    package init?(text: String) {
        let units: [(name: String, microseconds: UInt64)] = [("ms", 1000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)]
        let lowered = text.lowercased()
        let unit = units.first { lowered.hasSuffix($0.name) }
        let number = lowered.dropLast(unit?.name.count ?? 0).split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = number.count > 1 ? number[1] : "0"
        guard let whole = number.first, [whole, fraction].allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let wholes = UInt64(whole), wholes <= 100_000_000_000, fraction.utf8.count <= 6, let parts = UInt64(fraction) else { return nil }
        let scale = unit?.microseconds ?? 1_000_000
        let divisor = (0..<fraction.utf8.count).reduce(UInt64(1)) { product, _ in product * 10 }
        self = .milliseconds(Int64(wholes)) * Int(scale / 1000) + .microseconds(Int64(parts * scale / divisor))
    }

    /// 0 for what is negative, the largest for what is too long.
    package var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return overflow || carry ? .max : sum
    }
}
