// SPDX-License-Identifier: Apache-2.0

extension Checks {
    /// The chunks of a compressed image; no other has any.
    func checkChunks(_ tables: Tables) throws(ImageError) {
        func damaged(_ what: String) -> ImageError { .damaged(what: what, offset: nil) }
        guard ident.flags.contains(.compressed) else {
            guard tables.chunks.isEmpty else { throw damaged("chunks in an image that is not compressed") }
            return
        }
        for segment in segments where segment.fileByteCount > 0 {
            throw damaged("the program header of \(segment.address.hex) has bytes in a compressed image")
        }
        var last = Image.pageSize
        for chunk in tables.chunks {
            // Made only when it is needed: there are very many chunks.
            func wrong(_ what: String) -> ImageError { damaged("the chunk at \(chunk.imageOffset) \(what)") }
            guard 1...Chunk.byteCountMax ~= chunk.byteCount else { throw wrong("has \(chunk.byteCount) bytes") }
            guard chunk.imageOffset >= last, chunk.imageOffset <= 1 << 62 else { throw wrong("overlaps the one before") }
            last = chunk.imageEnd
            let isStored = chunk.compression == .none
            guard chunk.storedByteCount >= 1, isStored ? chunk.storedByteCount == chunk.byteCount : chunk.storedByteCount < chunk.byteCount else {
                throw wrong("is stored in \(chunk.storedByteCount) bytes")
            }
            guard chunk.fileOffset >= Image.pageSize, file.holds(chunk.fileOffset, UInt64(chunk.storedByteCount)) else {
                throw wrong("leaves the file")
            }
        }
        let ordered = tables.chunks.sorted { $0.fileOffset < $1.fileOffset }
        for (one, next) in zip(ordered, ordered.dropFirst()) where one.fileOffset + UInt64(one.storedByteCount) > next.fileOffset {
            throw damaged("the chunk at \(next.imageOffset) shares bytes of the file with another")
        }
    }

    /// Whether content that is said to be at these bytes of the image can be there.
    func holds(_ offset: UInt64, _ byteCount: UInt64, _ tables: Tables) -> Bool {
        guard ident.flags.contains(.compressed) else { return file.holds(offset, byteCount) }
        guard offset <= 1 << 62, byteCount <= 1 << 62 else { return false }
        return tables.chunks.cover(offset, byteCount)
    }

    /// What all content of the image is at most.
    func contentByteCountMax(_ tables: Tables) -> UInt64 {
        ident.flags.contains(.compressed) ? tables.chunks.reduce(0) { $0 + UInt64($1.byteCount) } : file.byteCount
    }
}
