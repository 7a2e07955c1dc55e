// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A value that one thread at a time may touch.
///
/// A plain pthread mutex, because a checkpoint may be taken while it is held: `Synchronization.Mutex` keeps the id of its
/// owner in the lock word (a priority-inheriting futex), which a restart with new ids would have to correct.
@safe package final class Guarded<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    package init(_ value: Value) {
        // Safety: this class owns the mutex, which never moves; all bytes zero is PTHREAD_MUTEX_INITIALIZER.
        unsafe mutex = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        self.value = value
    }

    deinit {
        // Safety: nobody can hold a lock of an object without references.
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Safety: `value` is only reached here, with the mutex held.
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
