// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage

/// Signal actions and pending signals.
enum Signals {
    static let uncatchable: Set<Int32> = [9, 19]

    /// Every action, those that the image does not name as the default.
    static func actions(image: Image, only wanted: Set<Int32>? = nil, block: inout RestartBlock) -> [Operation] {
        let byNumber = Dictionary(image.signalActions.map { ($0.number, $0) }) { first, _ in first }
        return (1...64).compactMap { (number: Int32) -> Operation? in
            if uncatchable.contains(number) || wanted?.contains(number) == false { return nil }
            let action = byNumber[number] ?? SignalAction()
            var bytes: [UInt8] = []
            for word in [action.handler, action.flags, action.restorer, action.mask] { bytes.append(integer: word) }
            return Operation(CKPT_RESTART_STEP_SIGNAL_ACTION, .rtSigaction, [UInt64(number), block.place(bytes), 0, 8])
        }
    }

    /// Blocks everything, until rt_sigreturn brings the program's own mask back.
    static func block(_ block: inout RestartBlock) -> Operation {
        Operation(CKPT_RESTART_STEP_SIGNALS_BLOCK, .rtSigprocmask, [2, block.place([UInt8](repeating: 0xff, count: 8)), 0, 8])
    }

    /// Pending for the process. The signal that asks for checkpoints is left out, and libc's own two: they were ours.
    static func queued(_ process: ProcessState) -> [Operation] {
        let own = ownSignals(process)
        return numbers(process.pendingSignals).filter { !own.contains($0) }.map {
            Operation(CKPT_RESTART_STEP_THREAD_SIGNAL, .kill, [0, UInt64($0)], substitute: 256)
        }
    }

    /// Pending for one thread.
    static func queued(_ thread: ThreadState) -> [Operation] {
        numbers(thread.pendingSignals).filter { $0 != 32 && $0 != 33 }.map {
            Operation(CKPT_RESTART_STEP_THREAD_SIGNAL, .tgkill, [0, 0, UInt64($0)], substitute: 256 | 2)
        }
    }

    private static func numbers(_ set: UInt64) -> [Int32] {
        (1...64).filter { set & (1 << UInt64($0 - 1)) != 0 }
    }

    /// The beacon's name tells signal and exit signal: "ckpt.1.10.0".
    private static func ownSignals(_ process: ProcessState) -> Set<Int32> {
        Set([32, 33] + process.beaconName.split(separator: ".").suffix(2).compactMap { Int32($0) })
    }
}
