// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage
import Testing

/// Chains of random increments, beside a model that knows what every page is.
@Suite struct ChainPropertyTests {
    private static let start: UInt64 = 0x10_0000_0000, pageCount = 40

    /// What a page is: nil, not populated; empty, zeros; or its seed.
    private typealias Model = [UInt8??]

    private func image(_ below: ImageBuilder?, _ identifier: UInt64, _ model: inout Model, _ random: inout SystemRandomNumberGenerator) -> ImageBuilder {
        var builder = below.map { $0.child(identifier) } ?? ImageBuilder.small()
        if below == nil {
            builder.addMapping(Self.start, pages: UInt64(Self.pageCount), CKPT_MAPPING_ANONYMOUS, protection: 3)
            builder.mappings.sort { $0.start < $1.start }
        }
        builder.clear(Self.start, pages: UInt64(Self.pageCount))
        var page = 0
        while page < Self.pageCount {
            let address = Self.start + UInt64(page) * 4096
            let count = min(Self.pageCount - page, Int.random(in: 1...5, using: &random))
            let seed = UInt8.random(in: 0...255, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                for index in page..<page + count { model[index] = nil }
            case 1:
                builder.setZero(address, pages: UInt64(count))
                for index in page..<page + count { model[index] = .some(nil) }
            case 2 where below != nil, 3 where below != nil:
                // As in the parent, where that has the page.
                for index in page..<page + count where model[index] != nil {
                    builder.runs.append(ckpt_run(address: Self.start + UInt64(index) * 4096, file_offset: 0, page_count: 1, kind: 3, crc: 0, reserved: 0))
                }
            default:
                builder.set(address, pages: count, seed: seed)
                for index in 0..<count { model[page + index] = .some(.some(seed &+ UInt8(index))) }
            }
            page += count
        }
        builder.runs.sort { $0.address < $1.address }
        return builder
    }

    private func expect(_ chain: ImageChain, is model: Model, _ what: String) throws {
        for (index, page) in model.enumerated() {
            let address = Self.start + UInt64(index) * 4096
            let piece = chain.pieces.holding(address)
            #expect((piece == nil) == (page == nil), "\(what), page \(index)")
            let bytes = page.flatMap { $0 }.map { ImageBuilder.page($0) } ?? [UInt8](repeating: 0, count: 4096)
            #expect(try chain.page(address) == bytes, "\(what), page \(index)")
        }
    }

    @Test func `a random chain is what its increments say, and so is its fold`() throws {
        var random = SystemRandomNumberGenerator()
        for round in 0..<40 {
            var model = Model(repeating: nil, count: Self.pageCount)
            var images: [ImageBuilder] = []
            for level in 0...Int.random(in: 1...6, using: &random) { images.append(image(images.last, 0x5000 + UInt64(level), &model, &random)) }
            let chain = try TestChain(images)
            let opened = try chain.open()
            try opened.verifyPages()
            try expect(opened, is: model, "round \(round)")
            let path = chain.folder.path("folded.img")
            let file = try OutputFile(for: path, identifier: opened.newest.ident.identifier)
            try Fold.write(opened, to: file)
            try file.commit()
            let folded = try ImageChain.open(path)
            try folded.verifyPages()
            try expect(folded, is: model, "round \(round), folded")
            #expect(try Comparison(from: opened, to: folded).rows.allSatisfy { !$0.isDifferent }, "round \(round)")
        }
    }
}
