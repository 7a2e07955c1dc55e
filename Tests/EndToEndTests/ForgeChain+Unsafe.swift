// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI

/// What makes an image part of a chain.
extension Forge {
    /// The records of a table of ours.
    func records<Record: BitwiseCopyable>(_ type: ckpt_note_type, _: Record.Type) throws -> [Record] {
        let start = try note(type.rawValue)
        let size = Int(Forge.number(bytes, at: start + 4, UInt32.self)), count = Int(Forge.number(bytes, at: start + 8, UInt32.self))
        // Safety: inside the array, which is held for the call; the structs of image.h have no pointers, and every bit pattern is one.
        return unsafe bytes.withUnsafeBytes { raw in
            (0 ..< count).map { unsafe raw.loadUnaligned(fromByteOffset: start + 16 + $0 * size, as: Record.self) }
        }
    }

    /// The part in the file of the program header that holds an address.
    func segment(holding address: UInt64) -> (start: UInt64, end: UInt64, offset: UInt64)? {
        let table = Int(Forge.number(bytes, at: 32, UInt64.self)), count = Int(Forge.number(bytes, at: 56, UInt16.self))
        for index in 1 ..< count {
            let at = table + index * 56
            let offset = Forge.number(bytes, at: at + 8, UInt64.self), start = Forge.number(bytes, at: at + 16, UInt64.self)
            let size = Forge.number(bytes, at: at + 32, UInt64.self)
            if start <= address, address < start + size { return (start, start + size, offset) }
        }
        return nil
    }

    /// Another table of runs: the notes are written again behind everything else.
    mutating func replaceRuns(_ runs: [ckpt_run]) throws {
        let old = try note(UInt32(CKPT_NOTE_RUNS.rawValue)), table = Int(Forge.number(bytes, at: 32, UInt64.self))
        let oldBytes = (Int(Forge.number(bytes, at: old - 16, UInt32.self)) + 3) & ~3
        let whole = notes ..< notes + Int(Forge.number(bytes, at: table + 8 + 24, UInt64.self))
        var content = Array(bytes[whole.lowerBound ..< old])
        let size = 16 + runs.count * MemoryLayout<ckpt_run>.size
        content.replaceSubrange(content.count - 16 ..< content.count - 12, with: word(UInt32(size)))
        content += word(UInt32(1)) + word(UInt32(MemoryLayout<ckpt_run>.size)) + word(UInt32(runs.count)) + word(UInt32(0))
        // Safety: as above, for reading.
        unsafe runs.withUnsafeBytes { unsafe content += Array($0) }
        content += bytes[old + oldBytes ..< whole.upperBound]
        while bytes.count % 4096 != 0 { bytes.append(0) }
        let offset = bytes.count
        bytes += content
        put(UInt64(offset), at: table + 8)
        put(UInt64(content.count), at: table + 8 + 24)
        moveNotes(to: offset, byteCount: content.count)
        setProgramHeaders()
    }

    /// Its place in a chain. Sequence numbers stay ascending: a parent has a smaller one.
    mutating func setChain(identifier: UInt64?, parent: UInt64, depth: UInt32, later: UInt64) {
        if let identifier { put(identifier, at: identOffset + 8) }
        put(parent, at: identOffset + 16)
        put(Forge.number(bytes, at: identOffset + 32, UInt64.self) + later, at: identOffset + 32)
        put(depth, at: identOffset + 96)
        seal()
    }

    private func word(_ value: UInt32) -> [UInt8] { (0 ..< 4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
}
