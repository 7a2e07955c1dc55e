// SPDX-License-Identifier: Apache-2.0
import CRestorer

enum VectorSearch {
    /// Offsets of all words that may be the first mark of vector state in a signal frame. The bytes begin at a page of the program.
    static func marks(in bytes: [UInt8]) -> [Int] {
        var found: [Int] = []
        var start: Int64 = 0
        while true {
            // Safety: the array is held for the call, which reads no more than the count says.
            start = unsafe bytes.withUnsafeBytes { unsafe ckpt_next_vector($0.baseAddress, UInt64($0.count), UInt64(start)) }
            if start < 0 { return found }
            found.append(Int(start))
            start += 4
        }
    }
}
