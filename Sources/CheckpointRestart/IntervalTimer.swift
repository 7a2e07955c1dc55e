// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage

/// The POSIX timer of a periodic checkpoint: the engine keeps in its live state what it is, see struct ckpt_restart_context.
struct IntervalTimer {
    /// The first expiration is a whole interval away.
    let state: TimerState

    /// nil: the program has none.
    init?(image: Image, memory: ProgramMemory) {
        let start = image.process.restartContext
        guard let at = MemoryLayout<ckpt_restart_context>.offset(of: \.interval_ns),
            let bytes = memory.bytes(at: start + UInt64(at), count: 16)
        else { return nil }
        var timer = TimerState()
        timer.intervalNs = bytes.word64(at: 0)
        timer.valueNs = timer.intervalNs
        timer.signal = Int32(bitPattern: bytes.word32(at: 8))
        timer.id = Int32(bitPattern: bytes.word32(at: 12))
        timer.clock = 1  // CLOCK_MONOTONIC
        timer.value = start  // by this value the engine knows its own
        guard timer.intervalNs > 0, timer.intervalNs <= 100 * 366 * 86400 * 1_000_000_000, (1...64).contains(timer.signal), timer.id >= 0 else { return nil }
        state = timer
    }
}
