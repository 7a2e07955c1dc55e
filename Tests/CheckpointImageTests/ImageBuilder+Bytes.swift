// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage

extension [UInt8] {
    mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<(T.bitWidth / 8) { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * T(index))) }
    }

    mutating func append<T: FixedWidthInteger>(number value: T) {
        self += [UInt8](repeating: 0, count: T.bitWidth / 8)
        put(value, at: count - T.bitWidth / 8)
    }

    func number32(at offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(self[offset + $1]) << (8 * UInt32($1)) } }
}

extension ImageBuilder {
    static func note(_ owner: String, _ type: UInt32, _ content: [UInt8]) -> [UInt8] {
        var note: [UInt8] = []
        note.append(number: UInt32(owner.utf8.count + 1))
        note.append(number: UInt32(content.count))
        note.append(number: type)
        note += Array(owner.utf8)
        repeat { note.append(0) } while note.count % 4 != 0
        note += content
        while note.count % 4 != 0 { note.append(0) }
        return note
    }

    private func table<T: BitwiseCopyable>(_ type: ckpt_note_type, _ records: [T]) -> [UInt8] {
        var content: [UInt8] = []
        content.append(number: tableVersion)
        content.append(number: UInt32(MemoryLayout<T>.size + recordGrowth))
        content.append(number: UInt32(records.count))
        content.append(number: UInt32(0))
        for record in records { content += bytes(of: record) + [UInt8](repeating: 0xee, count: recordGrowth) }
        return ours(type, content)
    }

    private func ours(_ type: ckpt_note_type, _ content: [UInt8]) -> [UInt8] {
        if leftOut.contains(type.rawValue) { return [] }
        var note = ImageBuilder.note("CKPT", type.rawValue, content)
        editNote(type.rawValue, &note)
        return note
    }

    /// All notes but the first one.
    var notes: [UInt8] {
        var notes: [UInt8] = []
        for tid in statuses ?? threads.filter({ $0.flags & 2 == 0 }).map(\.tid) {
            var status = [UInt8](repeating: 0, count: 336)
            status.put(tid, at: 32)
            for index in 0..<27 { status.put(UInt64(truncatingIfNeeded: tid) &* 1000 &+ UInt64(index), at: 112 + 8 * index) }
            notes += ImageBuilder.note("CORE", 1, status)
        }
        if hasAuxiliaryVector { notes += ImageBuilder.note("CORE", 6, [UInt8](repeating: 0, count: 32)) }
        notes += ours(CKPT_NOTE_PROCESS, bytes(of: process))
        notes += table(CKPT_NOTE_MAPPINGS, mappings) + table(CKPT_NOTE_RUNS, runs) + table(CKPT_NOTE_THREADS, threads)
        notes += table(CKPT_NOTE_SCHEDULINGS, schedulings) + table(CKPT_NOTE_LIMITS, limits) + table(CKPT_NOTE_ATTRIBUTES, attributes)
        notes += table(CKPT_NOTE_SIGNALS, actions) + table(CKPT_NOTE_DESCRIPTORS, descriptors) + table(CKPT_NOTE_PIPES, pipes)
        notes += table(CKPT_NOTE_EVENTFDS, eventfds) + table(CKPT_NOTE_TIMERFDS, timerfds) + table(CKPT_NOTE_EPOLLS, epolls)
        notes += table(CKPT_NOTE_TIMERS, timers) + table(CKPT_NOTE_ITIMERS, itimers) + table(CKPT_NOTE_SIGNALFDS, signalfds)
        notes += table(CKPT_NOTE_QUEUED, queued)
        return notes + table(CKPT_NOTE_BLOBS, blobs) + ours(CKPT_NOTE_STRINGS, strings)
    }

    /// The whole file.
    var image: [UInt8] {
        var file = [UInt8](repeating: 0, count: 4096) + data
        while file.count % 8 != 0 { file.append(0) }
        let notes = self.notes
        let count = headers.count + 1
        let isExtended = count >= 0xffff
        let headersOffset = file.count
        let sectionOffset = headersOffset + count * 56
        let notesOffset = sectionOffset + (isExtended ? 64 : 0)
        let notesByteCount = 124 + notes.count
        file += ImageBuilder.header(Header(offset: UInt64(notesOffset), file: UInt64(notesByteCount), flags: 4, type: 4))
        for header in headers { file += ImageBuilder.header(header) }
        if isExtended {
            var section = [UInt8](repeating: 0, count: 64)
            section.put(UInt32(count), at: 44)
            file += section
        }
        var elf: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 57)
        elf.put(UInt16(4), at: 16)
        elf.put(UInt16(62), at: 18)
        elf.put(UInt32(1), at: 20)
        elf.put(UInt64(headersOffset), at: 32)
        elf.put(UInt64(isExtended ? sectionOffset : 0), at: 40)
        elf.put(UInt16(64), at: 52)
        elf.put(UInt16(56), at: 54)
        elf.put(UInt16(isExtended ? 0xffff : count), at: 56)
        if isExtended {
            elf.put(UInt16(64), at: 58)
            elf.put(UInt16(1), at: 60)
        }
        editElfHeader(&elf)
        for index in 0..<64 { file[index] = elf[index] }

        var ident = self.ident
        if ident.file_byte_count == 0 { ident.file_byte_count = UInt64(notesOffset + notesByteCount) }
        ident.program_headers_offset = UInt64(headersOffset)
        ident.notes_offset = UInt64(notesOffset)
        ident.notes_byte_count = UInt64(notesByteCount)
        ident.program_header_count = UInt32(count)
        ident.elf_header_crc = elf.span.crc32c()
        ident.program_headers_crc = Array(file[headersOffset..<notesOffset]).span.crc32c()
        ident.notes_crc = notes.span.crc32c()
        var note = ImageBuilder.note("CKPT", CKPT_NOTE_IDENT.rawValue, bytes(of: ident))
        note.put(note.span.crc32c(), at: 120)
        return file + note + notes
    }

    private static func header(_ header: Header) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(number: header.type)
        bytes.append(number: header.flags)
        for number in [header.offset, header.address, 0, header.file, header.memory, header.type == 1 ? 4096 : 4] as [UInt64] {
            bytes.append(number: number)
        }
        return bytes
    }

    /// Makes the three checksums again, after the notes or program headers of a finished image were changed.
    static func seal(_ image: inout [UInt8], headersOffset: Int, notesOffset: Int) {
        var ident = Array(image[notesOffset..<notesOffset + 124])
        ident.put(Array(image[..<64]).span.crc32c(), at: 104)
        ident.put(Array(image[headersOffset..<notesOffset]).span.crc32c(), at: 108)
        ident.put(Array(image[(notesOffset + 124)...]).span.crc32c(), at: 112)
        image.replaceSubrange(notesOffset..<notesOffset + 124, with: ident)
        sealIdent(&image, notesOffset: notesOffset)
    }

    static func sealIdent(_ image: inout [UInt8], notesOffset: Int) {
        var ident = Array(image[notesOffset..<notesOffset + 124])
        ident.put(UInt32(0), at: 120)
        ident.put(ident.span.crc32c(), at: 120)
        image.replaceSubrange(notesOffset..<notesOffset + 124, with: ident)
    }
}
