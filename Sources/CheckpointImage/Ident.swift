// SPDX-License-Identifier: Apache-2.0

/// The note that says whose the file is: always the first one. Its layout is the same in every version of the format.
struct IdentNote {
    static let headerByteCount = 20  // three numbers and the owner, "CKPT" padded to eight bytes
    static let recordByteCount = 104

    let identity: Identity
    let byteCount: UInt64
    let elfHeaderCRC, programHeadersCRC, notesCRC: UInt32

    init(_ file: ImageFile, at offset: UInt64, notesByteCount: UInt64) throws(ImageError) {
        guard notesByteCount >= 124, file.holds(offset, 124) else {
            // A file of ours that was cut off keeps neither program headers nor notes: what has no room for our note is not ours.
            throw file.holds(offset, notesByteCount) ? .foreignCore : .damaged(what: "truncated: the file ends before its notes", offset: file.byteCount)
        }
        let head = try file.read(20, at: offset, what: "notes")
        guard NoteName.isOurs(head.span, at: 0), head.span.uint32(at: 8) == Notes.Kind.ident.rawValue else { throw .foreignCore }
        let recordByteCount = head.span.uint32(at: 4)
        guard recordByteCount >= IdentNote.recordByteCount, recordByteCount <= 4096, recordByteCount % 4 == 0,
            UInt64(recordByteCount) + 20 <= notesByteCount
        else { throw .damaged(what: "the identity note has a wrong size", offset: offset + 4) }
        byteCount = UInt64(recordByteCount) + 20
        var note = try file.read(byteCount, at: offset, what: "notes")
        let stored = note.span.uint32(at: 120)
        for index in 120..<124 { note[index] = 0 }
        guard note.span.crc32c() == stored else { throw .damaged(what: "the checksum of the identity note is wrong", offset: offset) }

        let bytes = note.span
        var identity = Identity()
        identity.major = bytes.uint16(at: 20)
        identity.minor = bytes.uint16(at: 22)
        guard identity.major <= Image.supportedMajor else {
            throw .futureVersion(
                what: "written in version \(identity.major).\(identity.minor) of the format, this program reads version \(Image.supportedMajor)")
        }
        guard identity.major >= 1 else { throw .damaged(what: "version 0 of the format", offset: offset + 20) }
        identity.flags = IdentFlags(rawValue: bytes.uint32(at: 24))
        identity.identifier = bytes.uint64(at: 28)
        identity.parent = bytes.uint64(at: 36)
        identity.run = bytes.uint64(at: 44)
        identity.sequence = bytes.uint64(at: 52)
        identity.createdRealtimeNs = bytes.uint64(at: 60)
        identity.fileByteCount = bytes.uint64(at: 68)
        identity.programHeadersOffset = bytes.uint64(at: 76)
        identity.notesOffset = bytes.uint64(at: 84)
        identity.notesByteCount = bytes.uint64(at: 92)
        identity.programHeaderCount = bytes.uint32(at: 100)
        identity.depth = bytes.uint32(at: 116)
        elfHeaderCRC = bytes.uint32(at: 104)
        programHeadersCRC = bytes.uint32(at: 108)
        notesCRC = bytes.uint32(at: 112)
        guard identity.identifier != 0, identity.identifier >> 48 == 0, identity.parent >> 48 == 0,
            identity.parent != identity.identifier
        else { throw .damaged(what: "the identifier is not valid", offset: offset + 28) }
        guard (identity.depth == 0) == (identity.parent == 0), identity.depth <= Image.depthMax else {
            throw .damaged(what: "an increment cannot have depth \(identity.depth)", offset: offset + 116)
        }
        self.identity = identity
    }

    /// What it says of the rest of the file.
    func check(_ file: ImageFile, _ header: ElfHeader, notesOffset: UInt64, notesByteCount: UInt64) throws(ImageError) {
        guard identity.fileByteCount == file.byteCount else {
            let problem = file.byteCount < identity.fileByteCount ? "truncated" : "longer than it was written"
            throw .damaged(what: "\(problem): \(file.byteCount) bytes of \(identity.fileByteCount)", offset: nil)
        }
        guard header.crc == elfHeaderCRC else { throw .damaged(what: "the checksum of the ELF header is wrong", offset: 0) }
        guard header.programHeadersOffset == identity.programHeadersOffset, header.programHeaderCount == identity.programHeaderCount,
            notesOffset == identity.notesOffset, notesByteCount == identity.notesByteCount
        else { throw .damaged(what: "ELF header and identity note do not agree", offset: nil) }
        guard header.programHeadersCRC == programHeadersCRC else {
            throw .damaged(what: "the checksum of the program headers is wrong", offset: header.programHeadersOffset)
        }
    }
}

enum NoteName {
    /// Whether the note at `at` has our owner: five bytes, "CKPT" and a zero, padded to eight.
    static func isOurs(_ bytes: Span<UInt8>, at: Int) -> Bool {
        bytes.uint32(at: at) == 5 && bytes.uint32(at: at + 12) == 0x5450_4b43 && bytes.uint32(at: at + 16) == 0
    }

    /// Whether it has the owner "CORE", of the standard notes.
    static func isCore(_ bytes: Span<UInt8>, at: Int) -> Bool {
        bytes.uint32(at: at) == 5 && bytes.uint32(at: at + 12) == 0x4552_4f43 && bytes.uint8(at: at + 16) == 0
    }
}
