// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A thread of its own, for what must not hold one of Dispatch's.
enum Thread {
    private final class Work { let body: @Sendable () -> Void; init(_ body: @escaping @Sendable () -> Void) { self.body = body } }

    static func start(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        // Safety: the retained work is released by the thread, once.
        let work = unsafe Unmanaged.passRetained(Work(body)).toOpaque()
        unsafe pthread_create(&thread, nil, { pointer in
            unsafe Unmanaged<Work>.fromOpaque(pointer!).takeRetainedValue().body()
            return nil
        }, work)
    }
}
