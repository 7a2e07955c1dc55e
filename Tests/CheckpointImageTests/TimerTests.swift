// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import Testing

@Suite struct TimerTests {
    private func queued(_ number: UInt8, tid: Int32) -> ckpt_signal_queued {
        var signal = ckpt_signal_queued()
        signal.tid = tid
        signal.information.0 = number
        signal.information.8 = 0xff  // SI_QUEUE
        (signal.information.9, signal.information.10, signal.information.11) = (0xff, 0xff, 0xff)
        signal.information.16 = 100
        return signal
    }

    @Test func `timers and queued signals are read`() throws {
        var builder = ImageBuilder.small()
        builder.timers = [ckpt_timer(id: 7, clock: 1, notify: 4, signal: 35, tid: 101, overrun: 2, value: 9, value_ns: 3, interval_ns: 4)]
        builder.itimers = [ckpt_itimer(which: 2, reserved: 0, value_ns: 5, interval_ns: 6)]
        builder.signalfds = [ckpt_signalfd(mask: 1 << 9)]
        builder.queued = [queued(35, tid: 101), queued(10, tid: 0)]
        builder.addDescriptor(20, CKPT_DESCRIPTOR_SIGNALFD, path: "anon_inode:[signalfd]", detail: 0)
        let image = try open(builder.image)
        #expect(image.timers.first?.id == 7 && image.timers.first?.tid == 101 && image.timers.first?.intervalNs == 4)
        #expect(image.timers.first?.isBound == true && image.timers.first?.cpuTimeOf == nil)
        #expect(image.itimers.first?.which == 2 && image.itimers.first?.valueNs == 5)
        #expect(image.signalfds.first?.mask == 512)
        #expect(image.queuedSignals.map(\.number) == [35, 10])
        #expect(image.queuedSignals.first?.code == -1 && image.queuedSignals.first?.sender == 100)
        #expect(Judgement.judge(image, host: nil) == [])
    }

    @Test func `an image without these tables has none`() throws {
        var builder = ImageBuilder.small()
        builder.leftOut = [CKPT_NOTE_TIMERS.rawValue, CKPT_NOTE_ITIMERS.rawValue, CKPT_NOTE_SIGNALFDS.rawValue, CKPT_NOTE_QUEUED.rawValue]
        let image = try open(builder.image)
        #expect(image.timers.isEmpty && image.itimers.isEmpty && image.signalfds.isEmpty && image.queuedSignals.isEmpty)
    }

    @Test func `a timerfd of the first version says nothing of its clock`() throws {
        var builder = ImageBuilder.small()
        builder.editNote = { type, note in
            guard type == CKPT_NOTE_TIMERFDS.rawValue else { return }
            note = ImageBuilder.note("CKPT", type, Array(note[20..<24]) + [32, 0, 0, 0] + Array(note[28..<36]) + Array(note[36..<68]))
        }
        let image = try open(builder.image)
        #expect(image.timerfds.first?.intervalNs == 4 && image.timerfds.first?.clockNs == 0)
    }

    @Test func `timers and signals of nobody are damage`() throws {
        let good = ckpt_timer(id: 7, clock: 1, notify: 0, signal: 35, tid: 0, overrun: 0, value: 0, value_ns: 0, interval_ns: 0)
        var twice = ImageBuilder.small(), strange = twice, silent = twice, third = twice, stray = twice, none = twice
        twice.timers = [good, good]
        strange.timers = [good]
        strange.timers[0].tid = 5
        silent.timers = [good]
        silent.timers[0].signal = 0
        third.itimers = [ckpt_itimer(which: 3, reserved: 0, value_ns: 0, interval_ns: 0)]
        stray.queued = [queued(35, tid: 5)]
        none.queued = [queued(65, tid: 0)]
        for builder in [twice, strange, silent, third, stray, none] { #expect(throws: ImageError.self) { try open(builder.image) } }
    }

    @Test func `a timer that can not be told is missing`() {
        var process = ProcessState()
        process.pid = 100
        process.threadCount = 2
        func findings(clock: Int32, tid: Int32 = 0) -> [String] {
            var timer = TimerState()
            (timer.id, timer.clock, timer.tid) = (3, clock, tid)
            return Judgement.judge(process: process, mappings: [], descriptors: [], timers: [timer], host: nil).map { "\($0.class) \($0.what): \($0.why)" }
        }
        #expect(findings(clock: 1) == [] && findings(clock: -6) == [] && findings(clock: ~100 << 3 | 2) == [] && findings(clock: ~101 << 3 | 6) == [])
        #expect(findings(clock: -2, tid: 101) == [])
        #expect(findings(clock: -2) == ["missing the timer 3: it counts the CPU time of one of several threads, and nothing tells which"])
        #expect(findings(clock: ~5 << 3 | 2) == ["missing the timer 3: it counts the CPU time of another process, which is not saved"])
        #expect(findings(clock: ~5 << 3 | 3) == ["missing the timer 3: it runs on the clock of a device"])
        process.threadCount = 1
        #expect(findings(clock: -2) == [])
    }
}
