// SPDX-License-Identifier: Apache-2.0
import CheckpointCompression
package import CheckpointImage
package import SystemPackage

/// Which image is restarted, and where the next checkpoint of the program goes.
package struct ImageChoice {
    package var image: Image
    /// Absolute; the path that was named.
    package var headPath: FilePath
    /// Identifier of the image that is there now.
    package var head: UInt64

    /// Opens the image at `path`, or what `at` selects: N (0 the newest, 1 the one before, …) or an identifier.
    package static func open(_ path: String, at: String?) throws(RestartFailure) -> ImageChoice {
        let headPath = absolute(FilePath(path))
        let head = try newest(headPath)
        guard let at else { return ImageChoice(image: head, headPath: headPath, head: head.ident.identifier) }
        let chosen: Image
        if at.utf8.count == 12, let identifier = UInt64(at, radix: 16) {
            chosen = try identifier == head.ident.identifier ? head : openImage(older(headPath).appending(at.lowercased()))
        } else if let number = Int(at), number >= 0 {
            chosen = try number == 0 ? head : generation(number, headPath, head)
        } else {
            throw RestartFailure(kind: .usage, what: "--at \(at) is no number and no identifier of 12 hex digits",
                remedy: "see ckpt inspect for the identifiers")
        }
        return ImageChoice(image: chosen, headPath: headPath, head: head.ident.identifier)
    }

    /// The image at the path, when nobody is about to replace it: a program that was killed while its checkpoint was being
    /// written leaves that to its scribe, which holds a lock on the image until it is replaced. Waits up to a minute.
    private static func newest(_ path: FilePath) throws(RestartFailure) -> Image {
        var image = try openImage(path), waits = 0
        while ProcessCalls.perform(73, Int64(image.descriptor), 1 | 4) == -11 && waits < 12_000 {  // flock LOCK_SH | LOCK_NB, EAGAIN
            while ProcessCalls.perform(73, Int64(image.descriptor), 1 | 4) == -11 && waits < 12_000 {
                _ = ProcessCalls.perform(7, 0, 0, 5)  // poll: 5 ms
                waits += 1
            }
            image = try openImage(path)
        }
        _ = ProcessCalls.perform(73, Int64(image.descriptor), 8)  // LOCK_UN
        return image
    }

    private static func older(_ headPath: FilePath) -> FilePath { FilePath(headPath.string + ".d") }

    /// The older complete images, the newest first.
    private static func generation(_ number: Int, _ headPath: FilePath, _ head: Image) throws(RestartFailure) -> Image {
        var images: [Image] = []
        for name in DirectoryNames.list(older(headPath)) where name.utf8.count == 12 && UInt64(name, radix: 16) != nil {
            // The newest may be linked there too.
            guard let image = try? openImage(older(headPath).appending(name)), image.ident.identifier != head.ident.identifier else { continue }
            images.append(image)
        }
        images.sort { $0.ident.createdRealtimeNs > $1.ident.createdRealtimeNs }
        guard number <= images.count else {
            throw RestartFailure(kind: .missing, what: "there is no generation \(number), only \(images.count) older ones",
                remedy: "choose a smaller number for --at")
        }
        return images[number - 1]
    }

    private static func openImage(_ path: FilePath) throws(RestartFailure) -> Image {
        do throws(ImageError) { return try Image.open(path, decompressor: SystemDecompressor()) } catch { throw RestartFailure(error) }
    }

    static func absolute(_ path: FilePath) -> FilePath {
        path.isAbsolute ? path.lexicallyNormalized() : DirectoryNames.current().pushing(path).lexicallyNormalized()
    }
}

extension RestartFailure {
    package init(_ error: ImageError) {
        self.init(kind: FailureClass(rawValue: error.restartClass.rawValue) ?? .io, what: error.what, remedy: error.remedy)
    }
}
