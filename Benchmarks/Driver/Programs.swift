// SPDX-License-Identifier: Apache-2.0
import Foundation

struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// Where everything is: the programs as `make bench` builds them, and a directory for images.
struct Place: Sendable {
    let build: String
    let work: String

    init() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().deletingLastPathComponent().path
        build = URL(fileURLWithPath: folder).lastPathComponent == ".build" ? folder : FileManager.default.currentDirectoryPath + "/.build"
        work = build + "/bench.work"
        try? FileManager.default.removeItem(atPath: work)
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        // Images are written where a program was started.
        guard FileManager.default.changeCurrentDirectoryPath(work) else { throw Failure(description: "\(work) cannot be entered") }
    }

    func benchmark(_ name: String) -> String { build + "/benchmarks/" + name }
    /// As it is installed.
    func program(_ name: String) -> String { build + "/stage/bin/" + name }
    var library: String { build + "/stage/lib/libcheckpointkit.so" }
    func remove() { try? FileManager.default.removeItem(atPath: work) }
}

/// A process of the benchmark; its standard output is read line by line.
final class Program {
    let pid: Int32
    private let output: FileHandle
    private var pending = Data()
    private var status: Int32?

    init(_ path: String, _ arguments: [String]) throws {
        guard let pipe = makePipe() else { throw Failure(description: "no pipe") }
        output = FileHandle(fileDescriptor: pipe.read, closeOnDealloc: true)
        defer { close(pipe.write) }
        guard let pid = spawn(path, arguments, output: pipe.write) else {
            throw Failure(description: "\(path) cannot be started; run make bench")
        }
        self.pid = pid
    }

    /// The next line; nil at the end.
    func line() throws -> String? {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[pending.startIndex..<end], as: UTF8.self)
                pending.removeSubrange(pending.startIndex...end)
                return line
            }
            let more = output.availableData
            if more.isEmpty { return nil }
            pending.append(more)
        }
    }

    func end() -> Int32 {
        if let status { return status }
        let ended = wait(for: pid)
        status = ended
        return ended
    }

    func kill() {
        guard status == nil else { return }
        Foundation.kill(pid, SIGKILL)
        _ = end()
    }

    /// Runs to the end and returns what was printed.
    static func output(_ path: String, _ arguments: [String]) throws -> [String] {
        let program = try Program(path, arguments)
        var lines: [String] = []
        while let line = try program.line() { lines.append(line) }
        let status = program.end()
        guard status == 0 else { throw Failure(description: "\(path) \(arguments.joined(separator: " ")) ended with status \(status)") }
        return lines
    }

    /// VmRSS in bytes.
    var residentByteCount: Double {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) } ?? .nan) * 1024
    }
}

func seconds(_ work: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try work()
    return (ContinuousClock.now - start) / .seconds(1)
}
