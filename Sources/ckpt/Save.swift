// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointKit
import Glibc

struct Save: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Asks a running program for a checkpoint and waits until it is durable.",
        discussion: """
            Prints the image, its bytes, the pause and the time. A process that is not enabled is never sent a signal.
            Status: 0 durable; 69 no such process, not enabled, the checkpoint did not come about, or it is too soon after the last; 74 the image could not be \
            written; 77 permission; 130 interrupted.
            """)

    @Argument(help: ArgumentHelp("The program, or the ckpt-restart that it runs under.", valueName: "PID"))
    var process: Int32
    @Option(name: [.short, .customLong("output")], help: ArgumentHelp("Write this file instead of the program's own image.", valueName: "IMAGE"),
            completion: .file())
    var output: String?
    @Flag(help: "End the program when the image is durable.")
    var exit = false
    @Flag(help: "Print all that is known, as JSON.")
    var json = false
    @Flag(name: .shortAndLong, help: "Say nothing but failures.")
    var quiet = false

    func run() throws {
        do {
            let report = try SaveRequest(process, image: output, exit: exit, isQuiet: quiet).wait()
            if json { tell(SaveText.json(report).text) } else if !quiet { tell(SaveText.line(report)) }
        } catch {
            if json { tell(SaveText.json(error).text) }
            complain("ckpt: \(process): \(error.line.inOneLine)")
            throw ExitCode(error.status.rawValue)
        }
    }
}

/// One request, from the beacon to the report.
struct SaveRequest {
    private let process: EnabledProcess
    private let image: [UInt8]
    private let exit: Bool
    private let isQuiet: Bool

    init(_ pid: Int32, image: String?, exit: Bool, isQuiet: Bool) throws(SaveFailure) {
        process = try EnabledProcess(pid: pid)
        self.exit = exit
        self.isQuiet = isQuiet
        guard let image else {
            self.image = []
            return
        }
        let path = image.hasPrefix("/") ? Array(image.utf8) : ProcessFacts.directory().path + Array("/\(image)".utf8)
        guard image.utf8.last != UInt8(ascii: "/"), !image.isEmpty, path.count < 4064 else {
            throw SaveFailure(.usage, "“\(image)” is not the path of a file", "give one")
        }
        self.image = path
    }

    func wait() throws(SaveFailure) -> RawReport {
        let owner = try ProcessOwner(pid: process.pid)
        let watch = try Watch(pid: process.pid)
        let meeting = try Meeting(root: owner.root, uid: owner.uid, gid: owner.gid)
        try watch.request(process, exit: exit, nonce: meeting.nonce)
        var visitor: Visitor?
        var hasEnded = false
        var silentSeconds = 0
        while true {
            let waited: [Int32] = [visitor?.descriptor ?? meeting.descriptor, watch.signals, hasEnded ? -1 : watch.program]
            // The scribe outlives the program: when that has ended, what it has to say comes soon or not at all.
            let ready = watch.wait(waited, milliseconds: visitor == nil ? 1000 : -1)
            if ready.contains(watch.signals) { throw interruption }
            if ready.contains(watch.program) { hasEnded = true }
            if let present = visitor, ready.contains(present.descriptor) {
                switch present.receive() {
                case .more: break
                case .report(let report): return try judged(report)
                case .gone: throw SaveFailure(.io, hasEnded ? "the program ended before the image was durable" : "the scribe was killed",
                                              "an older image is as it was")
                }
            }
            if ready.contains(meeting.descriptor), let arrived = meeting.accept(from: owner.uid), arrived.send(image: image, exitAfter: exit) {
                visitor = arrived
            }
            guard ready.isEmpty else { continue }
            if hasEnded { throw SaveFailure(.unavailable, "the program ended before it took the checkpoint", "an older image is as it was") }
            // Kernel: a standard signal that comes while one of its number is pending is dropped, with its value (signal(7)); and
            // a scribe may be killed before it comes here. Asking again with the same nonce asks for nothing more.
            try watch.request(process, exit: exit, nonce: meeting.nonce)
            silentSeconds += 1
            if silentSeconds == 5 && !isQuiet {
                complain("ckpt: \(process.pid): no answer yet: every thread blocks the signal or defers checkpoints, no process can be started there (ulimit -u), or a seccomp filter is newer than enable(); waiting on")
            }
        }
    }

    private var interruption: SaveFailure {
        SaveFailure(.interrupted, "interrupted", "the program may take the checkpoint all the same")
    }

    private func judged(_ report: RawReport) throws(SaveFailure) -> RawReport {
        if report.isTooSoon {
            throw SaveFailure(.unavailable, "too soon after the last checkpoint, by the program's minimum interval",
                              "that image is good; ask again later")
        }
        do {
            _ = try report.result()
            return report
        } catch {
            let status: SaveFailure.Status = if case .imageNotWritten(_, _, let errno) = error {
                errno == EACCES || errno == EPERM ? .permission : .io
            } else { .unavailable }
            throw SaveFailure(status, error.what, error.remedy)
        }
    }
}
