// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI

/// Changes facts in an image and makes its checksums right again: for hosts and versions that are not at hand.
struct Forge {
    var bytes: [UInt8]
    private(set) var notes: Int
    private(set) var identOffset: Int

    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        let table = Int(Forge.number(bytes, at: 32, UInt64.self))
        // The first program header is the notes'; the first note is the ident: 12 bytes of header, the owner in 8.
        notes = Int(Forge.number(bytes, at: table + 8, UInt64.self))
        identOffset = notes + 20
        guard Forge.number(bytes, at: notes + 8, UInt32.self) == UInt32(CKPT_NOTE_IDENT.rawValue) else { throw Broken("the first note is not the ident") }
    }

    /// The major version of the format.
    mutating func setMajor(_ major: UInt16) {
        put(major, at: identOffset)
        seal()
    }

    /// Sets a bit in every word of the processor's features.
    mutating func demandAllProcessorFeatures() throws {
        let process = try note(UInt32(CKPT_NOTE_PROCESS.rawValue))
        guard let offset = MemoryLayout<ckpt_process>.offset(of: \.cpuid) else { throw Broken("no offset") }
        for index in 0 ..< 8 { put(UInt32.max, at: process + offset + 4 * index) }
        seal()
    }

    /// Any 4 bytes of any note of ours, for what is well formed and cannot be true.
    mutating func put(_ value: UInt64, inNote type: UInt32, at offset: Int) throws {
        put(value, at: try note(type) + offset)
        seal()
    }

    /// Where the descriptor of our note of this type begins.
    func note(_ wanted: UInt32) throws -> Int {
        var at = notes
        let end = notes + Int(Forge.number(bytes, at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.notes_byte_count)!, UInt64.self))
        while at + 12 <= end {
            let nameBytes = Int(Forge.number(bytes, at: at, UInt32.self)), bytesHere = Int(Forge.number(bytes, at: at + 4, UInt32.self))
            let type = Forge.number(bytes, at: at + 8, UInt32.self)
            let start = at + 12 + (nameBytes + 3) & ~3
            if type == wanted, nameBytes == 5, bytes[at + 12] == UInt8(ascii: "C"), bytes[at + 13] == UInt8(ascii: "K") { return start }
            at = start + (bytesHere + 3) & ~3
        }
        throw Broken("the image has no note \(wanted)")
    }

    /// The checksums over the notes and over the ident.
    mutating func seal() {
        let size = Int(Forge.number(bytes, at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.notes_byte_count)!, UInt64.self))
        let crcOffset = MemoryLayout<ckpt_ident>.offset(of: \.ident_crc)!
        let behind = identOffset + MemoryLayout<ckpt_ident>.size
        put(crc(behind ..< notes + size), at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.notes_crc)!)
        put(UInt32(0), at: identOffset + crcOffset)
        put(crc(notes ..< behind), at: identOffset + crcOffset)
    }

    /// The notes are somewhere else now, at the end of the file.
    mutating func moveNotes(to offset: Int, byteCount: Int) {
        (notes, identOffset) = (offset, offset + 20)
        put(UInt64(offset + byteCount), at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.file_byte_count)!)
        put(UInt64(offset), at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.notes_offset)!)
        put(UInt64(byteCount), at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.notes_byte_count)!)
    }

    /// The checksum over the program headers, which have no section header behind them.
    mutating func setProgramHeaders() {
        let table = Int(Forge.number(bytes, at: 32, UInt64.self)), count = Int(Forge.number(bytes, at: 56, UInt16.self))
        put(crc(table ..< table + 56 * count), at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.program_headers_crc)!)
        seal()
    }

    private func crc(_ range: Range<Int>) -> UInt32 { Forge.crc(bytes[range]) }

    static func crc(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        // Safety: the buffer is used within its bounds, checked by the slice.
        unsafe bytes.withUnsafeBytes { unsafe ckpt_crc32c(0, $0.baseAddress, $0.count) }
    }

    mutating func put(_ value: some FixedWidthInteger, at offset: Int) {
        for index in 0 ..< value.bitWidth / 8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }

    static func number<Number: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int, _: Number.Type) -> Number {
        var value: Number = 0
        for index in 0 ..< Number.bitWidth / 8 { value |= Number(truncatingIfNeeded: bytes[offset + index]) << (8 * index) }
        return value
    }

    /// The program headers and the notes; behind them is padding.
    var tables: Range<Int> {
        let size = Int(Forge.number(bytes, at: identOffset + MemoryLayout<ckpt_ident>.offset(of: \.notes_byte_count)!, UInt64.self))
let headers = Int(Forge.number(bytes, at: 32, UInt64.self)), count = Int(Forge.number(bytes, at: 56, UInt16.self))
        return min(notes, headers) ..< max(notes + size, headers + 56 * count)
    }
}
