// SPDX-License-Identifier: Apache-2.0
import Foundation

/// From figures to places on a line.
struct Axis {
    private let low, high: Double
    private let isLogarithmic: Bool
    private let start, end: Double

    /// Logarithmic when they are far apart, and none that is not positive is large: such a one lies at the low end then.
    init(_ values: [Double], from start: Double, to end: Double, mayBeLogarithmic: Bool = true) {
        let finite = values.filter(\.isFinite)
        let least = finite.min() ?? 0, greatest = finite.max() ?? 1
        let leastPositive = max(finite.filter { $0 > 0 }.min() ?? 1, greatest / 1e5)
        isLogarithmic = mayBeLogarithmic && greatest / leastPositive > 30 && -least < greatest / 30
        if isLogarithmic {
            low = pow(10, floor(log10(leastPositive)))
            high = pow(10, ceil(log10(greatest * 1.01)))
        } else {
            low = min(0, least)
            high = greatest > low ? greatest + (greatest - low) * 0.02 : low + 1
        }
        self.start = start
        self.end = end
    }

    var zero: Double { place(isLogarithmic ? low : 0) }

    func place(_ value: Double) -> Double {
        let bounded = min(max(value, low), high)
        let part = isLogarithmic ? log(bounded / low) / log(high / low) : (bounded - low) / (high - low)
        return start + part * (end - start)
    }

    /// Round figures, and where they are.
    var ticks: [(value: Double, place: Double)] {
        if isLogarithmic {
            let first = Int(log10(low).rounded()), last = Int(log10(high).rounded())
            return (first...max(first, last)).map { (pow(10, Double($0)), place(pow(10, Double($0)))) }
        }
        let rough = (high - low) / 5, unit = pow(10, floor(log10(rough)))
        let step = [1, 2, 5, 10].map { $0 * unit }.first { $0 >= rough } ?? rough
        var value = ceil(low / step) * step + 0, ticks: [(value: Double, place: Double)] = []
        while value <= high && ticks.count < 20 {
            ticks.append((value, place(value)))
            value += step
        }
        return ticks
    }
}
