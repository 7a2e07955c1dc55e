// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointKit
import Foundation
import Synchronization

/// Plays the scribe's part over a live state of its own, so that hooks, events and waiting are tested without a signal.
@safe final class FakeScribe: @unchecked Sendable {
    // Safety: allocated here and never freed, because a checkpoint thread may still look at it; each field that both sides
    // touch is reached as the atomic number that it is, reports under the ring's own rule.
    private let live: UnsafeMutablePointer<ckpt_live>
    /// What `arm` returns.
    let armResult = Mutex<Int32>(0)
    /// What the next checkpoint comes to; nil: requests stay unanswered until `take` is called.
    let answer: Mutex<Answer?>
    let armedPlans = Mutex<[(signal: Int32, image: String)]>([])

    struct Answer: Sendable {
        var outcome = CKPT_OUTCOME_SAVED
        var step = CKPT_STEP_NONE
        var errno: Int32 = 0
        var threadID: Int32 = 0
        var restarts = false
    }

    init(answer: Answer? = Answer()) {
        unsafe live = .allocate(capacity: 1)
        unsafe UnsafeMutableRawPointer(live).initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<ckpt_live>.size)
        self.answer = Mutex(answer)
    }

    private func word(_ field: PartialKeyPath<ckpt_live>) -> UnsafeMutablePointer<Atomic<UInt32>> {
        unsafe UnsafeMutableRawPointer(live).advanced(by: MemoryLayout<ckpt_live>.offset(of: field)!).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
    private func long(_ field: PartialKeyPath<ckpt_live>) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe UnsafeMutableRawPointer(live).advanced(by: MemoryLayout<ckpt_live>.offset(of: field)!).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
    func load(_ field: KeyPath<ckpt_live, UInt32>) -> UInt32 { unsafe word(field).pointee.load(ordering: .sequentiallyConsistent) }
    func store(_ field: KeyPath<ckpt_live, UInt32>, _ value: UInt32) { unsafe word(field).pointee.store(value, ordering: .sequentiallyConsistent) }
    func load(_ field: KeyPath<ckpt_live, UInt64>) -> UInt64 { unsafe long(field).pointee.load(ordering: .sequentiallyConsistent) }
    func store(_ field: KeyPath<ckpt_live, UInt64>, _ value: UInt64) { unsafe long(field).pointee.store(value, ordering: .sequentiallyConsistent) }

    func announce() { unsafe _ = word(\.event).pointee.add(1, ordering: .sequentiallyConsistent) }

    var engine: Engine {
        Engine(
            live: unsafe Live(live),
            arm: { [self] plan in
                let result = armResult.withLock { $0 }
                guard result == 0 else { return result }
                var copy = copy plan
                let image = unsafe withUnsafeBytes(of: &copy.image_path) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                armedPlans.withLock { $0.append((plan.signal, image)) }
                store(\.armed, 1)
                return 0
            },
            disarm: { [self] in
                store(\.armed, 0)
                announce()
                return 0
            },
            request: { [self] in
                let ticket = unsafe long(\.requested).pointee.add(1, ordering: .sequentiallyConsistent).newValue
                if let answer = answer.withLock({ $0 }) { Thread.detachNewThread { self.take(answer) } }
                return Int64(ticket)
            },
            wait: { [self] seen in
                for _ in 0..<50 where load(\.event) == seen { usleep(200) }
            },
            announce: { [self] in announce() })
    }

    /// One checkpoint, as the scribe does it.
    func take(_ answer: Answer = Answer()) {
        var answer = answer
        let hasHooks = load(\.hooks) > 0
        if hasHooks {
            change(to: CKPT_HOOK_BEFORE)
            while ![CKPT_HOOK_GO, CKPT_HOOK_CANCEL].contains(phase) { usleep(200) }
            if phase == CKPT_HOOK_CANCEL { (answer.outcome, answer.step) = (CKPT_OUTCOME_CANCELLED, CKPT_STEP_HOOK) }
        }
        if answer.restarts {
            // The restarted process: idle, with everything answered.
            change(to: CKPT_HOOK_IDLE)
            unsafe live.pointee.restart.restart_count += 1
            unsafe live.pointee.restart.image = 0xabc
            store(\.completed, load(\.requested))
            store(\.restart_count, load(\.restart_count) + 1)
            announce()
            return
        }
        if hasHooks {
            store(\.hook_outcome, answer.outcome.rawValue)
            change(to: CKPT_HOOK_AFTER)
        }
        let index = load(\.report_count)
        let reports = unsafe UnsafeMutableRawPointer(live).advanced(by: MemoryLayout<ckpt_live>.offset(of: \ckpt_live.reports)!)
            .assumingMemoryBound(to: ckpt_report.self)
        let report = unsafe reports.advanced(by: Int(index % UInt64(CKPT_REPORT_RING)))
        unsafe report.pointee.outcome = answer.outcome.rawValue
        unsafe report.pointee.step = answer.step.rawValue
        unsafe report.pointee.error = -answer.errno
        unsafe report.pointee.tid = answer.threadID
        unsafe report.pointee.ticket = load(\.requested)
        unsafe report.pointee.identifier = 0x123 + index
        unsafe report.pointee.sequence = index + 1
        unsafe report.pointee.pause_ns = 1_500_000
        unsafe withUnsafeMutableBytes(of: &report.pointee.path) { unsafe $0.copyBytes(from: "/tmp/x.img".utf8) }
        store(\.report_count, index + 1)
        store(\.completed, load(\.requested))
        announce()
    }

    private var phase: ckpt_hook_phase { ckpt_hook_phase(rawValue: load(\.hook_phase)) }
    private func change(to phase: ckpt_hook_phase) {
        store(\.hook_phase, phase.rawValue)
        announce()
    }
}
