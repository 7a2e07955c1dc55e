// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// The POSIX timer of a periodic checkpoint: the engine keeps in its live state what it is, see struct ckpt_restart_context.
struct IntervalTimer {
    private let address: UInt64
    private let interval: UInt64
    private let signal: Int32
    /// The kernel's id of the new one.
    private let id: Int32

    /// Makes it, not started; nil: the program has none. A timer belongs to the process, and this is the one that becomes the
    /// program.
    init?(image: Image, memory: ProgramMemory) throws(RestartFailure) {
        let start = image.process.restartContext
        guard let at = MemoryLayout<ckpt_restart_context>.offset(of: \.interval_ns) else { return nil }
        address = start + UInt64(at)
        guard let bytes = memory.bytes(at: address, count: 16) else { return nil }
        var words = ByteReader(bytes)
        interval = words.next()
        signal = Int32(truncatingIfNeeded: words.next())
        guard interval > 0, interval <= 100 * 366 * 86400 * 1_000_000_000, (1...64).contains(signal) else { return nil }
        var event: [UInt8] = []
        event.append(integer: start)        // by this value the engine knows its own
        event.append(integer: signal)
        event.append(integer: UInt32(0))    // SIGEV_SIGNAL
        event.append(contentsOf: repeatElement(0, count: 48))
        var made: [UInt8] = [0, 0, 0, 0]
        do throws(Errno) {
            try Kernel.withBytes(&event) { event throws(Errno) in
                try Kernel.withBytes(&made) { made throws(Errno) in
                    _ = try Kernel.call(.timerCreate, Kernel.Clock.monotonic.rawValue, event, made)
                }
            }
        } catch {
            throw RestartFailure(
                kind: .io, what: "the timer of the periodic checkpoint can not be made: \(error.description)",
                remedy: "raise the limit of pending signals (ulimit -i)")
        }
        id = Int32(bitPattern: made.word32(at: 0))
    }

    /// Tells the program its id.
    func write(to memory: ProgramMemory) -> Bool {
        var bytes: [UInt8] = []
        bytes.append(integer: id)
        return memory.write(bytes, at: address + 12)
    }

    /// Starts it, when every thread is ready: the first is a whole interval away.
    func start(_ block: inout RestartBlock) -> Operation {
        var setting: [UInt8] = []
        for _ in 0..<2 {
            setting.append(integer: interval / 1_000_000_000)
            setting.append(integer: interval % 1_000_000_000)
        }
        return Operation(CKPT_RESTART_STEP_TIMER, .timerSettime, [UInt64(id), 0, block.place(setting), 0])
    }
}
