// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CCheckpointProcess
import CheckpointCompression
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
    @Option(help: ArgumentHelp("Compress it: lz4 or zstd[:LEVEL]. Without this the new file is not compressed.", valueName: "HOW"))
    var compress: String?
    @Flag(help: "Replace whatever is there.")
    var force = false
    @Flag(help: "Print the result as JSON.")
    var json = false
    @Flag(name: .shortAndLong, help: "Say nothing but failures.")
    var quiet = false

    func run() throws {
        let codec = try compress.map { text throws(ValidationError) in
            guard let codec = Codec(parsing: text), codec.compression != .none else {
                throw ValidationError("--compress \(text.inOneLine): lz4 or zstd[:LEVEL] with a level of \(Codec.zstdLevels)")
            }
            return codec
        }
        do throws(ImageError) {
            let chain = try ImageChain.open(FilePath(image), decompressor: SystemDecompressor())
            try checkOutput(chain)
            let file = try OutputFile(for: FilePath(output), identifier: chain.newest.ident.identifier)
            if let codec {
                var whole = try OutputFile(for: FilePath(output), identifier: chain.newest.ident.identifier &+ 1)
                try Fold.write(chain, to: whole)
                whole.forgetName()
                try compress(whole, codec, to: file)
            } else {
                try Fold.write(chain, to: file)
            }
            // A program that runs may have taken its next checkpoint meanwhile.
            try checkOutput(chain)
            try file.commit()
            if quiet { return }
            let folded = try Image.open(FilePath(output), decompressor: SystemDecompressor())
            let result: Json = .object([
                ("image", .string(image)), ("output", .string(output)), ("identifier", .string(folded.ident.name)),
                ("files", .number(UInt64(chain.images.count))), ("file_bytes", .number(folded.ident.fileByteCount)),
                ("page_bytes", .number(folded.contentByteCount)),
            ])
            tell(json ? result.text
                : "\(output.inOneLine): checkpoint \(folded.ident.name) from \(chain.images.count) files, \(folded.contentByteCount.inUnits) of pages")
        } catch { throw failure(image, error) }
    }

    /// Needs room for the whole image meanwhile, in a file without a name.
    private func compress(_ whole: borrowing OutputFile, _ codec: Codec, to file: borrowing OutputFile) throws(ImageError) {
        let image = try Image.open(FilePath("/proc/self/fd/\(whole.descriptor)"))
        do throws(CompressionFailure) {
            _ = try CompressedOutput(descriptor: file.descriptor, codec: codec).write(image, threads: Int(ckpt_process_count_processors()))
        } catch {
            switch error {
            case .image(let error): throw error
            case .write(let errno), .read(let errno): throw .io(what: "writing \(output)", errno: errno)
            case .input(let what): throw .damaged(what: what, offset: nil)
            case .closed: throw .io(what: "writing \(output)", errno: .brokenPipe)
            }
        }
    }

    /// What is not this checkpoint is not replaced without being told.
    private func checkOutput(_ chain: ImageChain) throws(ImageError) {
        if force { return }
        do throws(ImageError) {
            if try Image.open(FilePath(output), decompressor: SystemDecompressor()).ident.identifier == chain.newest.ident.identifier { return }
        } catch {
            if case .missing = error { return }
        }
        throw .usage(what: "\(output) is there and is not this checkpoint", remedy: "give another name, or --force")
    }
}
