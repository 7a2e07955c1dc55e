// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
internal import CCheckpointProcess
internal import CheckpointImage

/// Signal time's live state, as plan time reads and changes it.
@safe package struct Live: @unchecked Sendable {
    // Safety: the live state is valid for the life of the process and never moves; every field that both sides touch is
    // read and written atomically by the functions of ckpt_process.h, or copied under the ring's own rule.
    private let state: UnsafeMutablePointer<ckpt_live>

    package init(_ state: UnsafeMutablePointer<ckpt_live>) { unsafe self.state = unsafe state }

    package var event: UInt32 { unsafe ckpt_live_event(state) }
    package var isArmed: Bool { unsafe ckpt_live_armed(state) != 0 }
    package var hookPhase: UInt32 { unsafe ckpt_live_hook_phase(state) }
    package var hookOutcome: UInt32 { unsafe ckpt_live_hook_outcome(state) }
    /// Every ticket up to here has its report.
    package var completed: UInt64 { unsafe ckpt_live_completed(state) }
    package var reportCount: UInt64 { unsafe ckpt_live_report_count(state) }
    package var restartCount: UInt64 { unsafe ckpt_live_restart_count(state) }

    package func setHookCount(_ count: Int) { unsafe ckpt_live_set_hooks(state, UInt32(clamping: count)) }
    /// False when the phase is no longer `expected`.
    @discardableResult
    package func changeHookPhase(from expected: UInt32, to phase: UInt32) -> Bool {
        unsafe ckpt_live_change_phase(state, expected, phase)
    }
    package func enterDeferral() { unsafe ckpt_live_enter_deferral(state) }
    /// True when the last one left and a request had come meanwhile.
    package func leaveDeferral() -> Bool { unsafe ckpt_live_leave_deferral(state) }

    /// Report `index`; nil when it is not there yet, or no longer.
    package func report(_ index: UInt64) -> RawReport? {
        // Safety: the copy is ours, as large as the struct, and ends its path with a zero byte.
        let copy = UnsafeMutablePointer<ckpt_report>.allocate(capacity: 1)
        defer { unsafe copy.deallocate() }
        guard unsafe ckpt_live_report(state, index, copy) else { return nil }
        return unsafe RawReport(copy)
    }

    package var restartContext: RestartContext {
        // Safety: written by ckpt-restart before the first instruction of this process, never afterwards.
        let context = unsafe UnsafeRawPointer(state).advanced(by: MemoryLayout<ckpt_live>.offset(of: \.restart) ?? 0)
            .assumingMemoryBound(to: ckpt_restart_context.self)
        let identity: RestartContext.Identity = switch unsafe context.pointee.identity {
        case 0: .kept
        case 1: .keptInNamespace
        default: .new
        }
        // A restart by an older ckpt-restart has left these as they were.
        let isKnown = unsafe context.pointee.version >= CKPT_RESTART_CONTEXT_VERSION
        func record(_ number: Int32) -> Int? { isKnown && number >= 0 ? Int(number) : nil }
        return unsafe RestartContext(
            count: Int(clamping: context.pointee.restart_count), countHere: record(context.pointee.restarts_here),
            siblings: record(context.pointee.siblings), image: Identity.name(of: context.pointee.image),
            path: String(decoding: imagePath, as: UTF8.self), restartedAt: .nanoseconds(context.pointee.restarted_realtime_ns),
            loadDuration: .nanoseconds(Int64(clamping: context.pointee.load_ns)), identity: identity, environment: environment)
    }

    /// Where the next checkpoint of a restarted process goes; empty in a process that never was restarted.
    package var imagePath: [UInt8] {
        // Safety: inside the struct, up to the first zero byte.
        unsafe text(at: ckpt_live_restart_image_path(state), upTo: Int(CKPT_PATH_BYTES))
    }

    /// `--env` of the last restart.
    private var environment: [String: String] {
        var found: [String: String] = [:]
        var index: UInt32 = 0
        // Safety: the function gives a string inside the struct, or nil behind the last.
        while let entry = unsafe ckpt_live_restart_environment(state, index) {
            let text = unsafe String(cString: entry)
            if let equals = text.firstIndex(of: "=") { found[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
            index += 1
        }
        return found
    }

    /// Where the value of `name` is in the live state; nil: not given.
    @unsafe package func environmentValue(_ name: UnsafePointer<CChar>) -> UnsafePointer<CChar>? {
        unsafe ckpt_live_restart_value(state, name)
    }
}

/// A report as the scribe wrote it.
package struct RawReport: Sendable, Equatable {
    package var outcome, step: UInt32
    package var error, threadID: Int32
    package var threadName: String
    package var ticket: UInt64
    package var path: String
    package var saved: CheckpointReport

    /// Safety: `report` points to a whole report whose path ends with a zero byte.
    @unsafe package init(_ report: UnsafePointer<ckpt_report>) {
        let raw = unsafe report
        outcome = unsafe raw.pointee.outcome
        step = unsafe raw.pointee.step
        error = unsafe raw.pointee.error
        threadID = unsafe raw.pointee.tid
        threadName = unsafe String(decoding: text(at: ckpt_report_thread_name(raw), upTo: 16), as: UTF8.self)
        ticket = unsafe raw.pointee.ticket
        path = unsafe String(decoding: text(at: ckpt_report_path(raw), upTo: Int(CKPT_PATH_BYTES)), as: UTF8.self)
        saved = unsafe CheckpointReport(
            path: path, isElsewhere: raw.pointee.path_differs != 0,
            identifier: Identity.name(of: raw.pointee.identifier),
            kind: raw.pointee.parent == 0
                ? .full : .increment(parent: Identity.name(of: raw.pointee.parent), depth: Int(raw.pointee.depth)),
            sequence: raw.pointee.sequence,
            memoryByteCount: raw.pointee.memory_byte_count, pageByteCount: raw.pointee.page_byte_count,
            storedByteCount: raw.pointee.stored_byte_count, excludedByteCount: raw.pointee.excluded_byte_count,
            precopiedByteCount: raw.pointee.precopied_byte_count, frozenByteCount: raw.pointee.frozen_byte_count,
            roundCount: Int(raw.pointee.round_count), isWrittenByChild: raw.pointee.by_child != 0,
            tracker: .init(rawTracker: raw.pointee.tracker), fileByteCount: raw.pointee.file_byte_count,
            pause: .nanoseconds(Int64(clamping: raw.pointee.pause_ns)),
            parkDuration: .nanoseconds(Int64(clamping: raw.pointee.park_ns)),
            durableAfter: .nanoseconds(Int64(clamping: raw.pointee.durable_ns)),
            writeDuration: .nanoseconds(Int64(clamping: raw.pointee.write_ns)), hookDuration: .zero,
            threadCount: Int(raw.pointee.thread_count), attempts: Int(raw.pointee.attempts),
            unsupportedCount: Int(raw.pointee.unsupported_count))
    }
}

/// Safety: `limit` bytes are readable at `start`.
@unsafe private func text(at start: UnsafePointer<CChar>, upTo limit: Int) -> [UInt8] {
    let bytes = unsafe UnsafeBufferPointer(start: start, count: limit)
    return unsafe bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
}
