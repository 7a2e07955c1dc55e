// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

extension Flavour.User {
    /// Whose programs these tests can start: root can start everybody's.
    static let available: [Flavour.User] = geteuid() == 0 ? [.root, .nobody] : [.nobody]
    /// The words in front of a command that make it this user's.
    var prefix: [String] {
        geteuid() == 0 && self == .nobody ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
    }
}

/// Where the programs under test are: copied once to a directory that every user may read.
struct Workshop: Sendable {
    let directory: String
    let failure: String?

    static let isFull = ProcessInfo.processInfo.environment["CKPT_TEST_FULL"] == "1"
    static let turn = ProcessInfo.processInfo.environment["CKPT_TEST_TURN"].flatMap { Int($0) }
    static let only = ProcessInfo.processInfo.environment["CKPT_TEST_ONLY"] ?? ""
    static let keepsDirectories = ProcessInfo.processInfo.environment["CKPT_TEST_KEEP"] == "1"

    private static let keepsFailed = ProcessInfo.processInfo.environment["CKPT_TEST_KEEP_FAILED"] == "1"

    static let root: String = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The one of this process. Left over ones, of processes that were killed, are removed.
    static let shared: Workshop = {
        let files = FileManager.default
        for name in (try? files.contentsOfDirectory(atPath: "/tmp")) ?? [] where name.hasPrefix("ckpt-tests.") {
            if let owner = Int32(name.dropFirst("ckpt-tests.".count)), !processExists(owner) { try? files.removeItem(atPath: "/tmp/" + name) }
        }
        let directory = "/tmp/ckpt-tests.\(getpid())"
        do {
            try files.createDirectory(atPath: directory + "/runs", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
            setMode(directory + "/runs", 0o1777)
            let build = ProcessInfo.processInfo.environment["CKPT_BUILD"] ?? Bundle.main.executableURL?.deletingLastPathComponent().path ?? root + "/.build/release"
            let candidates = [build, root + "/.build/release", root + "/.build/debug"]
            guard let products = candidates.first(where: { files.isExecutableFile(atPath: $0 + "/ckpt-restart") }) else {
                return Workshop(directory: directory, failure: "no ckpt-restart in \(candidates)")
            }
            for name in ["ckpt", "ckpt-restart", "SwiftTasks", "SwiftDispatch", "SwiftFoundation", "SwiftLocks", "SwiftStatic", "SwiftCheckpoint"] {
                guard files.fileExists(atPath: products + "/" + name) else { continue }
                try files.copyItem(atPath: products + "/" + name, toPath: directory + "/" + name)
            }
            let log = directory + "/build.log"
            let library = [root + "/.build/stage/lib", products].first { files.fileExists(atPath: $0 + "/libcheckpointkit.so") } ?? products
            let built = try Child(Command(program: root + "/Tests/Fixtures/build", arguments: [library, root + "/.build/fixtures"], directory: root,
                environment: ["PATH": path], output: .file(log), error: .file(log))).wait(seconds: 300)
            for name in try files.contentsOfDirectory(atPath: root + "/.build/fixtures") where !name.hasPrefix(".") {
                try files.copyItem(atPath: root + "/.build/fixtures/" + name, toPath: directory + "/" + name)
            }
            guard built == .exited(0) else {
                return Workshop(directory: directory, failure: "the fixtures could not be built: " + ((try? String(contentsOfFile: log, encoding: .utf8)) ?? ""))
            }
            atexit { Workshop.removeDirectories() }
            return Workshop(directory: directory, failure: nil)
        } catch {
            return Workshop(directory: directory, failure: "\(error)")
        }
    }()

    /// Runs that succeeded have removed theirs.
    private static func removeDirectories() {
        let directory = "/tmp/ckpt-tests.\(getpid())"
        if keepsDirectories || keepsFailed && !fileNames(directory + "/runs").isEmpty { return }
        try? FileManager.default.removeItem(atPath: directory)
    }

    static let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"

    func program(_ name: String) throws -> String {
        if let failure { throw Broken(failure) }
        guard FileManager.default.isExecutableFile(atPath: directory + "/" + name) else { throw Broken("\(name) was not built") }
        return directory + "/" + name
    }
}

/// Content of a file as text; empty when there is none.
func text(of path: String) -> String {
    guard let content = FileManager.default.contents(atPath: path) else { return "" }
    return String(decoding: content, as: UTF8.self)
}
