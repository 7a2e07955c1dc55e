// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The files of the package as they lie in the clone, without what a build makes.
enum Tree {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    static let buildFolder = root + "/.build/release"

    /// Paths from the root, in order.
    static let files: [String] = {
        var found: [String] = []
        guard let walk = FileManager.default.enumerator(atPath: root) else { return [] }
        while let path = walk.nextObject() as? String {
            let name = path.split(separator: "/").last ?? ""
            if [".build", ".git", ".swiftpm", "DerivedData"].contains(name) || name.hasSuffix(".img.d") {
                walk.skipDescendants()
            } else if walk.fileAttributes?[.type] as? FileAttributeType == .typeRegular, !name.hasSuffix(".img"), name != "Package.resolved" {
                found.append(path)
            }
        }
        return found.sorted()
    }()

    static func files(under folders: String..., endingWith suffixes: String...) -> [String] {
        files.filter { path in
            folders.contains { path.hasPrefix($0 + "/") } && (suffixes.isEmpty || suffixes.contains { path.hasSuffix($0) })
        }
    }

    /// Files that are text: all but images and other outputs of programs.
    static var texts: [String] { files.filter { !$0.hasPrefix("Tests/Goldens/") && (try? text($0)) != nil } }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root + "/" + path) }
    static func text(_ path: String) throws -> String { try String(contentsOfFile: root + "/" + path, encoding: .utf8) }
    static func lines(_ path: String) throws -> [Substring] { try text(path).split(separator: "\n", omittingEmptySubsequences: false) }

    /// `path:line` of every line that fits.
    static func places(in paths: [String], where fits: (Substring) -> Bool) throws -> [String] {
        try paths.flatMap { path in
            try lines(path).enumerated().filter { fits($0.element) }.map { "\(path):\($0.offset + 1): \($0.element)" }
        }
    }
}

/// What a tool printed, and its status.
struct ToolRun {
    let output: String
    let status: Int32

    init(_ tool: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["LC_ALL=C", tool] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: Tree.root)
        process.standardInput = FileHandle.nullDevice
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let bytes = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        output = String(decoding: bytes, as: UTF8.self)
        status = process.terminationStatus
    }

    var lines: [Substring] { output.split(separator: "\n") }
}
