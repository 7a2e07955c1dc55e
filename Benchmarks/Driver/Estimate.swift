// SPDX-License-Identifier: Apache-2.0

/// The median of some samples, and the interval that encloses it with a probability of at least 95 %.
struct Estimate: Codable {
    let median, low, high: Double
    let samples: [Double]

    init(_ samples: [Double]) {
        self.samples = samples
        median = samples.median
        let interval = samples.medianInterval
        low = interval.low
        high = interval.high
    }
}

extension [Double] {
    var median: Double {
        let ordered = sorted()
        guard !ordered.isEmpty else { return .nan }
        let middle = ordered.count / 2
        return ordered.count % 2 == 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2
    }

    /// The order statistics that enclose the median with a probability of at least 95 % (sign test; no assumption about the noise).
    /// With fewer than 9 samples these are the least and the greatest; with fewer than 6 they enclose it with less.
    var medianInterval: (low: Double, high: Double) {
        let ordered = sorted()
        guard ordered.count > 5 else { return (ordered.first ?? .nan, ordered.last ?? .nan) }
        // The greatest `rank` with P(Binomial(n, 1/2) <= rank) <= 2.5 %.
        var probability = 1.0
        for _ in ordered { probability /= 2 }
        var cumulated = probability, rank = 0
        while true {
            probability = probability * Double(ordered.count - rank) / Double(rank + 1)
            guard cumulated + probability <= 0.025 else { break }
            cumulated += probability
            rank += 1
        }
        return (ordered[rank], ordered[ordered.count - 1 - rank])
    }
}
