// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Which units are taken, and whether one has failed.
final class LoadCounter: Sendable {
    private let taken = Atomic<Int>(0)
    private let failed = Atomic<Int>(-1)
    private static let stride = 4

    /// nil: all are taken, or one has failed.
    func next(of count: Int) -> Range<Int>? {
        guard failed.load(ordering: .relaxed) < 0 else { return nil }
        let first = taken.wrappingAdd(LoadCounter.stride, ordering: .relaxed).oldValue
        return first < count ? first..<min(first + LoadCounter.stride, count) : nil
    }

    func fail(_ unit: Int) { failed.store(unit, ordering: .releasing) }

    var failedUnit: Int? {
        let index = failed.load(ordering: .acquiring)
        return index < 0 ? nil : index
    }
}
