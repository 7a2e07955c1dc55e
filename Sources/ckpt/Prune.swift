// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointImage
import SystemPackage

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Removes what nothing needs from the directory IMAGE.d.",
        discussion: """
            What the image builds on stays, and with --keep the older complete checkpoints before it (those that \
            `ckpt-restart --at 1` to `--at N` restart) with what they build on. Files that an interrupted checkpoint has left \
            beside the image are removed too. The program may run meanwhile.
            """)

    @Argument(help: "The image.", completion: .file(extensions: ["img"]))
    var image: String
    @Option(help: ArgumentHelp("How many older complete checkpoints stay.", valueName: "N"))
    var keep = 0
    @Flag(help: "Print the result as JSON.")
    var json = false
    @Flag(name: .shortAndLong, help: "Say nothing but failures.")
    var quiet = false

    func validate() throws {
        if keep < 0 { throw ValidationError("--keep is a number of checkpoints, 0 or more.") }
    }

    func run() throws {
        do throws(ImageError) {
            let removed = try Pruning.run(FilePath(image), keeping: keep)
            if quiet { return }
            let total = removed.reduce(0) { $0 + $1.byteCount }
            if json {
                return tell(Json.object([
                    ("image", .string(image)), ("bytes", .number(total)),
                    ("removed", .array(removed.map { .object([("path", .string($0.path.string)), ("bytes", .number($0.byteCount))]) })),
                ]).text)
            }
            for file in removed { tell("removed \(file.path.string.inOneLine), \(file.byteCount.inUnits)") }
            tell(removed.isEmpty ? "\(image.inOneLine): nothing to remove" : "\(image.inOneLine): \(removed.count) files removed, \(total.inUnits)")
        } catch { throw failure(image, error) }
    }
}
