// SPDX-License-Identifier: Apache-2.0
import Glibc

extension LoadJob {
    /// Works the units off, together with so many helper threads; returns when all is done.
    ///
    /// Safety: each helper gets the job retained and releases it; all are joined before the return.
    func run(helpers: Int) {
        var threads: [pthread_t] = []
        for _ in 0..<helpers {
            var thread = pthread_t()
            let argument = unsafe Unmanaged.passRetained(self)
            let status = unsafe pthread_create(&thread, nil, { pointer in
                guard let pointer = unsafe pointer else { return nil }
                unsafe Unmanaged<LoadJob>.fromOpaque(pointer).takeRetainedValue().work()
                return nil
            }, argument.toOpaque())
            if status == 0 { threads.append(thread) } else { unsafe argument.release() }
        }
        work()
        for thread in threads { pthread_join(thread, nil) }
    }
}
