// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointCompression
import CheckpointImage
import Testing

@Suite struct CompressionTests {
    static let codecs = ["none", "lz4", "zstd:1", "zstd:3", "zstd:19"].compactMap { Codec(parsing: $0) }

    @Test(arguments: codecs, [4096, 3 * 4096, 1 << 20]) func `a compressed image is the same image`(codec: Codec, chunkByteCount: Int) throws {
        let plain = try open(ImageBuilder.small().image)
        let image = try open(CompressedImage(codec, chunkByteCount: chunkByteCount).bytes)
        #expect(image.isCompressed && !plain.isCompressed && plain.chunks.isEmpty)
        #expect(image.runs == plain.runs && image.mappings == plain.mappings && image.blobs == plain.blobs && image.threads == plain.threads)
        #expect(image.segments.allSatisfy { $0.fileByteCount == 0 } && image.segments.map { $0.memoryByteCount } == plain.segments.map { $0.memoryByteCount })
        try image.verifyPages()
        #expect(try image.readBlob(0) == plain.readBlob(0))
        var reader = ContentReader(image), other = ContentReader(plain)
        for run in image.runs where run.kind == .here {
            #expect(try content(&reader, run.fileOffset, run.byteCount) == content(&other, run.fileOffset, run.byteCount))
        }
        if codec.compression != .none { #expect(image.storedByteCount ?? .max < 60000 && image.chunks.contains { $0.compression == codec.compression }) }
    }

    private func content(_ reader: inout ContentReader, _ offset: UInt64, _ byteCount: UInt64) throws(ImageError) -> [UInt8] {
        var bytes: [UInt8] = []
        try reader.read(byteCount, at: offset, what: "test") { piece throws(ImageError) in
            for index in piece.indices { bytes.append(piece[index]) }
        }
        return bytes
    }

    @Test(arguments: codecs) func `an image that is there can be compressed, and folded to what it was`(codec: Codec) throws {
        let plain = try open(ImageBuilder.small().image)
        let file = try TestPath([]), output = try opened(file)
        #expect(try CompressedOutput(descriptor: output.rawValue, codec: codec).write(plain, threads: 2) > 4096)
        try output.close()
        let chain = try ImageChain.open(file.path, decompressor: SystemDecompressor())
        try chain.verifyPages()
        #expect(chain.newest.isCompressed && chain.newest.runs == plain.runs && chain.newest.ident.identifier == plain.ident.identifier)
        let folded = TestPath()
        let whole = try OutputFile(for: folded.path, identifier: 1)
        try Fold.write(chain, to: whole)
        try whole.commit()
        let again = try Image.open(folded.path)
        try again.verifyPages()
        #expect(!again.isCompressed && again.chunks.isEmpty)
        #expect(again.runs.map { $0.crc } == plain.runs.map { $0.crc })
        #expect(try again.readBlob(0) == plain.readBlob(0))
    }

    @Test func `names of compressions are read exactly`() {
        #expect(Codec(parsing: "zstd") == Codec(.zstd, level: 3) && Codec(parsing: "zstd:22") == Codec(.zstd, level: 22))
        for wrong in ["", "gzip", "lz4:1", "none:", "zstd:", "zstd:0", "zstd:23", "zstd:3:1", "ZSTD", " lz4"] { #expect(Codec(parsing: wrong) == nil, "\(wrong)") }
    }

    @Test func `bytes that do not get smaller are stored as they are`() throws {
        var builder = ImageBuilder.small()
        var random = Seeded(state: 7)
        let place = Int(builder.runs[0].file_offset) - 4096
        for index in 0..<8192 { builder.data[place + index] = UInt8.random(in: 0...255, using: &random) }
        builder.runs[0].crc = Array(builder.data[place..<place + 8192]).span.crc32c()
        let image = try open(CompressedImage(Codec(.zstd), of: builder, chunkByteCount: 4096).bytes)
        #expect(image.chunks[0].compression == .none && image.chunks[0].storedByteCount == 4096)
        #expect(image.chunks.contains { $0.compression == .zstd })
        try image.verifyPages()
    }

    @Test func `a program that can not decompress says so`() throws {
        let file = try TestPath(CompressedImage(Codec(.lz4)).bytes)
        let image = try Image.open(file.path)
        #expect(throws: ImageError.unsupported(what: "the image is compressed, which this program can not read")) { try image.verifyPages() }
        #expect(throws: ImageError.unsupported(what: "the image is compressed, which this program can not read")) { _ = try image.readBlob(0) }
    }

    /// The bytes that a reader uses: all others are padding.
    private func isRead(_ offset: Int, in image: Image) -> Bool {
        let offset = UInt64(offset)
        return offset < 64 || image.chunks.contains { $0.fileOffset <= offset && offset < $0.fileOffset + UInt64($0.storedByteCount) }
            || offset >= image.ident.notesOffset && offset < image.ident.programHeadersOffset + 56 * UInt64(image.ident.programHeaderCount)
    }

    @Test(arguments: codecs) func `every one of 200 flips in a compressed image is refused as damage, or nothing reads that byte`(codec: Codec) throws {
        let good = try CompressedImage(codec).bytes
        let image = try open(good)
        var random = Seeded(state: 11)
        var refused = 0
        for _ in 0..<200 {
            let offset = Int.random(in: 0..<good.count, using: &random)
            var bad = good
            bad[offset] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            let error = try failure(bad)
            if let error {
                refused += 1
                #expect(error.restartClass == .damaged, "byte \(offset): \(error.line)")
            }
            // Up to three bytes between the notes and the headers are padding too.
            if offset + 8 < Int(image.ident.programHeadersOffset) || offset >= Int(image.ident.programHeadersOffset) {
                #expect((error != nil) == isRead(offset, in: image), "byte \(offset): \(error?.line ?? "accepted")")
            }
        }
        #expect(refused > 50)
    }

    @Test(arguments: [Codec(.lz4), Codec(.zstd)]) func `stored bytes that stand for something else never crash a reader`(codec: Codec) throws {
        let good = try CompressedImage(codec)
        var random = Seeded(state: 12)
        for _ in 0..<500 {
            let chunk = Int.random(in: 0..<good.chunks.count, using: &random)
            let offset = Int.random(in: 0..<Int(good.chunks[chunk].storedByteCount), using: &random)
            let error = try failure(good.with(storedByte: offset, of: chunk, as: UInt8.random(in: 0...255, using: &random)))
            #expect(error == nil || error?.restartClass == .damaged, "\(error?.line ?? "")")
        }
    }

    @Test func `random chunks with good checksums never crash a reader`() throws {
        let good = try CompressedImage(Codec(.zstd))
        let interesting: [UInt64] = [0, 1, 4095, 4096, 0xffff_ffff, 1 << 20, 1 << 62, .max, .max - 4095]
        var random = Seeded(state: 13), accepted = 0
        for _ in 0..<2000 {
            let error = try failure(good.with { chunks in
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    let index = Int.random(in: 0..<chunks.count, using: &random)
                    let value = Bool.random(using: &random) ? interesting.randomElement(using: &random) ?? 0 : UInt64.random(in: 0..<70000, using: &random)
                    switch Int.random(in: 0..<6, using: &random) {
                    case 0: chunks[index].imageOffset = value
                    case 1: chunks[index].fileOffset = value
                    case 2: chunks[index].byteCount = UInt32(truncatingIfNeeded: value)
                    case 3: chunks[index].storedByteCount = UInt32(truncatingIfNeeded: value)
                    case 4: chunks[index].compression = Compression.allCases.randomElement(using: &random) ?? .none
                    default: chunks[index].crc = UInt32(truncatingIfNeeded: value)
                    }
                }
            })
            if error == nil { accepted += 1 }
            #expect(error == nil || error?.restartClass == .damaged, "\(error?.line ?? "")")
        }
        #expect(accepted < 1000)
    }

    struct Contradiction: CustomTestStringConvertible, Sendable {
        let words: String
        let edit: @Sendable (inout [Chunk]) -> Void
        var testDescription: String { words }
        init(_ words: String, _ edit: @escaping @Sendable (inout [Chunk]) -> Void) { (self.words, self.edit) = (words, edit) }
    }

    static let contradictions: [Contradiction] = [
        Contradiction("has 0 bytes") { $0[1].byteCount = 0 },
        Contradiction("has 1048577 bytes") { $0[$0.count - 1].byteCount = (1 << 20) + 1 },
        Contradiction("overlaps the one before") { $0.swapAt(0, 1) },
        Contradiction("overlaps the one before") { $0[1].imageOffset -= 1 },
        Contradiction("overlaps the one before") { $0[0].imageOffset = 0 },
        Contradiction("overlaps the one before") { $0[$0.count - 1].imageOffset = .max },
        Contradiction("is stored in 0 bytes") { $0[1].storedByteCount = 0 },
        Contradiction("is stored in 12288 bytes") { $0[1].storedByteCount = 12288 },
        Contradiction("is stored in") { $0[1].compression = .none },
        Contradiction("leaves the file") { $0[1].fileOffset = 0 },
        Contradiction("leaves the file") { $0[1].fileOffset = .max - 100 },
        Contradiction("leaves the file") { $0[1].fileOffset = 1 << 40 },
        Contradiction("shares bytes of the file with another") { $0[1].fileOffset = $0[0].fileOffset },
        Contradiction("leaves the file") { $0.remove(at: 1) },
        Contradiction("leaves the file") { $0.removeAll() },
        Contradiction("can not be decompressed") { $0[1].compression = .lz4 },
        Contradiction("can not be decompressed") { $0[1].byteCount -= 1; $0[1].imageOffset += 1; $0[0].byteCount += 1 },
        Contradiction("the checksum of a chunk is wrong") { $0[1].crc ^= 1 },
    ]

    @Test(arguments: contradictions) func `chunks that contradict the image are refused`(contradiction: Contradiction) throws {
        let error = try failure(CompressedImage(Codec(.zstd)).with(contradiction.edit))
        #expect(error?.what.contains(contradiction.words) == true && error?.restartClass == .damaged, "\(error?.line ?? "accepted")")
    }

    @Test func `chunks in an image that is not compressed are refused`() throws {
        var image = try CompressedImage(Codec(.zstd)).bytes
        let ident = try open(image).ident
        image[Int(ident.notesOffset) + 24] = 0
        ImageBuilder.sealIdent(&image, notesOffset: Int(ident.notesOffset))
        #expect(try failure(image)?.what == "chunks in an image that is not compressed")
    }

    @Test func `bytes that come twice make no image`() throws {
        struct Twice: ChunkSource {
            var count = 0
            mutating func next(into buffer: inout [UInt8]) throws(CompressionFailure) -> (imageOffset: UInt64, byteCount: Int)? {
                count += 1
                return count <= 2 ? (4096 * UInt64(count), 8192) : nil
            }
        }
        let file = try TestPath([])
        let output = try opened(file)
        #expect(throws: CompressionFailure.input("the bytes at 8192 came twice")) {
            _ = try CompressedOutput(descriptor: output.rawValue, codec: Codec(.lz4)).write(Twice(), threads: 2)
        }
        try output.close()
    }
}
