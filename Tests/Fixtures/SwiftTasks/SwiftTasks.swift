// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import FixtureSupport

/// Tasks, groups, actors, continuations, streams and sleeps that are under way at the checkpoint; an async main.
actor Gate {
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var isOpen = false
    var count: Int { waiters.count }
    func pass() async {
        if isOpen { return }
        await withCheckedContinuation { waiters.append($0) }
    }
    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }
}

actor Ledger {
    private var entries: [Int: Int] = [:]
    func add(_ key: Int, _ value: Int) { entries[key, default: 0] += value }
    var sum: Int { entries.values.reduce(0, +) }
    var keys: Int { entries.count }
}

enum Colour { @TaskLocal static var current = "none" }

@main struct SwiftTasks {
    static func main() async throws {
        begin()
        try Checkpoint.enable()
        let gate = Gate(), ledger = Ledger()
        let group = Task {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0 ..< 50 {
                    group.addTask {
                        await ledger.add(index % 7, index)
                        await gate.pass()
                        for turn in 0 ..< 100 { await ledger.add(index % 11, turn) }
                        return index
                    }
                }
                var sum = 0
                for try await index in group { sum += index }
                return sum
            }
        }
        let clock = ContinuousClock(), end = clock.now + .milliseconds(700)
        let sleeper = Task {
            try await Task.sleep(until: end, clock: clock)
            return clock.now >= end
        }
        let suspending = SuspendingClock(), suspendedEnd = suspending.now + .milliseconds(500)
        let suspendingSleeper = Task {
            try await Task.sleep(until: suspendedEnd, clock: suspending)
            return suspending.now >= suspendedEnd
        }
        let coloured = Colour.$current.withValue("green") {
            Task { await gate.pass(); return Colour.current }
        }
        let cancelled = Task {
            do { try await Task.sleep(for: .seconds(3600)); return "slept" } catch { return "cancelled" }
        }
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        let reader = Task {
            var all: [Int] = []
            for await number in stream { all.append(number) }
            return all
        }
        continuation.yield(1)
        while await gate.count < 51 { await Task.yield() }

        try await checkpointHere()

        fact("at the gate: \(await gate.count)")
        await gate.open()
        fact("the group's sum is \(try await group.value)")
        fact("the ledger: \(await ledger.sum) under \(await ledger.keys) keys")
        fact("the sleep ended not before its time: \(try await sleeper.value), \(try await suspendingSleeper.value)")
        fact("the task's own value is \(await coloured.value)")
        cancelled.cancel()
        fact("the long sleep is \(await cancelled.value)")
        continuation.yield(2)
        continuation.finish()
        fact("the stream gave \(await reader.value)")
        async let first = Task.detached(priority: .background) { 20 }.value
        async let second = Task.detached(priority: .high) { 22 }.value
        fact("new tasks: \(await first + second)")
    }
}
