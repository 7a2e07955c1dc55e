// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage
import Testing

@Suite struct FoldTests {
    private let images = [ChainTests.base, ChainTests.second(), ChainTests.third()]

    private func fold(_ chain: ImageChain, to path: FilePath) throws {
        let file = try OutputFile(for: path, identifier: chain.newest.ident.identifier)
        try Fold.write(chain, to: file)
        try file.commit()
    }

    @Test func `a folded chain is one full image with the same content and the same identifier`() throws {
        let chain = try TestChain(images)
        let opened = try chain.open(), path = chain.folder.path("folded.img")
        try fold(opened, to: path)
        let folded = try ImageChain.open(path)
        try folded.verifyPages()
        #expect(folded.isFull && folded.newest.ident.parent == 0 && folded.newest.ident.depth == 0)
        #expect(folded.newest.ident.identifier == 0x3333 && folded.newest.ident.sequence == 3)
        #expect(folded.newest.threads == opened.newest.threads && folded.newest.mappings == opened.newest.mappings)
        #expect(try folded.newest.readBlob(0) == opened.newest.readBlob(0))
        for address in stride(from: UInt64(0x50_0000), to: 0x50_8000, by: 4096) { #expect(try folded.page(address) == opened.page(address)) }
        #expect(folded.pieces.holding(0x50_5000) == nil, "what was not populated is not")
        #expect(try Comparison(from: opened, to: folded).rows.allSatisfy { !$0.isDifferent })
        #expect(chain.folder.mode(path) == 0o600)
        #expect(ImageFolder.names(in: path.removingLastComponent())?.contains { $0.hasSuffix(".new") } == false)
    }

    @Test func `an increment finds its parent again when that was folded in its place`() throws {
        let chain = try TestChain(images)
        try fold(ImageChain.open(chain.path(of: images[1])), to: chain.path(of: images[1]))
        chain.folder.remove(chain.path(of: images[0]))
        let opened = try chain.open()
        #expect(opened.images.map(\.ident.depth) == [2, 0])
        #expect(try chain.failure() == nil && opened.page(0x50_0000) == ImageBuilder.page(10))
    }

    @Test func `a fold of a damaged chain leaves nothing`() throws {
        let chain = try TestChain(images)
        var bytes = images[0].image
        bytes[4096 + 5] ^= 1
        try chain.folder.write(bytes, as: "app.img.d/" + Identity.name(of: images[0].ident.identifier))
        let path = chain.folder.path("folded.img")
        #expect(throws: ImageError.self) { try fold(chain.open(), to: path) }
        #expect(!chain.folder.exists(path) && ImageFolder.names(in: path.removingLastComponent())?.contains { $0.hasSuffix(".new") } == false)
    }

    @Test func `a fold of very many mappings has its number of program headers in section header 0`() throws {
        var builder = ChainTests.base
        builder.mappings += (UInt64(0)..<70000).map {
            var mapping = ckpt_mapping()
            mapping.start = 0x10_0000_0000 + $0 * 8192
            mapping.end = mapping.start + 4096
            mapping.kind = CKPT_MAPPING_ANONYMOUS.rawValue
            mapping.protection = 3
            return mapping
        }
        builder.mappings.sort { $0.start < $1.start }
        let chain = try TestChain([builder])
        let path = chain.folder.path("folded.img")
        try fold(chain.open(), to: path)
        let folded = try Image.open(path)
        try folded.verifyPages()
        #expect(folded.segments.count == 70005)
    }

    @Test func `what changed, came and went is counted by mapping`() throws {
        var third = images[2]
        third.mappings.remove(at: 0)  // the text is gone
        third.clear(0x40_0000, pages: 2)
        let chain = try TestChain([images[0], images[1], third])
        let comparison = try Comparison(from: ImageChain.open(chain.path(of: images[0])), to: chain.open())
        let data = try #require(comparison.rows.first { $0.mapping.start == 0x50_0000 })
        // Changed: 0x501000, 0x503000 (was zeros), 0x504000 (is zeros); came: 0x502000; went: 0x505000.
        #expect(data.state == .same && data.changed == 3 && data.came == 1 && data.went == 1, "\(data)")
        let text = try #require(comparison.rows.first { $0.mapping.start == 0x40_0000 })
        #expect(text.state == .gone && text.went == 2)
        #expect(comparison.rows.filter(\.isDifferent).count == 2)
    }

    @Test func `what nothing needs is removed, what somebody needs stays`() throws {
        let chain = try TestChain(images)
        let folder = chain.folder
        var old = ChainTests.base
        old.ident.identifier = 0x7777
        old.ident.run = 5
        var oldChild = old.child(0x7778)
        oldChild.ident.run = 5
        try folder.write(old.image, as: "app.img.d/000000007777")
        try folder.write(oldChild.image, as: "app.img.d/000000007778")
        try folder.write(Array(old.image.dropLast(9)), as: "app.img.d/00000000aaaa")
        try folder.write([1], as: "app.img.d/00000000bbbb")
        try folder.write([1], as: "app.img.d/notes.txt")
        try folder.write([1], as: ".app.img.0123456789ab.new")
        try folder.write([1], as: ".other.img.0123456789ab.new")
        // Two of the chain, then the older run's.
        let kept = try Pruning.run(chain.path, keeping: 3).map { $0.path.lastComponent?.string }
        #expect(kept == ["00000000aaaa", ".app.img.0123456789ab.new"])
        let removed = try Pruning.run(chain.path, keeping: 0)
        #expect(removed.map { $0.path.lastComponent?.string } == ["000000007778", "000000007777"], "children first")
        #expect(removed.allSatisfy { $0.byteCount > 0 })
        #expect(try chain.failure() == nil)
        #expect(ImageFolder.names(in: folder.path("app.img.d"))?.sorted() == ["000000002222", Identity.name(of: images[0].ident.identifier), "00000000bbbb", "notes.txt"].sorted())
        #expect(folder.exists(folder.path(".other.img.0123456789ab.new")))
        #expect(try Pruning.run(chain.path, keeping: 0).isEmpty)
    }

    @Test func `nothing is removed beside an image whose chain is broken`() throws {
        let chain = try TestChain(images)
        chain.folder.remove(chain.path(of: images[0]))
        try chain.folder.write(images[0].image, as: "app.img.d/00000000aaaa")
        #expect(throws: ImageError.self) { try Pruning.run(chain.path, keeping: 0) }
        #expect(chain.folder.exists(chain.folder.path("app.img.d/00000000aaaa")))
    }
}
