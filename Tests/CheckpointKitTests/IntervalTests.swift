// SPDX-License-Identifier: Apache-2.0
import CEngineView
import CheckpointKit
import Testing

struct IntervalTests {
    static let costsAndFailures: [(UInt64, UInt64)] = [
        (1, 86400), (100, 86400), (10, 3600), (600, 3600), (3000, 3600), (60, 60), (119, 60), (200, 60), (5, 86400 * 365),
    ]

    @Test(arguments: costsAndFailures) func `the interval is Daly's`(_ costSeconds: UInt64, _ failureSeconds: UInt64) {
        let cost = Double(costSeconds), failure = Double(failureSeconds)
        let ratio = cost / (2 * failure)
        let daly = ratio < 1 ? (2 * cost * failure).squareRoot() * (1 + ratio.squareRoot() / 3 + ratio / 9) : failure
        let found = Double(ckpt_view_interval(costSeconds * 1_000_000_000, failureSeconds * 1_000_000_000)) / 1e9
        #expect(abs(found - daly) <= daly * 1e-5, "\(found) instead of \(daly)")
    }

    @Test func `a small cost gives Young's interval, and the ends of the numbers are kept`() {
        let second: UInt64 = 1_000_000_000
        #expect(ckpt_view_interval(5_000_000, 86400 * second) / 1_000_000 == 29395)
        #expect(ckpt_view_interval(0, second) == 0)
        #expect(ckpt_view_interval(.max, 1) == 1)
        #expect(ckpt_view_interval(.max, .max) > 86400 * second)
    }
}
