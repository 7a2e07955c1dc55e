// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import Dispatch
import FixtureSupport
import Glibc
import Synchronization

// Queues, groups, semaphores, timers and sources of Dispatch that are under way at the checkpoint; dispatchMain.
final class State: Sendable {
    let ticks = Atomic<Int>(0)
    let done = Atomic<Int>(0)
    let late = Atomic<Bool>(false)
    let lines = Mutex<[String]>([])
}
let state = State()
begin()
try Checkpoint.enable()

let serial = DispatchQueue(label: "fixture.serial")
let wide = DispatchQueue(label: "fixture.wide", attributes: .concurrent)
let suspended = DispatchQueue(label: "fixture.suspended")
suspended.suspend()
suspended.async { @Sendable in state.lines.withLock { $0.append("the suspended queue runs") } }

let timer = DispatchSource.makeTimerSource(queue: serial)
timer.schedule(deadline: .now() + .milliseconds(5), repeating: .milliseconds(5))
timer.setEventHandler { @Sendable in state.ticks.add(1, ordering: .relaxed) }
timer.resume()

let due = DispatchTime.now() + .milliseconds(600)
serial.asyncAfter(deadline: due) { @Sendable in state.late.store(DispatchTime.now() >= due, ordering: .relaxed); state.done.add(1, ordering: .relaxed) }
let wallDue = DispatchWallTime.now() + .milliseconds(400)
serial.asyncAfter(wallDeadline: wallDue) { @Sendable in state.done.add(1, ordering: .relaxed) }

let gate = DispatchSemaphore(value: 0), group = DispatchGroup()
for index in 0 ..< 8 {
    wide.async(group: group) {
        gate.wait()
        state.lines.withLock { $0.append("worker \(index)") }
    }
}
wide.async(group: group, flags: .barrier) { state.lines.withLock { $0.append("the barrier comes behind \($0.count) lines") } }

Thread.start {
    while state.ticks.load(ordering: .relaxed) < 2 { usleep(1000) }
    checkpointHere()
    let before = state.ticks.load(ordering: .relaxed)
    suspended.resume()
    suspended.sync {}
    for _ in 0 ..< 8 { gate.signal() }
    group.wait()
    for line in state.lines.withLock({ $0 }).sorted() { fact(line) }
    while state.done.load(ordering: .relaxed) < 2 { usleep(1000) }
    fact("the late block ran not before its time: \(state.late.load(ordering: .relaxed))")
    while state.ticks.load(ordering: .relaxed) < before + 3 { usleep(1000) }
    fact("the timer goes on")
    DispatchQueue.main.async {
        let sum = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: 100) { sum.add($0, ordering: .relaxed) }
        fact("on the main queue: \(sum.load(ordering: .relaxed))")
        exit(5)
    }
}
dispatchMain()
