// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointProcess
import Glibc

/// The checkpoint thread: a plain thread named "ckpt" that takes no signal.
enum CheckpointThread {
    /// Starts it, detached; false when there can be no more threads.
    static func start(_ coordinator: Coordinator) -> Bool {
        // Safety: sigfillset and pthread_sigmask fill and read sets of our own. Order: blocked before the thread is
        // born, because it inherits the mask and the program's handlers must never run on it.
        var all = sigset_t(), before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { unsafe _ = pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        // Safety: the thread takes over the reference that is retained here.
        let context = unsafe Unmanaged.passRetained(coordinator)
        let failure = unsafe pthread_create(&thread, nil, { context in
            guard let context = unsafe context else { return nil }
            unsafe ckpt_thread_set_name("ckpt")
            // Safety: the reference of passRetained, taken over once.
            unsafe Unmanaged<Coordinator>.fromOpaque(context).takeRetainedValue().serve()
            return nil
        }, context.toOpaque())
        guard failure == 0 else {
            unsafe context.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// Has `noticeFork` of the process's coordinator called in the child of each fork: a child has no checkpoint thread.
    static func watchForks() {
        // The handler touches two words; registered once, never removed.
        _ = pthread_atfork(nil, nil, { Coordinator.own.noticeFork() })
    }
}
