// SPDX-License-Identifier: Apache-2.0
import Glibc

/// How many pages of the two differ; nil stands for zeros.
func differingPages(_ one: ArraySlice<UInt8>?, _ other: ArraySlice<UInt8>?, pageCount: Int) -> Int {
    let size = Int(Image.pageSize)
    let zeros = [UInt8](repeating: 0, count: size)
    var count = 0
    for page in 0..<pageCount {
        // Safety: both parts have `pageCount` pages (a slice is indexed from its start here), and memcmp reads one of each.
        let isSame = unsafe (one.map { $0.dropFirst(page * size) } ?? zeros[...]).withUnsafeBytes { first in
            unsafe (other.map { $0.dropFirst(page * size) } ?? zeros[...]).withUnsafeBytes { second in
                guard first.count >= size, second.count >= size else { return false }
                return unsafe memcmp(first.baseAddress!, second.baseAddress!, size) == 0
            }
        }
        if !isSame { count += 1 }
    }
    return count
}
