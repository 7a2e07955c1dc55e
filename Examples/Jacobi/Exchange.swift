// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Where the threads meet: the rows at the borders of the strips, a barrier, and the result.
final class Exchange: Sendable {
    private struct State {
        var topRows: [[Double]]
        var bottomRows: [[Double]]
        var results: [[Double]?]
        var arrived = 0
        var meeting = 0
    }

    private let stripCount: Int
    private let state: Mutex<State>
    private let changed = NSCondition()

    init(stripCount: Int) {
        self.stripCount = stripCount
        state = Mutex(State(
            topRows: Array(repeating: [], count: stripCount), bottomRows: Array(repeating: [], count: stripCount),
            results: Array(repeating: nil, count: stripCount)))
    }

    /// Gives this strip's outer rows and waits until every strip has given its own.
    func post(top: [Double], bottom: [Double], of index: Int) {
        state.withLock {
            $0.topRows[index] = top
            $0.bottomRows[index] = bottom
        }
        meet()
    }

    func topRow(of index: Int) -> [Double]? { index < stripCount ? state.withLock { $0.topRows[index] } : nil }
    func bottomRow(of index: Int) -> [Double]? { index >= 0 ? state.withLock { $0.bottomRows[index] } : nil }

    /// Waits until nobody reads the rows of this round any more.
    func finishRound() { meet() }

    func deliver(_ cells: [Double], of index: Int) {
        changed.lock()
        state.withLock { $0.results[index] = cells }
        changed.broadcast()
        changed.unlock()
    }

    /// The whole plate, row by row.
    func waitForAll() -> [Double] {
        changed.lock()
        defer { changed.unlock() }
        while true {
            let results = state.withLock { $0.results.compactMap(\.self) }
            if results.count == stripCount { return results.flatMap(\.self) }
            changed.wait()
        }
    }

    private func meet() {
        changed.lock()
        defer { changed.unlock() }
        let (meeting, isLast) = state.withLock { state in
            state.arrived += 1
            let isLast = state.arrived == stripCount
            if isLast {
                state.arrived = 0
                state.meeting += 1
            }
            return (state.meeting, isLast)
        }
        if isLast { return changed.broadcast() }
        while state.withLock({ $0.meeting }) == meeting { changed.wait() }
    }
}
