// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage
import Testing

/// Data of the small image: 0x500000 two pages (seed 10), a hole, one page of zeros, 0x504000 two pages (seed 20), two never populated.
@Suite struct ChainTests {
    static var base: ImageBuilder { ImageBuilder.small() }

    static func second() -> ImageBuilder {
        var image = base.child(0x2222)
        image.set(0x50_1000, pages: 1, seed: 50)
        image.set(0x50_2000, pages: 2, seed: 60)  // came; was zero
        image.setZero(0x50_4000, pages: 1)
        return image
    }

    static func third() -> ImageBuilder {
        var image = second().child(0x3333)
        image.set(0x50_3000, pages: 1, seed: 70)
        image.clear(0x50_5000, pages: 1)
        return image
    }

    @Test func `each page of a chain is that of the newest image which has it`() throws {
        let chain = try TestChain([Self.base, Self.second(), Self.third()])
        let opened = try chain.open()
        #expect(opened.images.map(\.ident.depth) == [2, 1, 0])
        func page(_ seed: UInt8) -> [UInt8] { ImageBuilder.page(seed) }
        #expect(try opened.page(0x40_1000) == page(2))
        #expect(try opened.page(0x50_0000) == page(10))
        #expect(try opened.page(0x50_1000) == page(50))
        #expect(try opened.page(0x50_2000) == page(60))
        #expect(try opened.page(0x50_3000) == page(70))
        let zeros = [UInt8](repeating: 0, count: 4096)
        #expect(try opened.page(0x50_4000) == zeros)
        #expect(try opened.page(0x50_5000) == zeros, "what the parent had does not come back")
        #expect(opened.pieces.holding(0x50_5000) == nil && opened.pieces.holding(0x50_4000)?.isHere == false)
        #expect(try chain.failure() == nil)
    }

    @Test func `pages that the parent has in several runs are one run of the increment`() throws {
        var base = Self.base
        base.addMapping(0x10_0000_0000, pages: 1000, CKPT_MAPPING_ANONYMOUS, protection: 3)
        base.mappings.sort { $0.start < $1.start }
        let blobs = base.blobs[0].file_offset
        let offset = base.addPages(at: 0x10_0000_0000, count: 200, seed: 1)
        base.addPages(at: 0x10_0000_0000 + 200 * 4096, count: 200, seed: 9)
        base.headers.append(ImageBuilder.Header(address: 0x10_0000_0000, memory: 1000 * 4096, offset: offset, file: 400 * 4096))
        base.headers.sort { $0.address < $1.address }
        base.runs.sort { $0.address < $1.address }
        #expect(base.blobs[0].file_offset == blobs)
        var child = base.child(0x2222)
        child.clear(0x10_0000_0000, pages: 1000)
        child.runs.append(ckpt_run(address: 0x10_0000_1000, file_offset: 0, page_count: 398, kind: 3, crc: 0, reserved: 0))
        child.runs.sort { $0.address < $1.address }
        let opened = try TestChain([base, child]).open()
        let mapping = try #require(opened.newest.mappings.holding(0x10_0000_0000))
        #expect(opened.pieces(in: mapping).map(\.pageCount) == [199, 199])
        #expect(try opened.page(0x10_0000_0000 + 398 * 4096) == ImageBuilder.page(9 &+ 198))
    }

    @Test func `a member of the chain finds its parents beside itself`() throws {
        let chain = try TestChain([Self.base, Self.second(), Self.third()])
        let opened = try ImageChain.open(chain.path(of: Self.second()))
        #expect(opened.images.count == 2)
        #expect(try opened.page(0x50_5000) == ImageBuilder.page(21))
    }

    @Test func `older complete checkpoints are numbered by their sequence, not by clocks`() throws {
        var images = [Self.base, Self.second(), Self.third()]
        images[0].ident.created_realtime_ns = 9_000
        images[1].ident.created_realtime_ns = 5_000
        let chain = try TestChain(images)
        let newest = try Image.open(chain.path)
        #expect(ImageFolder.complete(besides: newest).map(\.newest.ident.identifier) == [0x2222, Self.base.ident.identifier])
        chain.folder.remove(chain.path(of: images[0]))
        #expect(ImageFolder.complete(besides: newest).isEmpty)
    }
}

/// Bad days of a chain: one line that names the file.
@Suite struct BrokenChainTests {
    private func expect(_ images: [ImageBuilder], names file: ImageBuilder, _ kind: ImageError.Class, _ words: String, at place: SourceLocation = #_sourceLocation,
                        spoil: (TestChain) throws -> Void = { _ in }) throws {
        let chain = try TestChain(images)
        try spoil(chain)
        let error = try #require(try chain.failure(), sourceLocation: place)
        #expect(error.restartClass == kind && error.line.contains(words), "\(error.line)", sourceLocation: place)
        #expect(error.line.contains(chain.path(of: file).string) && !error.line.contains("\n"), "\(error.line)", sourceLocation: place)
    }
    private let base = ChainTests.base, second = ChainTests.second(), third = ChainTests.third()

    @Test func `a missing parent is missing`() throws {
        try expect([base, second, third], names: second, .missing, "no such file") { $0.folder.remove($0.path(of: second)) }
        try expect([base, second, third], names: base, .missing, "no such file") { $0.folder.remove($0.path(of: base)) }
    }

    @Test func `a damaged parent is damaged, in its tables and in its pages`() throws {
        try expect([base, second], names: base, .damaged, "truncated") {
            try $0.folder.write(Array(base.image.dropLast(100)), as: "app.img.d/" + Identity.name(of: base.ident.identifier))
        }
        var bytes = base.image
        bytes[4096 + 5] ^= 1
        try expect([base, second], names: base, .damaged, "the checksum of the pages at 0x400000 is wrong") {
            try $0.folder.write(bytes, as: "app.img.d/" + Identity.name(of: base.ident.identifier))
        }
        try expect([base, second], names: base, .damaged, "not an ELF core file") {
            try $0.folder.write([1, 2, 3], as: "app.img.d/" + Identity.name(of: base.ident.identifier))
        }
    }

    @Test func `a parent from another run is another checkpoint`() throws {
        var other = base
        other.ident.identifier = 0x9999
        try expect([base, second], names: base, .damaged, "is another checkpoint, 000000009999") {
            try $0.folder.write(other.image, as: "app.img.d/" + Identity.name(of: base.ident.identifier))
        }
    }

    @Test func `a parent that is not older than its child is refused, whatever the clocks say`() throws {
        var newer = second
        newer.ident.depth = 2
        var child = third
        child.ident.depth = 2
        try expect([base, newer, child], names: newer, .damaged, "is not older than its child")
        // A circle is one of these.
        var first = second
        first.ident.parent = 0x3333
        first.ident.depth = 3
        try expect([base, first, third], names: first, .damaged, "is not older than its child")
        // Clocks jump: they are not asked.
        var early = third
        early.ident.created_realtime_ns = 1
        newer = second
        newer.ident.created_realtime_ns = 1 << 60
        #expect(try TestChain([base, newer, early]).failure() == nil)
    }

    @Test func `a page that the parent does not have is zeros`() throws {
        var child = base.child(0x2222)
        child.runs.append(ckpt_run(address: 0x50_6000, file_offset: 0, page_count: 1, kind: 3, crc: 0, reserved: 0))
        child.runs.sort { $0.address < $1.address }
        let chain = try TestChain([base, child]).open()
        let piece = chain.pieces.holding(0x50_6000)
        #expect(piece?.isHere == false && piece?.image == 0)
    }

    @Test func `an increment without depth, or too deep, is damaged`() throws {
        for depth: UInt32 in [0, 4096, .max] {
            var child = base.child(0x2222)
            child.ident.depth = depth
            #expect(try TestChain([base, child]).failure()?.what.contains("cannot have depth") == true)
        }
        var full = base
        full.ident.depth = 1
        #expect(try failure(full.image)?.what.contains("cannot have depth") == true)
    }

    @Test func `a signal frame of zeros is damage, wherever the zeros are`() throws {
        var zeroed = base.child(0x2222)
        zeroed.set(0x7fff_0000_0000, pages: 1, seed: 1)
        zeroed.threads[0].ucontext = 0x7fff_0000_0000
        zeroed.threads[1].ucontext = 0x7fff_0000_0800
        zeroed.setZero(0x7fff_0000_2000, pages: 2)
        var child = zeroed.child(0x3333)
        child.threads = base.threads
        let error = try #require(try TestChain([base, zeroed, child]).failure())
        #expect(error.what.contains("the signal frame of thread 100 is in no page of the chain"), "\(error.line)")
    }
}
