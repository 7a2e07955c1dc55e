// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointRestart

extension RestartOptions.Load: ExpressibleByArgument {}
extension RestartOptions.Identity: ExpressibleByArgument {}
extension RestartOptions.FilePolicy: ExpressibleByArgument {}

struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ckpt-restart",
        abstract: "Becomes the program of an image: same memory, threads and files.",
        discussion: """
            The exit status is the program's. 125: nothing was started; 126: the kernel refused after the point of no return.
            A failure is one line: "ckpt-restart: IMAGE: CLASS: what; what to do".
            """,
        version: Restart.version)

    @Argument(help: "The image, as a checkpoint wrote it.", completion: .file())
    var image: String

    @Option(help: ArgumentHelp("Which one: 0 the newest, 1 the one before, …, or an identifier.", valueName: "N|ID"))
    var at: String?
    @Option(help: "How memory is loaded: auto, eager, lazy.")
    var load = RestartOptions.Load.auto
    @Option(help: "Process and thread ids: auto, keep, new.")
    var identity = RestartOptions.Identity.auto
    @Option(help: ArgumentHelp("Files under OLD are now under NEW. May be repeated.", valueName: "OLD=NEW"))
    var mapPath: [String] = []
    @Option(help: "Changed files: auto, keep, embed, refuse.")
    var files = RestartOptions.FilePolicy.auto
    @Option(help: ArgumentHelp("Working directory, instead of the image's.", valueName: "DIR"), completion: .directory)
    var cwd: String?
    @Option(help: ArgumentHelp("Variable for the program's restart hooks. May be repeated.", valueName: "K=V"))
    var env: [String] = []
    @Flag(help: "Put a placeholder that gives EBADF where a descriptor can not be restored.")
    var allowMissing = false
    @Flag(help: "Go on in spite of what is unsupported or changed.")
    var force = false
    @Option(help: ArgumentHelp("Write class, step and what was chosen there, as JSON.", valueName: "FILE"), completion: .file())
    var statusFile: String?
    @Flag(name: .shortAndLong, help: "Say nothing but failures.")
    var quiet = false

    func options() throws(RestartFailure) -> RestartOptions {
        var options = RestartOptions()
        options.at = at
        options.load = load
        options.identity = identity
        for pair in mapPath {
            let (old, new) = try RestartCommand.split(pair, option: "--map-path OLD=NEW")
            options.mappedPaths.append(.init(old: old, new: new))
        }
        for pair in env {
            let (name, value) = try RestartCommand.split(pair, option: "--env K=V")
            options.environment.append(.init(name: name, value: value))
        }
        options.files = files
        options.directory = cwd
        options.allowMissing = allowMissing
        options.force = force
        options.statusFile = statusFile
        options.isQuiet = quiet
        return options
    }

    private static func split(_ pair: String, option: String) throws(RestartFailure) -> (String, String) {
        guard let border = pair.firstIndex(of: "="), border != pair.startIndex else {
            throw RestartFailure(kind: .usage, what: "\"\(pair)\" is not of the form \(option)", remedy: "see ckpt-restart --help")
        }
        return (String(pair[..<border]), String(pair[pair.index(after: border)...]))
    }

    /// The whole program.
    static func start() -> Never {
        let command: RestartCommand
        do {
            command = try parse(Arguments.all())
        } catch {
            let status = exitCode(for: error)
            if status == .success { exit(withError: error) }  // --help, --version
            let message = Self.message(for: error).split(separator: "\n").first.map(String.init) ?? "wrong usage"
            Failure.end(RestartFailure(kind: .usage, what: message, remedy: "see ckpt-restart --help"), image: "")
        }
        do throws(RestartFailure) {
            try Restart.run(command.image, options: try command.options())
        } catch {
            if let file = command.statusFile { StatusFile.write(error, to: file) }
            Failure.end(error, image: command.image)
        }
    }
}
