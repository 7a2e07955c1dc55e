// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CCheckpointABI
import CheckpointImage
import SystemPackage

@main
struct Ckpt: ParsableCommand {
    static let version = CKPT_VERSION

    static let configuration = CommandConfiguration(
        commandName: "ckpt",
        abstract: "Looks at checkpoints, keeps them in order, and says what this host can do with them.",
        discussion: "Exit status: 0 done; 64 usage; 65 the image is damaged, or not ours; 69 this kernel or processor lacks what is needed; 74 I/O; 77 permission.",
        version: version,
        subcommands: [
            Save.self,
            Inspect.self,
            Verify.self,
            FoldCommand.self,
            Prune.self,
            Diff.self,
            Debug.self,
            Check.self,
        ])
}

/// The exit status of `ckpt`, as scripts see it.
enum Status {
    static let damaged: Int32 = 65
    static let unsupported: Int32 = 69
    static let io: Int32 = 74
    static let permission: Int32 = 77

    static func of(_ class: ImageError.Class) -> Int32 {
        switch `class` {
        case .usage: 64
        case .damaged, .changed: damaged
        case .unsupported: unsupported
        case .missing, .io: io
        case .permission: permission
        }
    }
}

/// Tells a failure with an image in one line on standard error; the result is thrown to end the command.
func failure(_ image: String, _ error: ImageError) -> ExitCode {
    complain("ckpt: \(image.inOneLine): \(error.restartClass.rawValue): \(error.line.inOneLine)")
    return ExitCode(Status.of(error.restartClass))
}

func complain(_ line: String) {
    _ = try? FileDescriptor.standardError.writeAll((line + "\n").utf8)
}

/// Writes to standard output; a reader that has gone away is no failure of ours.
func tell(_ text: String) {
    _ = try? FileDescriptor.standardOutput.writeAll((text + "\n").utf8)
}

extension String {
    /// Without control characters: a name from an image must not reach the terminal as a command.
    var inOneLine: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 32 || 127..<160 ~= $0.value ? "?" : $0 }))
    }
}
