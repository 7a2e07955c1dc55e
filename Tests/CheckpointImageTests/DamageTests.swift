// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage
import Testing

/// SplitMix64: the same numbers in every run.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

@Suite struct DamageTests {
    /// The bytes that a reader uses: all others are padding and holes.
    private func isRead(_ offset: Int, in image: Image) -> Bool {
        let offset = UInt64(offset)
        return offset < 64 || offset >= image.ident.programHeadersOffset
            || image.runs.contains { $0.kind == .here && $0.fileOffset <= offset && offset < $0.fileOffset + $0.byteCount }
            || image.blobs.contains { $0.fileOffset <= offset && offset < $0.fileOffset + $0.byteCount }
    }

    @Test func `every one of 200 random bit flips is refused, or nothing reads that byte`() throws {
        let good = ImageBuilder.small().image
        let image = try open(good)
        var random = Seeded(state: 1)
        var refused = 0
        for _ in 0..<200 {
            // Half of them where the tables are, which are small.
            let offset = Bool.random(using: &random)
                ? Int.random(in: 0..<good.count, using: &random)
                : Int.random(in: Int(image.ident.programHeadersOffset)..<good.count, using: &random)
            let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            var bad = good
            bad[offset] ^= bit
            let error = try failure(bad)
            if let error {
                refused += 1
                #expect(error.restartClass == .damaged, "byte \(offset), bit \(bit): \(error.line)")
            }
            #expect((error != nil) == isRead(offset, in: image), "byte \(offset), bit \(bit): \(error?.line ?? "accepted")")
        }
        #expect(refused > 100)
    }

    @Test func `every flip of the header, the program headers and the identity is refused`() throws {
        let good = ImageBuilder.small().image
        let headers = Int(try open(good).ident.programHeadersOffset)
        for offset in Array(0..<64) + Array(headers..<headers + 4 * 56 + 124) {
            var bad = good
            bad[offset] ^= 0x10
            let error = try failure(bad)
            #expect(error?.restartClass == .damaged, "byte \(offset): \(error?.line ?? "accepted")")
        }
    }

    @Test func `a truncated image is refused, wherever it ends`() throws {
        let good = ImageBuilder.small().image
        var random = Seeded(state: 2)
        for length in [1, 3, 4, 63, 64, 65, 4096, good.count - 1] + (0..<20).map({ _ in Int.random(in: 1..<good.count, using: &random) }) {
            let error = try failure(Array(good[..<length]))
            #expect(error?.restartClass == .damaged, "\(length) bytes: \(error?.line ?? "accepted")")
        }
    }

    @Test func `verify finds a flip in a page and says where`() throws {
        var image = ImageBuilder.small().image
        image[4096 + 2 * 4096 + 5000] ^= 1
        let opened = try open(image)
        #expect(throws: ImageError.damaged(what: "the checksum of the pages at 0x500000 is wrong", offset: 3 * 4096)) {
            try opened.verifyPages()
        }
    }

    @Test func `verify finds a flip in a blob`() throws {
        let builder = ImageBuilder.small()
        var image = builder.image
        image[Int(builder.blobs[0].file_offset)] ^= 1
        let opened = try open(image)
        #expect(throws: ImageError.self) { try opened.verifyPages() }
        #expect(throws: ImageError.self) { try opened.readBlob(0) }
        #expect(throws: ImageError.self) { try opened.readBlob(1) }
    }

    @Test func `verify reads many runs with two threads and tells the first flip`() throws {
        var builder = ImageBuilder.small()
        builder.addMapping(0x10_0000_0000, pages: 4000, CKPT_MAPPING_ANONYMOUS, protection: 3)
        var offsets: [UInt64] = []
        let first = builder.runs.count
        for index in 0..<200 {
            offsets.append(builder.addPages(at: 0x10_0000_0000 + UInt64(index) * 8192, count: 1, seed: UInt8(index)))
            builder.headers.append(ImageBuilder.Header(address: 0x10_0000_0000 + UInt64(index) * 8192, memory: 4096, offset: offsets[index], file: 4096))
        }
        builder.sort(runsFrom: first)
        let image = builder.image
        try open(image).verifyPages()
        var bad = image
        for index in [150, 77, 199] { bad[Int(offsets[index]) + 9] ^= 4 }
        let opened = try open(bad)
        #expect(throws: ImageError.damaged(what: "the checksum of the pages at \((0x10_0000_0000 + UInt64(77) * 8192).hex) is wrong", offset: offsets[77])) {
            try opened.verifyPages()
        }
    }

    @Test func `an image that shrinks while it is open is damaged, not a crash`() throws {
        let bytes = ImageBuilder.small().image
        let file = try TestPath(bytes)
        let image = try Image.open(file.path)
        try file.write(Array(bytes[..<5000]))
        #expect(throws: ImageError.self) { try image.verifyPages() }
    }

    /// Notes and program headers changed at random, with good checksums: only the checks behind them are left.
    @Test(.timeLimit(.minutes(15))) func `random changes with good checksums never crash a reader`() throws {
        let good = ImageBuilder.small().image
        let ident = try open(good).ident
        let headers = Int(ident.programHeadersOffset), notes = Int(ident.notesOffset)
        let limit = isLongRun ? 100_000 : 2_000
        var random = Seeded(state: 3)
        let interesting: [UInt64] = [0, 1, 0xff, 0xffff, 0xffff_ffff, 0x8000_0000, .max, 1 << 63, 1 << 47, (1 << 47) - 4096, 0x50_0000, 4096]
        let file = try TestPath(good)
        var accepted = 0, count = 0
        while count < limit {
            count += 1
            var bad = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let offset = Int.random(in: headers..<bad.count - 8, using: &random) & (Bool.random(using: &random) ? ~3 : ~0)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bad[offset] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &random)
                case 1: bad.put(UInt32(truncatingIfNeeded: interesting.randomElement(using: &random) ?? 0), at: offset)
                default: bad.put(interesting.randomElement(using: &random) ?? 0, at: offset)
                }
            }
            ImageBuilder.seal(&bad, headersOffset: headers, notesOffset: notes)
            try file.write(bad)
            do throws(ImageError) {
                let image = try Image.open(file.path)
                accepted += 1
                for mapping in image.mappings { _ = image.runs(in: mapping).count }
                for index in image.blobs.indices { _ = try? image.readBlob(index) }
                _ = Judgement.judge(image, host: HostFacts.current())
                try image.verifyPages()
            } catch {
                #expect(!error.line.contains("\n"))
            }
            _ = try? Survey.parse(Array(bad[(notes + 124)...]))
        }
        #expect(accepted > 0 && accepted < limit)
    }
}

extension ImageBuilder {
    /// Everything in the order of addresses, for mappings that were added late.
    mutating func sort(runsFrom first: Int) {
        mappings.sort { $0.start < $1.start }
        runs.sort { $0.address < $1.address }
        headers.sort { $0.address < $1.address }
    }
}
