// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointImage
import SystemPackage

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads everything in an image and in all that it builds on, and checks every checksum.",
        discussion: "Nothing is run. Exit status 65 when the image is damaged.")

    @Argument(help: "The image.", completion: .file(extensions: ["img"]))
    var image: String

    @Flag(help: "Print nothing when the image is good.")
    var quiet = false

    @Flag(help: "Print the result as JSON.")
    var json = false

    func run() throws {
        do throws(ImageError) {
            let chain = try ImageChain.open(FilePath(image)), opened = chain.newest
            try chain.verifyPages()
            if quiet { return }
            let pages = chain.images.reduce(0) { $0 + $1.contentByteCount }
            let runCount = chain.images.reduce(0) { $0 + $1.runs.count }
            let result: Json = .object([
                ("image", .string(image)), ("identifier", .string(opened.ident.name)), ("result", .string("ok")),
                ("page_bytes", .number(pages)), ("blob_bytes", .number(opened.blobs.reduce(0) { $0 + $1.byteCount })),
                ("files", .number(UInt64(chain.images.count))),
            ])
            tell(
                json
                    ? result.text
                    : "\(image.inOneLine): OK, checkpoint \(opened.ident.name), \(runCount) page runs, \(pages.inUnits) of pages"
                        + (chain.isFull ? "" : " in a chain of \(chain.images.count) files"))
        } catch {
            if json {
                tell(Json.object([
                    ("image", .string(image)), ("result", .string(error.restartClass.rawValue)), ("what", .string(error.what)),
                ]).text)
            }
            throw failure(image, error)
        }
    }
}
