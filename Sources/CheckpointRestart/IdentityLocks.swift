// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// What in the program's memory holds a thread's id. Under new ids such a lock can never be given back: the kernel and
/// libc compare the id in it with that of the caller (field tests: none of 30 went on).
///
/// Found are: workers of Dispatch, libc's thread for timers, robust lists that are not empty, held pthread mutexes that check their owner (recursive, error-checking,
/// robust, priority-inheriting), and threads that wait for a priority-inheriting futex.
/// Not found: a bare futex word with an id in it, held by nobody's list, that nobody waits for; and ids kept elsewhere.
struct IdentityLocks {
    let image: Image
    private let memory: ImageMemory

    init(_ chain: ImageChain) {
        image = chain.newest
        memory = ImageMemory(chain)
    }

    /// What holds an id, in words; nil: nothing was found.
    func holder() -> String? {
        for thread in image.threads where !thread.flags.contains(.ended) {
            if let what = dispatchWorker(thread) ?? robustList(of: thread) ?? waitForOwner(of: thread) {
                return "thread \(thread.tid) \(what)"
            }
        }
        return timerThread() ?? heldMutex()
    }

    /// glibc makes the timers of SIGEV_THREAD for a thread of its own, by the id that it keeps (timer_routines.c,
    /// __timer_helper_tid); their signal is its own too. The timers could be made for another id, but the next ones would fail.
    private func timerThread() -> String? {
        guard let timer = image.timers.first(where: { $0.isBound && $0.signal == 32 && $0.tid != 0 }) else { return nil }
        return "thread \(timer.tid) is libc's for timers (SIGEV_THREAD), which keeps its id"
    }

    /// libdispatch's monitor looks each second for /proc/self/task/ID/stat of every worker that it knows by its id, and ends
    /// the program when one is not there (event/workqueue.c). A worker is known by the signals that it blocks: all that a
    /// program may, but for those of faults and SIGPIPE, SIGPROF.
    private func dispatchWorker(_ thread: ThreadState) -> String? {
        thread.signalMask == 0xffff_fffe_3bfb_ea27 && !thread.flags.contains(.leader) ? "is a worker of Dispatch, which watches it by its id" : nil
    }

    /// man 2 get_robust_list; struct robust_list_head: the list, an offset, and the lock that is being taken or given back.
    private func robustList(of thread: ThreadState) -> String? {
        if thread.robustList == 0 { return nil }
        guard let head = memory.read(thread.robustList, byteCount: 24) else { return "has a robust list that can not be read" }
        if head.word64(at: 16) != 0 { return "is taking or giving back a robust lock" }
        let first = head.word64(at: 0) & ~1
        return first == 0 || first == thread.robustList ? nil : "holds a robust or priority-inheriting lock"
    }

    /// The thread was interrupted in futex(FUTEX_LOCK_PI): its registers are those with which the call begins anew.
    private func waitForOwner(of thread: ThreadState) -> String? {
        guard let registers = thread.registers, registers.values[10] == 202 || registers.values[15] == 202 else { return nil }
        let operation = registers.values[13] & 0x7f
        return [6, 8, 11, 13].contains(operation) ? "waits for a lock that holds its owner's id" : nil
    }

    private func heldMutex() -> String? {
        let ids = image.threads.map(\.tid)
        for mapping in image.mappings where mapping.protection.contains(.write) {
            for stretch in memory.stretches(of: mapping) {
                guard let bytes = memory.read(stretch.start, byteCount: Int(stretch.byteCount)) else { continue }
                if let (address, id) = HeldMutexSearch.first(in: bytes, ids: ids) {
                    return "thread \(id) holds a mutex that checks its owner (at 0x\(String(stretch.start + address, radix: 16)))"
                }
            }
        }
        return nil
    }
}
