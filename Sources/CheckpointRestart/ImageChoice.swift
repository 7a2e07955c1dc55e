// SPDX-License-Identifier: Apache-2.0
package import CheckpointImage
package import SystemPackage

/// Which image is restarted, and where the next checkpoint of the program goes.
package struct ImageChoice {
    package var chain: ImageChain
    package var image: Image { chain.newest }
    /// Absolute; the path that was named.
    package var headPath: FilePath
    /// Identifier of the image that is there now.
    package var head: UInt64

    /// Opens the image at `path`, or what `at` selects: N (0 the newest, 1 the one before, …) or an identifier.
    package static func open(_ path: String, at: String?) throws(RestartFailure) -> ImageChoice {
        let headPath = absolute(FilePath(path))
        let head = try newest(headPath)
        guard let at else { return try newestChain(head, headPath) }
        let chosen: ImageChain
        if at.utf8.count == 12, let identifier = UInt64(at, radix: 16) {
            if identifier == head.ident.identifier { return try newestChain(head, headPath) }
            let image = try openImage(ImageFolder.parents(of: headPath).appending(at.lowercased()))
            chosen = try openChain(image)
        } else if let number = Int(at), number >= 0 {
            if number == 0 { return try newestChain(head, headPath) }
            DescriptorLimit.raise(toHold: (ImageFolder.names(in: ImageFolder.parents(of: headPath)) ?? []).count + 64)
            let older = ImageFolder.complete(besides: head)
            guard number <= older.count else {
                throw RestartFailure(kind: .missing, what: "there is no generation \(number), only \(older.count) older ones",
                    remedy: "choose a smaller number for --at")
            }
            chosen = older[number - 1]
        } else {
            throw RestartFailure(kind: .usage, what: "--at \(at) is no number and no identifier of 12 hex digits",
                remedy: "see ckpt inspect for the identifiers")
        }
        return ImageChoice(chain: chosen, headPath: headPath, head: head.ident.identifier)
    }

    /// The newest image with what it builds on. A program that runs may replace it meanwhile and remove what the new one does
    /// not need: then once more.
    private static func newestChain(_ head: Image, _ path: FilePath) throws(RestartFailure) -> ImageChoice {
        var head = head
        for _ in 0..<8 {
            do throws(RestartFailure) {
                return ImageChoice(chain: try openChain(head), headPath: path, head: head.ident.identifier)
            } catch {
                let now = try newest(path)
                if now.ident.identifier == head.ident.identifier { throw error }
                head = now
            }
        }
        return ImageChoice(chain: try openChain(head), headPath: path, head: head.ident.identifier)
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

    private static func openChain(_ image: Image) throws(RestartFailure) -> ImageChain {
        // Each image of the chain is an open file.
        DescriptorLimit.raise(toHold: Int(image.ident.depth) + 64)
        do throws(ImageError) { return try ImageChain(image) } catch { throw RestartFailure(error) }
    }

    private static func openImage(_ path: FilePath) throws(RestartFailure) -> Image {
        do throws(ImageError) { return try Image.open(path) } catch { throw RestartFailure(error) }
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
