// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A signal that can ask for a checkpoint. See signal(7).
public struct CheckpointSignal: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The number, as in signal(7).
    public let rawValue: Int32

    /// Any number; `enable()` refuses those that cannot ask for a checkpoint.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let usr1 = CheckpointSignal(rawValue: SIGUSR1)
    public static let usr2 = CheckpointSignal(rawValue: SIGUSR2)
    public static let terminate = CheckpointSignal(rawValue: SIGTERM)
    /// SIGRTMIN + `offset`, as glibc counts: SIGRTMIN is 34.
    public static func realTime(_ offset: Int32) -> CheckpointSignal { CheckpointSignal(rawValue: firstRealTime + offset) }

    /// `USR1`, `SIGUSR1`, `usr1`, `10`, `RTMIN+3`, `RTMAX-2`; nil: no such signal.
    public init?(_ text: String) {
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        guard let number = Self.number(of: name), (1...Self.lastRealTime).contains(number) else { return nil }
        self.init(rawValue: number)
    }

    private static func number(of name: String) -> Int32? {
        if let number = Int32(name) { return name.first?.isNumber == true ? number : nil }
        if let index = names.firstIndex(of: name), index > 0 { return Int32(index) }
        if name == "RTMIN" { return firstRealTime }
        if name == "RTMAX" { return lastRealTime }
        let offset = Int32(name.dropFirst(6)).flatMap { (0...lastRealTime - firstRealTime).contains($0) ? $0 : nil }
        if name.hasPrefix("RTMIN+"), let offset { return firstRealTime + offset }
        if name.hasPrefix("RTMAX-"), let offset { return lastRealTime - offset }
        return nil
    }

    /// Why this one cannot ask for a checkpoint; nil: it can.
    package var reasonAgainst: String? {
        switch rawValue {
        case SIGKILL, SIGSTOP: "cannot be handled"
        case SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT: "tells of an error in the program"
        case 32, 33: "belongs to the C library"
        case 1...Self.lastRealTime: nil
        default: "is no signal"
        }
    }

    public var description: String {
        if rawValue >= Self.firstRealTime { return rawValue == Self.firstRealTime ? "SIGRTMIN" : "SIGRTMIN+\(rawValue - Self.firstRealTime)" }
        guard rawValue > 0, Int(rawValue) < Self.names.count else { return "signal \(rawValue)" }
        return "SIG" + Self.names[Int(rawValue)]
    }

    private static let firstRealTime: Int32 = 34
    private static let lastRealTime: Int32 = 64
    private static let names = [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
        "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
        "PWR", "SYS",
    ]
}
