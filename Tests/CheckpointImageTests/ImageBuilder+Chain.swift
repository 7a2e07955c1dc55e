// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

extension ImageBuilder {
    /// An increment in which every page is as in this image.
    func child(_ identifier: UInt64) -> ImageBuilder {
        var b = self
        b.ident.parent = ident.identifier
        b.ident.depth = ident.depth + 1
        b.ident.identifier = identifier
        b.ident.sequence += 1
        let content = Array("content of a pipe".utf8)
        b.data = content + [UInt8](repeating: 0, count: 4096 - content.count)
        b.blobs[0].file_offset = 4096
        b.headers = []
        b.runs = runs.map { ckpt_run(address: $0.address, file_offset: 0, page_count: $0.page_count, kind: 3, crc: 0, reserved: 0) }
        return b
    }

    /// What is in no run.
    mutating func clear(_ address: UInt64, pages: UInt64) {
        let end = address + pages * 4096
        runs = runs.flatMap { run -> [ckpt_run] in
            let runEnd = run.address + UInt64(run.page_count) * 4096
            if runEnd <= address || run.address >= end { return [run] }
            precondition(run.kind != 1, "a run that is here is not cut")
            var parts: [ckpt_run] = []
            for (from, to) in [(run.address, address), (end, runEnd)] where from < to {
                parts.append(ckpt_run(address: from, file_offset: 0, page_count: UInt32((to - from) / 4096), kind: run.kind, crc: 0, reserved: 0))
            }
            return parts
        }
    }

    mutating func setZero(_ address: UInt64, pages: UInt64) {
        clear(address, pages: pages)
        runs.append(ckpt_run(address: address, file_offset: 0, page_count: UInt32(pages), kind: 2, crc: 0, reserved: 0))
        runs.sort { $0.address < $1.address }
    }

    /// Pages that this image holds itself; a program header for them.
    mutating func set(_ address: UInt64, pages: Int, seed: UInt8) {
        clear(address, pages: UInt64(pages))
        let offset = addPages(at: address, count: pages, seed: seed)
        runs.sort { $0.address < $1.address }
        headers.append(Header(address: address, memory: UInt64(pages) * 4096, offset: offset, file: UInt64(pages) * 4096))
        headers.sort { $0.address < $1.address }
    }
}

/// Images of a chain in a directory of their own: app.img, and the others in app.img.d.
final class TestChain {
    let folder: TestFolder
    init(_ images: [ImageBuilder]) throws {
        folder = TestFolder()
        for image in images.dropLast() { try folder.write(image.image, as: "app.img.d/" + Identity.name(of: image.ident.identifier)) }
        if let newest = images.last { try folder.write(newest.image, as: "app.img") }
    }
    var path: FilePath { folder.path("app.img") }
    func path(of image: ImageBuilder) -> FilePath { folder.path("app.img.d/" + Identity.name(of: image.ident.identifier)) }
    func open() throws -> ImageChain { try ImageChain.open(path) }

    /// The failure of opening and verifying; nil: all is good.
    func failure() throws -> ImageError? {
        do {
            try open().verifyPages()
            return nil
        } catch let error as ImageError { return error }
    }
}

extension ImageChain {
    /// The page at an address of the newest image, as a restart would have it.
    func page(_ address: UInt64) throws -> [UInt8] {
        guard var piece = pieces.holding(address), piece.isHere else { return [UInt8](repeating: 0, count: 4096) }
        piece.address = address
        piece.pageCount = 1
        var reader = PageReader(self)
        return Array(try reader.read(piece))
    }
}
