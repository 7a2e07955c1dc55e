// SPDX-License-Identifier: Apache-2.0
package import CheckpointImage

/// Notes and headers of an image before compression, from which those of the compressed image are made.
package struct ImageTail: Sendable {
    private let header: [UInt8]
    /// Notes and program headers, as they lie in the image from `offset` on.
    private let tail: [UInt8]
    private let offset: UInt64

    private static let programHeaderByteCount = 56
    private static let sectionHeaderByteCount = 64
    /// Note header, owner and record of the first note.
    private static let identByteCount = 124
    /// e_phnum when the true count stands in section header 0.
    private static let extendedCount: UInt16 = 0xffff

    /// `header`: the first 4096 bytes; `tail`: what begins at `offset`.
    package init(header: [UInt8], tail: [UInt8], offset: UInt64) {
        self.header = header
        self.tail = tail
        self.offset = offset
    }

    /// The notes with a table of chunks more and the flag set, PT_LOADs without bytes, every offset and checksum made anew:
    /// for a tail that begins at `start`.
    package func compressed(chunks: [Chunk], at start: UInt64) throws(CompressionFailure) -> (header: [UInt8], tail: [UInt8]) {
        guard header.count == Int(Image.pageSize), header.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { throw .input("no ELF header") }
        var elf = header
        let count = elf.span.uint16(at: 56), hasSection = elf.span.uint16(at: 60) == 1
        let section = hasSection ? try part(elf.span.uint64(at: 40), ImageTail.sectionHeaderByteCount) : []
        let headerCount = count == ImageTail.extendedCount && hasSection ? Int(section.span.uint32(at: 44)) : Int(count)
        guard headerCount > 0 else { throw .input("no program headers") }
        var headers = try part(elf.span.uint64(at: 32), headerCount * ImageTail.programHeaderByteCount)
        let notesByteCount = headers.span.uint64(at: 32)
        guard headers.span.uint32(at: 0) == 4, notesByteCount <= UInt64(tail.count) else { throw .input("no notes") }
        var notes = try part(headers.span.uint64(at: 8), Int(notesByteCount))
        guard notes.count >= ImageTail.identByteCount, notes.span.uint32(at: 4) == 104, notes.span.uint32(at: 8) == 0x434b_0001 else {
            throw .input("no identity")
        }
        notes += try ImageTail.note(of: chunks)

        let notesSize = notes.count
        var written = notes
        while written.count % 8 != 0 { written.append(0) }
        let headersOffset = start + UInt64(written.count)
        headers.put(start, at: 8)
        headers.put(UInt64(notesSize), at: 32)
        for index in 1..<max(headerCount, 1) {
            headers.put(UInt64(0), at: index * ImageTail.programHeaderByteCount + 8)
            headers.put(UInt64(0), at: index * ImageTail.programHeaderByteCount + 32)
        }
        headers += section
        written += headers
        written += [UInt8](repeating: 0, count: (4096 - written.count % 4096) % 4096)
        elf.put(headersOffset, at: 32)
        if hasSection { elf.put(headersOffset + UInt64(headerCount * ImageTail.programHeaderByteCount), at: 40) }

        // Offsets of struct ckpt_ident behind 20 bytes of note header and owner.
        written.put(notes.span.uint32(at: 24) | IdentFlags.compressed.rawValue, at: 24)
        written.put(start + UInt64(written.count), at: 68)
        written.put(headersOffset, at: 76)
        written.put(start, at: 84)
        written.put(UInt64(notesSize), at: 92)
        written.put(elf.span.extracting(first: 64).crc32c(), at: 104)
        written.put(headers.span.crc32c(), at: 108)
        written.put(written.span.extracting(ImageTail.identByteCount..<notesSize).crc32c(), at: 112)
        written.put(UInt32(0), at: 120)
        written.put(written.span.extracting(first: ImageTail.identByteCount).crc32c(), at: 120)
        return (elf, written)
    }

    private func part(_ at: UInt64, _ byteCount: Int) throws(CompressionFailure) -> [UInt8] {
        guard at >= offset, at - offset <= UInt64(tail.count), byteCount <= tail.count - Int(at - offset) else {
            throw .input("headers that are not in the tail")
        }
        return Array(tail[Int(at - offset)..<Int(at - offset) + byteCount])
    }

    /// CKPT_NOTE_CHUNKS: note header, owner, table.
    private static func note(of chunks: [Chunk]) throws(CompressionFailure) -> [UInt8] {
        guard chunks.count <= 1 << 25 else { throw .input("\(chunks.count) chunks") }
        var note: [UInt8] = []
        note.reserveCapacity(36 + 32 * chunks.count)
        for number in [5, UInt32(16 + 32 * chunks.count), 0x434b_000e, 0x5450_4b43, 0, 1, 32, UInt32(chunks.count), 0] { note.append(number: number) }
        for chunk in chunks {
            note.append(number: chunk.imageOffset)
            note.append(number: chunk.fileOffset)
            for number in [chunk.byteCount, chunk.storedByteCount, chunk.compression.rawValue, chunk.crc] { note.append(number: number) }
        }
        return note
    }
}

extension [UInt8] {
    fileprivate mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<(T.bitWidth / 8) { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * T(index))) }
    }

    fileprivate mutating func append<T: FixedWidthInteger>(number value: T) {
        for index in 0..<(T.bitWidth / 8) { append(UInt8(truncatingIfNeeded: value >> (8 * T(index)))) }
    }
}
