// SPDX-License-Identifier: Apache-2.0

/// The notes of an image for another file with the same content: everything as it was, but where things are.
struct FoldedNotes {
    private var ident: [UInt8]
    private var others: [UInt8]

    var bytes: [UInt8] { ident + others }
    var byteCount: Int { ident.count + others.count }

    init(_ image: Image) throws(ImageError) {
        let notes = try image.file.read(image.ident.notesByteCount, at: image.ident.notesOffset, what: "notes")
        // As it was checked when the image was opened.
        let identByteCount = min(notes.count, 20 + Int(notes.span.uint32(at: 4)))
        ident = Array(notes[..<identByteCount])
        others = Array(notes[identByteCount...])
        guard others.span.crc32c() == ident.span.uint32(at: 112) else { throw .damaged(what: "the checksum of the notes is wrong", offset: nil) }
        drop(type: 0x434b_000e)  // CKPT_NOTE_CHUNKS: nothing is compressed in the new file
    }

    /// Ranges of header and content of our note of this type.
    private func find(type: UInt32) -> (whole: Range<Int>, content: Range<Int>)? {
        var at = 0
        let span = others.span
        while at + 20 <= others.count {
            let start = at + 12 + (Int(span.uint32(at: at)) + 3) & ~3
            let end = start + Int(span.uint32(at: at + 4)), next = (end + 3) & ~3
            if NoteName.isOurs(span, at: at), span.uint32(at: at + 8) == type { return (at..<min(next, others.count), start..<end) }
            at = next
        }
        return nil
    }

    private mutating func drop(type: UInt32) {
        if let place = find(type: type) { others.removeSubrange(place.whole) }
    }

    /// Another table of runs, in the place of the old one.
    mutating func replaceRuns(_ runs: [PageRun]) {
        guard let place = find(type: Notes.Kind.runs.rawValue) else { return }
        var note = Array(others[place.whole.lowerBound..<place.content.lowerBound])
        note.put(UInt32(16 + PageRun.recordByteCount * runs.count), at: 4)
        for number in [1, UInt32(PageRun.recordByteCount), UInt32(runs.count), 0] { note.append(number: number) }
        note.reserveCapacity(note.count + runs.count * PageRun.recordByteCount)
        for run in runs {
            note.append(number: run.address)
            note.append(number: run.fileOffset)
            for number in [run.pageCount, run.kind.rawValue, run.crc, 0] { note.append(number: number) }
        }
        others.replaceSubrange(place.whole, with: note)
    }

    mutating func moveBlobs(to offsets: [UInt64]) {
        guard let place = find(type: Notes.Kind.blobs.rawValue) else { return }
        let recordByteCount = Int(others.span.uint32(at: place.content.lowerBound + 4))
        for (index, offset) in offsets.enumerated() { others.put(offset, at: place.content.lowerBound + 16 + index * recordByteCount) }
    }

    /// The first note, last of all: a full image now.
    mutating func seal(fileByteCount: UInt64, notesOffset: UInt64, headersOffset: UInt64, headers: ProgramHeaders, elfHeader: [UInt8]) {
        ident.put(ident.span.uint32(at: 24) & ~2, at: 24)  // not CKPT_IDENT_COMPRESSED
        ident.put(UInt64(0), at: 36)
        ident.put(fileByteCount, at: 68)
        ident.put(headersOffset, at: 76)
        ident.put(notesOffset, at: 84)
        ident.put(UInt64(byteCount), at: 92)
        ident.put(headers.count, at: 100)
        ident.put(elfHeader.span.crc32c(), at: 104)
        ident.put(headers.bytes.span.crc32c(), at: 108)
        ident.put(others.span.crc32c(), at: 112)
        ident.put(UInt32(0), at: 116)
        ident.put(UInt32(0), at: 120)
        ident.put(ident.span.crc32c(), at: 120)
    }
}

/// Program headers of a core file of ours, and section header 0 when there are very many.
struct ProgramHeaders {
    let count: UInt32
    private(set) var bytes: [UInt8] = []
    private let isExtended: Bool

    init(segments: [Segment], notesOffset: UInt64, notesByteCount: UInt64) {
        count = UInt32(segments.count) + 1
        isExtended = count >= UInt32(ElfHeader.extendedCount)
        append(type: 4, flags: 4, [notesOffset, 0, 0, notesByteCount, 0, 4])
        for segment in segments {
            let protection = segment.protection
            let flags: UInt32 = (protection.contains(.read) ? 4 : 0) | (protection.contains(.write) ? 2 : 0) | (protection.contains(.execute) ? 1 : 0)
            append(type: 1, flags: flags, [segment.fileOffset, segment.address, 0, segment.fileByteCount, segment.memoryByteCount, Image.pageSize])
        }
        guard isExtended else { return }
        var section = [UInt8](repeating: 0, count: Int(ElfHeader.sectionHeaderByteCount))
        section.put(count, at: 44)
        bytes += section
    }

    private mutating func append(type: UInt32, flags: UInt32, _ words: [UInt64]) {
        bytes.append(number: type)
        bytes.append(number: flags)
        for word in words { bytes.append(number: word) }
    }

    /// What the ELF header says of them.
    func describe(in header: inout [UInt8], at offset: UInt64) {
        header.put(offset, at: 32)
        header.put(isExtended ? offset + UInt64(count) * ElfHeader.programHeaderByteCount : 0, at: 40)
        header.put(isExtended ? ElfHeader.extendedCount : UInt16(count), at: 56)
        header.put(UInt16(isExtended ? ElfHeader.sectionHeaderByteCount : 0), at: 58)
        header.put(UInt16(isExtended ? 1 : 0), at: 60)
    }
}

extension [UInt8] {
    /// Little-endian.
    mutating func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
        for index in 0..<Number.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }

    mutating func append<Number: FixedWidthInteger>(number value: Number) {
        for index in 0..<Number.bitWidth / 8 { append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
}
