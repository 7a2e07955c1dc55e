// SPDX-License-Identifier: Apache-2.0
import CRestorer

/// One signal that came to the supervisor.
struct ReceivedSignal: Sendable {
    let number: Int32, code: Int32, sender: Int32, user: Int32
    let value: UInt64
    /// Pending before the program's process existed.
    let isEarly: Bool

    /// Kernel: what the terminal sends (SIGINT, SIGTSTP, SIGWINCH, SIGHUP) goes to the whole process group, so to the
    /// program as well: those and SIGCHLD have a positive code. What somebody sent has 0 or a negative one.
    private var isOurs: Bool { code > 0 && !isEarly || number == 17 && code > 0 }

    func forward(to process: Int32) {
        if isOurs { return }
        var result: Int64
        repeat {
            if code < 0 && code != -6 {  // Neither kill nor tgkill: it carries a value.
                var information: [UInt8] = []
                for word in [number, 0, code, 0, sender, user] { ProcessCalls.append(word, to: &information) }
                for index in 0..<8 { information.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
                information += Array(repeating: 0, count: 128 - information.count)
                result = ProcessCalls.perform(424, [Int64(process), Int64(number), 0, 0], bytes: &information, at: 2)
            } else {
                result = ProcessCalls.perform(424, Int64(process), Int64(number))
            }
            // The program's queue is full: it keeps its order, and ours holds the rest.
            if result == -11 { _ = ProcessCalls.poll([], milliseconds: 1) }
        } while result == -11 || result == -4
    }
}

/// All signals of this process, blocked and read one by one.
package struct SupervisorSignals: Sendable {
    let descriptor: Int32
    private var early: [ReceivedSignal] = []

    /// Blocks every signal: from here on none is lost.
    package static func block() {
        var all = [UInt8](repeating: 0xff, count: 8)
        _ = ProcessCalls.perform(14, [2, 0, 0, 8], bytes: &all, at: 1)  // SIG_SETMASK
        var byDefault = [UInt8](repeating: 0, count: 32)
        _ = ProcessCalls.perform(13, [17, 0, 0, 8], bytes: &byDefault, at: 1)  // An ignored SIGCHLD would hide the program's end.
    }

    package init?() {
        var all = [UInt8](repeating: 0xff, count: 8)
        let result = ProcessCalls.perform(289, [-1, 0, 8, 0o2004000], bytes: &all, at: 1)  // signalfd4: close on exec, non-blocking
        guard result >= 0 else { return nil }
        descriptor = Int32(result)
    }

    /// Takes what came before the program's process is made: that got none of it, whoever sent it.
    package mutating func takeEarly() {
        while let signal = read(isEarly: true) { early.append(signal) }
    }

    func forwardEarly(to process: Int32) {
        for signal in early { signal.forward(to: process) }
    }

    /// Gives back what was taken: this process becomes the program itself.
    func giveBack() {
        _ = ProcessCalls.perform(3, Int64(descriptor))
        let own = ProcessCalls.perform(39)
        for signal in early where !(signal.number == 17 && signal.code > 0) {
            let descriptor = ProcessCalls.perform(434, own, 0)  // pidfd_open
            if descriptor < 0 { _ = ProcessCalls.perform(62, own, Int64(signal.number)) }
            else {
                signal.forward(to: Int32(descriptor))
                _ = ProcessCalls.perform(3, descriptor)
            }
        }
    }

    func next() -> ReceivedSignal? { read(isEarly: false) }

    private func read(isEarly: Bool) -> ReceivedSignal? {
        var bytes = [UInt8](repeating: 0, count: 128)  // struct signalfd_siginfo
        guard ProcessCalls.perform(0, [Int64(descriptor), 0, 128], bytes: &bytes, at: 1) == 128 else { return nil }
        func word(_ offset: Int) -> Int32 { ProcessCalls.integer(bytes, at: offset) }
        let value = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[48 + $1]) << UInt64(8 * $1) }
        return ReceivedSignal(
            number: word(0), code: word(8), sender: word(12), user: word(16), value: value, isEarly: isEarly)
    }
}
