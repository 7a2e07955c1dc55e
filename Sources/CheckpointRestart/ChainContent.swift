// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Brings content of the images of a chain into memory, also of compressed ones; one for each thread.
struct ChainContent {
    private let images: [Image]
    /// Of the compressed image that was read last: it keeps a chunk, which the next run may need too.
    private var reader: (image: Int, reader: ContentReader)?

    enum Failure: Error { case io(Errno), chunk(ImageError) }

    init(_ chain: ImageChain) { images = chain.images }

    /// [offset, offset + byteCount) of this image, as it is before compression.
    mutating func read(_ image: Int, into address: UInt64, byteCount: UInt64, offset: UInt64) throws(Failure) {
        guard images[image].isCompressed else {
            do throws(Errno) { try Kernel.read(images[image].descriptor, into: address, byteCount: byteCount, offset: offset) } catch { throw .io(error) }
            return
        }
        var next = address
        var reader = if let held = self.reader, held.image == image { held.reader } else { ContentReader(images[image]) }
        self.reader = nil
        do throws(ImageError) {
            try reader.read(byteCount, at: offset, what: "pages") { piece throws(ImageError) in
                Kernel.write(piece, at: next)
                next += UInt64(piece.count)
            }
        } catch { throw .chunk(error) }
        self.reader = (image, reader)
    }
}

/// One that a value can share: for what runs in one thread.
final class SharedContent {
    private var content: ChainContent
    init(_ chain: ImageChain) { content = ChainContent(chain) }

    /// nil: it can not be read.
    func bytes(_ image: Int, byteCount: Int, offset: UInt64) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var isRead = false
        Kernel.withBytes(&bytes) { address in
            do throws(ChainContent.Failure) {
                try content.read(image, into: address, byteCount: UInt64(byteCount), offset: offset)
                isRead = true
            } catch {}
        }
        return isRead ? bytes : nil
    }
}
