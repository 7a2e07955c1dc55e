// SPDX-License-Identifier: Apache-2.0
import CRestorer

enum HeldMutexSearch {
    /// Offsets of all words that are, but for their two highest bits, the id of one of the threads.
    static func words(in bytes: [UInt8], ids: [Int32]) -> [Int] {
        var found: [Int] = []
        var start: Int64 = 0
        while true {
            // Safety: both arrays are held for the call, which reads no more than the counts say.
            start = unsafe bytes.withUnsafeBytes { bytes in
                unsafe ids.withUnsafeBufferPointer { ids in
                    unsafe ckpt_identity_next_word(
                        bytes.baseAddress, UInt64(bytes.count), UInt64(start), ids.baseAddress, UInt32(ids.count))
                }
            }
            if start < 0 { return found }
            found.append(Int(start))
            start += 4
        }
    }

    /// The first mutex in these bytes of the program that one of the threads holds and that checks its owner.
    static func first(in bytes: [UInt8], ids: [Int32]) -> (address: UInt64, id: Int32)? {
        // Safety: both arrays are held for the call, which reads no more than the counts say.
        let found = unsafe bytes.withUnsafeBytes { bytes in
            unsafe ids.withUnsafeBufferPointer { ids in
                unsafe ckpt_identity_held_mutex(bytes.baseAddress, UInt64(bytes.count), ids.baseAddress, UInt32(ids.count))
            }
        }
        guard found >= 0 else { return nil }
        return (UInt64(found), Int32(bitPattern: bytes.word32(at: Int(found) + 8)))
    }
}
