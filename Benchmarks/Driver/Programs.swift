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
    }

    func benchmark(_ name: String) -> String { build + "/benchmarks/" + name }
    /// As it is installed.
    func program(_ name: String) -> String { build + "/stage/bin/" + name }
    var library: String { build + "/stage/lib/libcheckpointkit.so" }
    func remove() { try? FileManager.default.removeItem(atPath: work) }
}

/// A process of the benchmark; its standard output is read line by line.
final class Program {
    private let process = Process()
    private let output = Pipe()
    private var pending = Data()

    init(_ path: String, _ arguments: [String], in directory: String) throws {
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
    }

    var pid: Int32 { process.processIdentifier }

    /// The next line; nil at the end.
    func line() throws -> String? {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[pending.startIndex..<end], as: UTF8.self)
                pending.removeSubrange(pending.startIndex...end)
                return line
            }
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { return nil }
            pending.append(more)
        }
    }

    func end() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    func kill() {
        guard process.isRunning else { return }
        Foundation.kill(pid, SIGKILL)
        process.waitUntilExit()
    }

    /// Runs to the end and returns what was printed.
    static func output(_ path: String, _ arguments: [String], in directory: String) throws -> [String] {
        let program = try Program(path, arguments, in: directory)
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
