// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A process of the benchmark; its standard output is read line by line.
final class Program {
    let pid: Int32
    private let path: String
    private let output: FileHandle
    private var pending = Data()
    private var status: Int32?

    /// `environment` is added to the driver's, of which nothing that begins with CKPT_ is passed on.
    init(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        guard let pipe = makePipe() else { throw Failure("no pipe") }
        self.path = path
        output = FileHandle(fileDescriptor: pipe.read, closeOnDealloc: true)
        defer { close(pipe.write) }
        let variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("CKPT_") }.merging(environment) { $1 }
        guard let pid = spawn(path, arguments, variables: variables.map { "\($0.key)=\($0.value)" }, output: pipe.write) else {
            throw Failure("\(path) cannot be started; run make bench")
        }
        self.pid = pid
    }

    deinit { kill() }

    /// The next line; nil at the end, and when nothing comes for five minutes.
    func line() -> String? {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[pending.startIndex..<end], as: UTF8.self)
                pending.removeSubrange(pending.startIndex...end)
                return line
            }
            guard isReadable(output.fileDescriptor, within: 300) else {
                kill()
                return nil
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

    /// All lines to the end, and the status.
    func finish() -> (lines: [String], status: Int32) {
        var lines: [String] = []
        while let line = line() { lines.append(line) }
        return (lines, end())
    }

    /// Runs to the end, at most `limit` seconds, and returns what was printed.
    static func output(_ path: String, _ arguments: [String], environment: [String: String] = [:], limit: Int = 300) throws -> [String] {
        let program = try Program("/usr/bin/timeout", ["-s", "KILL", "\(limit)", path] + arguments, environment: environment)
        let (lines, status) = program.finish()
        guard status == 0 else { throw Failure("\(path) \(arguments.joined(separator: " ")) ended with status \(status)") }
        return lines
    }
}

/// CLOCK_MONOTONIC in nanoseconds, as the programs print it.
func monotonic() -> Double { Double(DispatchTime.now().uptimeNanoseconds) }

func pause(seconds: Double) { if seconds > 0 { Thread.sleep(forTimeInterval: seconds) } }

/// What is going on, for those who wait.
func note(_ text: String) { FileHandle.standardError.write(Data(("bench: " + text + " …\n").utf8)) }

/// A line at once, also when the output is no terminal.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
