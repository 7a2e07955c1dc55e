// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// A word of the program's memory in which a library keeps a thread's id for its locks.
///
/// Corrected are words in thread-local memory (Swift's `Mutex`, Dispatch) and the states of Dispatch queues that a thread
/// is bound to or drains. Any other word that happens to be equal to an id is the program's own and stays as it is.
package struct KeptId: Sendable {
    package let tid: Int32
    package let address: UInt64
    /// The word's highest bits, which are no id.
    package let flags: UInt32

    struct Found {
        var ids: [KeptId] = []
        /// A lock with waiters that is neither of these, in words.
        var contended: String?
    }

    static func all(in chain: ImageChain) -> Found {
        let image = chain.newest
        let threads = image.threads.filter { !$0.flags.contains(.ended) }
        let tids = threads.map(\.tid)
        // A thread that waits for a lock has its address in a register, also between its last look and the system call. Without
        // this, constants of a library's data that happen to look like an id with the bit of waiters would be taken for locks.
        let registers = Set(threads.flatMap { $0.registers?.general ?? [] })
        let memory = ImageMemory(chain)
        var found = Found()
        for mapping in image.mappings where mapping.protection.contains(.write) && !mapping.flags.contains(.shared) {
            let isStack = mapping.kind == .stack || threads.contains { mapping.addresses.contains($0.ucontext) }
            for stretch in memory.stretches(of: mapping) {
                guard let bytes = memory.read(stretch.start, byteCount: Int(stretch.byteCount)) else { continue }
                for offset in HeldMutexSearch.words(in: bytes, ids: tids) {
                    let address = stretch.start + UInt64(offset)
                    let word = bytes.word32(at: offset)
                    let id = KeptId(tid: Int32(word & 0x3fff_ffff), address: address, flags: word & 0xc000_0000)
                    if offset % 8 == 4, image.mappings.contains(where: { $0.addresses.contains(bytes.word64(at: offset - 4)) }) {
                        continue // the upper half of an address: 0x7f62 in 0x7f62cd6b4000 is an id below 32768 too
                    } else if threads.contains(where: { isLocal(address, to: $0) }) {
                        found.ids.append(id)
                    } else if !isStack && offset % 8 == 0 && offset + 8 <= bytes.count && isQueueState(bytes.word32(at: offset + 4)) {
                        found.ids.append(id)
                    } else if !isStack && mapping.kind != .file && word & 0x8000_0000 != 0 && registers.contains(address) {
                        found.contended = found.contended ?? "thread \(id.tid) holds a lock with its id, for which others wait"
                    }
                }
            }
        }
        return found
    }

    /// Thread-local variables of the program and its libraries lie below the thread's control block.
    private static func isLocal(_ address: UInt64, to thread: ThreadState) -> Bool {
        address < thread.fsBase && thread.fsBase - address <= 1024
    }

    /// The upper half of a Dispatch queue's state while a thread owns it (libdispatch, src/queue_internal.h): not suspended,
    /// and of its width either all or all but one is free, as it is for a serial queue, or taken as a barrier.
    private static func isQueueState(_ word: UInt32) -> Bool {
        word & 0xff80_0000 == 0 && [0x001f_fe00, 0x0020_0000, 0x0060_0000].contains(word & 0x007f_fe00) && word & 0x1ff != 0
    }
}
