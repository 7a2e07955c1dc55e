// SPDX-License-Identifier: Apache-2.0

/// The ELF header of an image and what it leads to. Only what a core file of ours may look like is accepted.
struct ElfHeader {
    static let byteCount: UInt64 = 64
    static let programHeaderByteCount: UInt64 = 56
    static let sectionHeaderByteCount: UInt64 = 64
    /// e_phnum when the true count stands in section header 0.
    static let extendedCount: UInt16 = 0xffff

    let crc: UInt32
    let programHeadersOffset: UInt64
    let programHeaderCount: UInt32
    /// Program headers, and behind them section header 0 when there is one.
    let programHeaders: [UInt8]
    let programHeadersCRC: UInt32

    init(_ file: ImageFile) throws(ImageError) {
        let header = try file.read(min(ElfHeader.byteCount, file.byteCount), at: 0, what: "header")
        guard header.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { throw .notAnImage(what: "not an ELF core file") }
        guard header.count == 64 else { throw .damaged(what: "truncated: the file ends inside its header", offset: file.byteCount) }
        let bytes = header.span
        guard bytes.uint8(at: 4) == 2, bytes.uint8(at: 5) == 1, bytes.uint8(at: 6) == 1 else {
            throw .notAnImage(what: "an ELF file, but not a 64-bit little-endian one")
        }
        guard bytes.uint16(at: 16) == 4 else { throw .notAnImage(what: "an ELF file, but not a core file") }
        guard bytes.uint16(at: 18) == 62 else { throw .notAnImage(what: "a core file of another architecture") }
        guard bytes.uint32(at: 20) == 1, bytes.uint16(at: 52) == 64, bytes.uint16(at: 54) == 56 else {
            throw .damaged(what: "an ELF header with wrong sizes", offset: 52)
        }
        crc = bytes.crc32c()
        programHeadersOffset = bytes.uint64(at: 32)

        var section: [UInt8] = []
        let sectionOffset = bytes.uint64(at: 40)
        let count = bytes.uint16(at: 56)
        if bytes.uint16(at: 60) != 0 || sectionOffset != 0 {
            section = try file.read(ElfHeader.sectionHeaderByteCount, at: sectionOffset, what: "section header")
        }
        if count == ElfHeader.extendedCount {
            guard !section.isEmpty else { throw .damaged(what: "the number of program headers is missing", offset: 56) }
            programHeaderCount = section.span.uint32(at: 44)
        } else {
            programHeaderCount = UInt32(count)
        }
        guard programHeaderCount > 0 else { throw .damaged(what: "no program headers", offset: 56) }
        let byteCount = UInt64(programHeaderCount) * ElfHeader.programHeaderByteCount
        var table = try file.read(byteCount, at: programHeadersOffset, what: "program headers")
        // A core file of somebody else may have sections; ours has one at most, which the checksum covers.
        if bytes.uint16(at: 60) == 1 { table += section }
        programHeaders = table
        programHeadersCRC = table.span.crc32c()
    }

    /// File offset and length of the first program header, when it is a PT_NOTE.
    var notes: (offset: UInt64, byteCount: UInt64)? {
        let bytes = programHeaders.span
        guard bytes.uint32(at: 0) == 4 else { return nil }
        return (bytes.uint64(at: 8), bytes.uint64(at: 32))
    }

    /// The PT_LOADs behind it, each one checked by itself and against the one before.
    func segments(in file: ImageFile) throws(ImageError) -> [Segment] {
        let bytes = programHeaders.span
        var segments: [Segment] = []
        segments.reserveCapacity(Int(programHeaderCount) - 1)
        for index in 1..<max(1, Int(programHeaderCount)) {
            let at = index * 56
            func damaged(_ what: String) -> ImageError {
                .damaged(what: "program header \(index) \(what)", offset: programHeadersOffset + UInt64(at))
            }
            guard bytes.uint32(at: at) == 1 else { throw damaged("is not a PT_LOAD") }
            var segment = Segment()
            segment.protection = Protection(elfFlags: bytes.uint32(at: at + 4))
            segment.fileOffset = bytes.uint64(at: at + 8)
            segment.address = bytes.uint64(at: at + 16)
            segment.fileByteCount = bytes.uint64(at: at + 32)
            segment.memoryByteCount = bytes.uint64(at: at + 40)
            let (end, overflow) = segment.address.addingReportingOverflow(segment.memoryByteCount)
            // Which of the two it is, its mapping says.
            guard !overflow, end <= Image.objectAddresses.upperBound else { throw damaged("leaves the address space") }
            guard segment.address >= segments.last?.end ?? 0 else { throw damaged("overlaps the one before") }
            guard segment.address.isPageAligned, segment.memoryByteCount.isPageAligned, segment.memoryByteCount > 0,
                segment.fileOffset.isPageAligned, segment.fileByteCount.isPageAligned
            else { throw damaged("is not page-aligned") }
            guard segment.fileByteCount <= segment.memoryByteCount else { throw damaged("has more bytes in the file than in memory") }
            if segment.fileByteCount > 0 {
                guard segment.fileOffset >= Image.pageSize, file.holds(segment.fileOffset, segment.fileByteCount) else {
                    throw damaged("leaves the file")
                }
            }
            segments.append(segment)
        }
        return segments
    }
}

extension Protection {
    init(elfFlags: UInt32) {
        self = []
        if elfFlags & 4 != 0 { insert(.read) }
        if elfFlags & 2 != 0 { insert(.write) }
        if elfFlags & 1 != 0 { insert(.execute) }
    }
}

extension UInt64 {
    var isPageAligned: Bool { self & (Image.pageSize - 1) == 0 }
}
