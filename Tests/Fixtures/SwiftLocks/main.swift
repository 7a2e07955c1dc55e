// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import FixtureSupport
import Glibc
import Synchronization

// A Mutex that is held across the checkpoint, with tasks that wait for it, and atomics that others spin on.
final class Shared: Sendable {
    let balance = Mutex<Int>(100)
    let released = Atomic<Bool>(false)
    let spins = Atomic<Int>(0)
    let ended = Atomic<Int>(0)
}
let shared = Shared()
begin()
try Checkpoint.enable()

// A thread spins on an atomic, another waits for the mutex.
let spinner = Task.detached {
    while !shared.released.load(ordering: .acquiring) { shared.spins.wrappingAdd(1, ordering: .relaxed) }
    shared.ended.wrappingAdd(1, ordering: .releasing)
}
let waiter: Task<Int, Never> = shared.balance.withLock { balance in
    let waiter = Task.detached {
        let seen = shared.balance.withLock { balance in balance *= 2; return balance }
        shared.ended.wrappingAdd(1, ordering: .releasing)
        return seen
    }
    while shared.spins.load(ordering: .relaxed) < 1000 { usleep(1000) }
    balance += 1
    checkpointHere()
    fact("held across the checkpoint: \(balance)")
    balance += 1
    return waiter
}
fact("the one that waited sees \(await waiter.value)")
shared.released.store(true, ordering: .releasing)
await spinner.value
fact("spun: \(shared.spins.load(ordering: .relaxed) >= 1000), ended: \(shared.ended.load(ordering: .acquiring))")
shared.balance.withLock { $0 -= 4 }
fact("at last \(shared.balance.withLock { $0 })")
