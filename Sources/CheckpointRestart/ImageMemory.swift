// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// The program's memory as the image has it, before any of it is loaded. Checksums are not compared here.
struct ImageMemory {
    private let chain: ImageChain
    private let content: SharedContent

    init(_ chain: ImageChain) {
        self.chain = chain
        content = SharedContent(chain)
    }

    /// nil: not all of it is mapped and readable here. What was never populated reads as zeros.
    func read(_ address: UInt64, byteCount: Int) -> [UInt8]? {
        if let mapping = chain.newest.mappings.holding(address), mapping.object != nil {
            guard UInt64(byteCount) <= mapping.end - address else { return nil }
            return read(mapping.contentAddress(of: address, chain.newest.shared), byteCount: byteCount)
        }
        let (end, overflow) = address.addingReportingOverflow(UInt64(byteCount))
        guard !overflow, isMapped(address, end) else { return nil }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var index = chain.pieces.firstIndex(endingAbove: address)
        while index < chain.pieces.count, chain.pieces[index].address < end {
            let piece = chain.pieces[index]
            index += 1
            if !piece.isHere { continue }
            let from = max(piece.address, address), to = min(piece.end, end)
            let offset = chain.fileOffset(of: piece) + (from - piece.address)
            guard let part = content.bytes(Int(piece.image), byteCount: Int(to - from), offset: offset) else { return nil }
            let start = Int(from - address)
            bytes.replaceSubrange(start..<start + part.count, with: part)
        }
        return bytes
    }

    /// The stretches of a mapping that have content, wherever in the chain that is; each at most as long as a run.
    func stretches(of mapping: Mapping) -> [AddressRange] {
        var stretches: [AddressRange] = []
        for piece in chain.pieces(in: mapping) where piece.isHere {
            if let last = stretches.last, last.end == piece.address, piece.end - last.start <= UInt64(Image.runPagesMax) * Image.pageSize {
                stretches[stretches.count - 1].end = piece.end
            } else {
                stretches.append(AddressRange(start: piece.address, end: piece.end))
            }
        }
        return stretches
    }

    func word(_ address: UInt64) -> UInt64? { read(address, byteCount: 8)?.word64(at: 0) }

    private func isMapped(_ start: UInt64, _ end: UInt64) -> Bool {
        var reached = start
        for mapping in chain.newest.mappings where mapping.start <= reached && reached < mapping.end { reached = mapping.end }
        return reached >= end
    }
}

extension [UInt8] {
    func word32(at offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(self[offset + $1]) << UInt32(8 * $1) } }
    func word64(at offset: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(self[offset + $1]) << UInt64(8 * $1) } }
}
