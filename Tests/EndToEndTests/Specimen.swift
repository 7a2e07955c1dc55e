// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// One real image, taken once, and a directory in which a program that is restarted from it ends at once.
struct Specimen: Sendable {
    let run: Guarded<Run>
    let bytes: [UInt8]
    let reference: Reference
    let directory: String

    static let shared = Result { () throws(any Error) -> Specimen in
        let fixture = Fixture("stack")
        let reference = try Reference.of(fixture, as: .nobody)
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
        }
        try run.write("", to: "release")
        guard let content = FileManager.default.contents(atPath: run.image) else { throw Broken("no image") }
        run.finish()
        let directory = run.directory
        return Specimen(run: Guarded(run), bytes: Array(content), reference: reference, directory: directory)
    }

    /// Writes an image with this content, owned by the user who restarts it; returns its path.
    func write(_ bytes: [UInt8], as name: String) throws -> String {
        let path = directory + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        setOwner(path, 65534)
        setMode(path, 0o600)
        return path
    }

    func restart(_ image: String, _ options: [String] = []) throws -> Run.Answer {
        try run.withLock { run in Result { try run.tryRestart(image, options) } }.get()
    }
    func ckpt(_ verb: String, _ image: String) throws -> Run.Answer {
        try run.withLock { run in Result { try run.ckpt(verb, image) } }.get()
    }

    /// It was refused: status 125, one line with this class, nothing else, and nothing was started.
    func expectRefusal(_ image: String, _ class: String, _ what: String = "", options: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let answer = try restart(image, options)
        #expect(answer.ending == .exited(125), "\(what): \(answer)", sourceLocation: sourceLocation)
        #expect(isOneLine(answer.errors, image, `class`), "\(what): \(answer)", sourceLocation: sourceLocation)
        #expect(answer.output == "", "\(what): \(answer)", sourceLocation: sourceLocation)
    }

    /// The whole of what `ckpt-restart` says about a failure.
    func isOneLine(_ text: String, _ image: String, _ class: String) -> Bool {
        text.hasPrefix("ckpt-restart: \(image): \(`class`): ") && text.hasSuffix("\n") && text.filter { $0 == "\n" }.count == 1 && text.contains("; ")
    }
}
