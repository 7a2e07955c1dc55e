// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Where everything is: the programs as `make bench` builds them, and a folder for images that is removed at the end.
struct Place: Sendable {
    let build: String
    let work: String
    /// The clone, when the programs lie in its .build.
    var root: String { URL(fileURLWithPath: build).deletingLastPathComponent().path }

    init() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().deletingLastPathComponent().path
        let arranged = URL(fileURLWithPath: folder).lastPathComponent == ".build" ? folder : FileManager.default.currentDirectoryPath + "/.build"
        build = URL(fileURLWithPath: arranged).standardizedFileURL.path
        work = build + "/bench.work"
        try? FileManager.default.removeItem(atPath: work)
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        // Images are written where a program was started.
        guard FileManager.default.changeCurrentDirectoryPath(work) else { throw Failure("\(work) cannot be entered") }
    }

    func benchmark(_ name: String) -> String { build + "/benchmarks/" + name }
    /// As it is installed.
    func program(_ name: String) -> String { build + "/stage/bin/" + name }
    var library: String { build + "/stage/lib/libcheckpointkit.so" }

    func clear() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: work) { try FileManager.default.removeItem(atPath: work + "/" + name) }
    }
    func remove() { try? FileManager.default.removeItem(atPath: work) }

    /// Says what is missing instead of filling the disk, or the memory of a machine that others use.
    func requires(disk: Int, memory: Int) throws {
        let free = ((try? FileManager.default.attributesOfFileSystem(forPath: work))?[.systemFreeSize] as? NSNumber)?.doubleValue ?? 0
        if free < Double(disk) * 1_048_576 { throw NotThere("\(disk) MiB of disk space are needed, \(Int(free / 1_048_576)) are free") }
        let available = Machine.availableMemory
        if available < Double(memory) * 1_048_576 { throw NotThere("\(memory) MiB of memory are needed, \(Int(available / 1_048_576)) are free") }
    }

    /// A virtual machine gives free memory back to its host; getting it again takes seconds, which are nobody's here.
    func warm(_ mebibytes: Int) throws { _ = try Program.output(benchmark("copy"), ["\(mebibytes)", "0"]) }

    /// What `limits` measures, in nanoseconds.
    func limits(_ mebibytes: Int) throws -> [String: Double] {
        var found: [String: Double] = [:]
        for line in try Program.output(benchmark("limits"), ["\(mebibytes)"]) {
            let words = line.split(separator: " ")
            if words.count == 2 { found[String(words[0])] = Double(words[1]) }
        }
        return found
    }

    /// Bytes that a file occupies on the disk.
    func allocatedByteCount(_ path: String) throws -> Double {
        guard let line = try Program.output("/usr/bin/stat", ["-c", "%b", path]).first, let blocks = Double(line) else {
            throw Failure("stat says nothing of \(path)")
        }
        return blocks * 512
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
