// SPDX-License-Identifier: Apache-2.0

/// Reads pages of a chain in ascending order: each run once, whole, and against its checksum.
package struct PageReader {
    private let chain: ImageChain
    /// The run that was read last of each image: pieces of it follow.
    private var held: [Int32: (run: Int32, bytes: [UInt8])] = [:]

    package init(_ chain: ImageChain) { self.chain = chain }

    /// The content of a piece that is here.
    package mutating func read(_ piece: PagePiece) throws(ImageError) -> ArraySlice<UInt8> {
        let run = chain.run(of: piece), image = chain.images[Int(piece.image)]
        let start = Int(piece.address - run.address)
        if let found = held[piece.image], found.run == piece.run { return found.bytes[start..<start + Int(piece.byteCount)] }
        let bytes: [UInt8]
        do throws(ImageError) {
            bytes = try image.file.read(run.byteCount, at: run.fileOffset, what: "pages")
            guard bytes.span.crc32c() == run.crc else {
                throw .damaged(what: "the checksum of the pages at \(run.address.hex) is wrong", offset: run.fileOffset)
            }
        } catch { throw chain.naming(Int(piece.image), error) }
        if held.count > 64 { held = [:] }
        // What is used up is not kept.
        if piece.pageCount < run.pageCount { held[piece.image] = (piece.run, bytes) } else { held[piece.image] = nil }
        return bytes[start..<start + Int(piece.byteCount)]
    }
}
