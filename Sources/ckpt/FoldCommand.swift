// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointImage
import SystemPackage

struct FoldCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fold",
        abstract: "Makes one full image from a chain of increments.",
        discussion: """
            The new file needs no other one, and has the identifier of the image: increments that are written later still find \
            their parent. It appears complete or not at all. A file that is there already is replaced only when it is the same \
            checkpoint, or with --force.
            """)

    @Argument(help: "The image.", completion: .file(extensions: ["img"]))
    var image: String
    @Option(name: [.short, .customLong("output")], help: ArgumentHelp("The new file.", valueName: "OUT"), completion: .file())
    var output: String
    @Flag(help: "Replace whatever is there.")
    var force = false
    @Flag(help: "Print the result as JSON.")
    var json = false
    @Flag(name: .shortAndLong, help: "Say nothing but failures.")
    var quiet = false

    func run() throws {
        do throws(ImageError) {
            let chain = try ImageChain.open(FilePath(image))
            try checkOutput(chain)
            let file = try OutputFile(for: FilePath(output), identifier: chain.newest.ident.identifier)
            try Fold.write(chain, to: file)
            try file.commit()
            if quiet { return }
            let folded = try Image.open(FilePath(output))
            let result: Json = .object([
                ("image", .string(image)), ("output", .string(output)), ("identifier", .string(folded.ident.name)),
                ("files", .number(UInt64(chain.images.count))), ("file_bytes", .number(folded.ident.fileByteCount)),
                ("page_bytes", .number(folded.contentByteCount)),
            ])
            tell(json ? result.text
                : "\(output.inOneLine): checkpoint \(folded.ident.name) from \(chain.images.count) files, \(folded.contentByteCount.inUnits) of pages")
        } catch { throw failure(image, error) }
    }

    /// What is not this checkpoint is not replaced without being told.
    private func checkOutput(_ chain: ImageChain) throws(ImageError) {
        if force { return }
        do throws(ImageError) {
            if try Image.open(FilePath(output)).ident.identifier == chain.newest.ident.identifier { return }
        } catch {
            if case .missing = error { return }
        }
        throw .usage(what: "\(output) is there and is not this checkpoint", remedy: "give another name, or --force")
    }
}
