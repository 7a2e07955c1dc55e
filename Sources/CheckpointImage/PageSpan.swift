// SPDX-License-Identifier: Apache-2.0

/// Pages that follow one another; tables of them ascend and do not overlap.
package protocol PageSpan: Sendable {
    var address: UInt64 { get }
    var end: UInt64 { get }
}

extension Array where Element: PageSpan {
    /// Index of the first one at this address or above.
    package func firstIndex(from address: UInt64) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].address < address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Index of the first one that ends above this address.
    package func firstIndex(endingAbove address: UInt64) -> Int {
        let next = firstIndex(from: address)
        return next > 0 && self[next - 1].end > address ? next - 1 : next
    }

    /// The one that holds an address.
    package func holding(_ address: UInt64) -> Element? {
        let index = firstIndex(endingAbove: address)
        return index < count && self[index].address <= address ? self[index] : nil
    }
}
