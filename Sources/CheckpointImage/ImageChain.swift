// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// An image with all that it builds on: opened, checked by the tables, and the pages resolved. The files stay open.
package final class ImageChain: Sendable {
    /// The newest first, the full one last.
    package let images: [Image]
    /// The pages of the newest image, ascending; none crosses the border of a mapping.
    package let pieces: [PagePiece]
    package var newest: Image { images[0] }
    package var isFull: Bool { images.count == 1 }

    package static func open(_ path: FilePath, decompressor: (any Decompressor)? = nil) throws(ImageError) -> ImageChain {
        var newest = try Image.open(path, decompressor: decompressor)
        for _ in 0..<8 {
            do throws(ImageError) { return try ImageChain(newest) } catch {
                // A program that runs may have replaced the image meanwhile, and removed what the new one does not need.
                guard case .inParent = error else { throw error }
                let now = try Image.open(path, decompressor: decompressor)
                guard now.ident.identifier != newest.ident.identifier else { throw error }
                newest = now
            }
        }
        return try ImageChain(newest)
    }

    /// With the parents of an image that is open; `known`: some of its folder that are open too.
    package init(_ newest: Image, known: [UInt64: Image] = [:]) throws(ImageError) {
        var images = [newest]
        let folder = ImageFolder.parents(of: newest.path)
        // It ends: each parent's depth is smaller than its child's.
        while let child = images.last, child.ident.parent != 0 {
            images.append(try ImageChain.parent(of: child, in: folder, known))
        }
        var resolution = PageResolution()
        for (index, image) in images.enumerated().reversed() {
            resolution.add(image, index: Int32(index))
        }
        self.images = images
        pieces = resolution.pieces
        try checkFrames()
    }

    private static func parent(of child: Image, in folder: FilePath, _ known: [UInt64: Image]) throws(ImageError) -> Image {
        let path = folder.appending(Identity.name(of: child.ident.parent))
        do throws(ImageError) {
            let parent = if let image = known[child.ident.parent] { image } else { try Image.open(path, decompressor: child.decompressor) }
            guard parent.ident.identifier == child.ident.parent else {
                throw .damaged(what: "is another checkpoint, \(parent.ident.name)", offset: nil)
            }
            // A chain that was folded there is full, whatever its depth had been. Clocks jump: they say nothing about age.
            guard parent.ident.depth == child.ident.depth - 1 || parent.ident.depth == 0 else {
                throw .damaged(what: "is not older than its child \(child.path): depth \(parent.ident.depth) below \(child.ident.depth)", offset: nil)
            }
            return parent
        } catch { throw .inParent(path, error) }
    }

    /// A frame of zeros would be a crash behind the point of no return. (That of a full image is checked with its tables.)
    private func checkFrames() throws(ImageError) {
        for thread in newest.threads where !thread.flags.contains(.ended) {
            for address in [thread.ucontext, thread.ucontext + Image.ucontextByteCount - 1] {
                let mapping = newest.mappings.holding(address)
                guard let piece = pieces.holding(mapping?.contentAddress(of: address, newest.shared) ?? address), piece.isHere else {
                    throw .damaged(what: "the signal frame of thread \(thread.tid) is in no page of the chain", offset: nil)
                }
            }
        }
    }

    /// The pages of one mapping of the newest image, ascending.
    package func pieces(in mapping: Mapping) -> ArraySlice<PagePiece> {
        pieces[pieces.firstIndex(from: mapping.start)..<pieces.firstIndex(from: mapping.end)]
    }

    /// The run that holds a piece which is here.
    package func run(of piece: PagePiece) -> PageRun { images[Int(piece.image)].runs[Int(piece.run)] }

    package func fileOffset(of piece: PagePiece) -> UInt64 {
        let run = run(of: piece)
        return run.fileOffset + (piece.address - run.address)
    }

    /// The same failure, with the name of the file when that is not the one which the user named.
    package func naming(_ image: Int, _ error: ImageError) -> ImageError {
        image == 0 ? error : .inParent(images[image].path, error)
    }

    /// Reads everything in every file of the chain and compares the checksums.
    package func verifyPages() throws(ImageError) {
        for (index, image) in images.enumerated() {
            do throws(ImageError) { try image.verifyPages() } catch { throw naming(index, error) }
        }
    }
}
