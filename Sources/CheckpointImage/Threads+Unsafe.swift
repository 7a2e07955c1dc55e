// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Runs `work` on this thread and on `count - 1` others, and returns when all are done. A thread that cannot be made is
/// left out: the work must be such that any number of threads does it all.
package func runOnThreads(_ count: Int, _ work: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let work: @Sendable () -> Void
        init(_ work: @escaping @Sendable () -> Void) { self.work = work }
    }
    var threads: [pthread_t] = []
    for _ in 1..<max(count, 1) {
        var thread = pthread_t()
        // Safety: the box is retained for the new thread, which releases it; when there is none, it is released here.
        let box = unsafe Unmanaged.passRetained(Box(work))
        let failed = unsafe pthread_create(&thread, nil, { argument in
            let box = unsafe Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            box.work()
            return nil
        }, box.toOpaque())
        if failed != 0 { unsafe box.release() } else { threads.append(thread) }
    }
    work()
    // Each thread was made above and is joined once.
    for thread in threads { pthread_join(thread, nil) }
}
