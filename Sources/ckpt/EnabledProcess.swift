// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import SystemPackage

/// A process that shows the beacon: the named mapping without which nothing is ever sent.
struct EnabledProcess: Sendable, Equatable {
    let pid: Int32
    /// Takes a checkpoint; the program goes on.
    let signal: Int32
    /// Takes a checkpoint and ends the program; 0: none.
    let exitSignal: Int32

    init(pid: Int32) throws(SaveFailure) {
        guard pid > 0 else { throw SaveFailure(.usage, "\(pid) is no process id", "give the number that ps(1) shows") }
        let maps: [UInt8]
        do {
            maps = try Self.maps(of: pid)
        } catch .noSuchFileOrDirectory, .noSuchProcess {
            throw SaveFailure(.unavailable, "there is no process \(pid)", "give the number that ps(1) shows")
        } catch {
            throw SaveFailure(of: error, "/proc/\(pid)/maps: \(error)", "be the user whose process it is, or root")
        }
        guard let found = EnabledProcess(pid: pid, maps: maps) else {
            throw SaveFailure(
                .unavailable, "checkpoints are not enabled in this process",
                "have it call Checkpoint.enable() or ckpt_enable(); nothing was sent")
        }
        self = found
    }

    /// Kernel: a first thread that ended shows no mappings; any other thread shows those of the process.
    private static func maps(of pid: Int32) throws(Errno) -> [UInt8] {
        let maps = try ProcFile.read("/proc/\(pid)/maps")
        if !maps.isEmpty { return maps }
        for thread in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? [] {
            if let maps = try? ProcFile.read("/proc/\(pid)/task/\(thread)/maps"), !maps.isEmpty { return maps }
        }
        return maps
    }

    /// The signals that the beacon's name in `maps` tells: `/memfd:ckpt.1.10.0 (deleted)`.
    init?(pid: Int32, maps: [UInt8]) {
        let marker = Array("/memfd:ckpt.1.".utf8)
        for line in maps.split(separator: UInt8(ascii: "\n")) {
            // The sixth field, which begins at the first slash: no path may pretend by containing the name.
            guard let slash = line.firstIndex(of: UInt8(ascii: "/")), line[slash...].starts(with: marker) else { continue }
            let name = String(decoding: line[(slash + marker.count)...], as: UTF8.self)
            guard name.hasSuffix(" (deleted)") else { continue }
            let numbers = name.dropLast(" (deleted)".count).split(separator: ".", omittingEmptySubsequences: false).map { Int32($0) }
            guard numbers.count == 2, let signal = numbers[0], let exitSignal = numbers[1],
                (1...64).contains(signal), (0...64).contains(exitSignal) else { continue }
            self.pid = pid
            self.signal = signal
            self.exitSignal = exitSignal
            return
        }
        return nil
    }

    private init(pid: Int32, signal: Int32, exitSignal: Int32) {
        self.pid = pid
        self.signal = signal
        self.exitSignal = exitSignal
    }
}
