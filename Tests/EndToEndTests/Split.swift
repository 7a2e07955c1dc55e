// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI

/// Makes an increment and its parent from a full image, so that together they are what the image was. The parent has other
/// bytes in every page that the increment holds itself, and pages that must not come back; the increment has other bytes
/// where it says that a page is in the parent. Whoever reads the wrong file has a program that does not work.
struct Split {
    private(set) var parent: [UInt8]
    private(set) var child: [UInt8]

    private typealias Run = (address: UInt64, offset: UInt64, pages: Int, kind: UInt32)
    private var random: SplitMix
    private static let pageSize = 4096

    /// Image of the chain from the full one on; `identifiers` of the parents, the oldest first.
    static func chain(_ image: [UInt8], parents identifiers: [UInt64], seed: UInt64) throws -> [[UInt8]] {
        var images: [[UInt8]] = []
        var whole = image
        for (index, identifier) in identifiers.enumerated().reversed() {
            let split = try Split(whole, parent: identifier, depth: UInt32(index + 1), seed: seed &+ UInt64(index))
            images.insert(split.child, at: 0)
            whole = split.parent
        }
        return [whole] + images
    }

    init(_ image: [UInt8], parent identifier: UInt64, depth: UInt32, seed: UInt64) throws {
        random = SplitMix(seed: seed)
        (parent, child) = (image, image)
        let forge = try Forge(image)
        var parentRuns: [Run] = [], childRuns: [Run] = []
        let runs = try forge.records(CKPT_NOTE_RUNS, ckpt_run.self).map { Run($0.address, $0.file_offset, Int($0.page_count), $0.kind) }
        let threads = try forge.records(CKPT_NOTE_THREADS, ckpt_thread.self)
        for mapping in try forge.records(CKPT_NOTE_MAPPINGS, ckpt_mapping.self) {
            let inside = runs.filter { $0.address >= mapping.start && $0.address < mapping.end }
            // Everything in the parent, everything here, or some of each.
            let mode = random.next(below: 4)
            // Nothing is added where no thread's frame may be, or where somebody else reads what is not the program's.
            let isPlain = mapping.kind == CKPT_MAPPING_ANONYMOUS.rawValue || mapping.kind == CKPT_MAPPING_HEAP.rawValue
            var next = mapping.start
            for run in inside {
                if isPlain, mode > 1 { parentRuns += ghosts(next ..< run.address, forge) }
                next = run.address + UInt64(run.pages * Self.pageSize)
                if run.kind == CKPT_RUN_ZERO.rawValue {
                    let ghosts = isPlain && mode > 1 ? ghosts(run.address ..< next, forge) : []
                    parentRuns += ghosts.isEmpty ? [run] : ghosts
                    childRuns.append(ghosts.isEmpty && mode % 2 == 0 ? (run.address, 0, run.pages, CKPT_RUN_PARENT.rawValue) : run)
                    continue
                }
                parentRuns.append(run)
                divide(run, mode, into: &childRuns, keeps: threads.contains { $0.ucontext >= run.address && $0.ucontext < next })
            }
        }
        parent = try finish(parent, parentRuns, identifier: identifier, parent: 0, depth: 0)
        child = try finish(child, childRuns, identifier: nil, parent: identifier, depth: depth)
    }

    /// Pages of one run, in the increment.
    private mutating func divide(_ run: Run, _ mode: UInt64, into runs: inout [Run], keeps: Bool) {
        var page = 0
        while page < run.pages {
            let isHere = mode == 0 ? false : mode == 1 || keeps ? true : random.next(below: 3) == 0
            let count = mode < 2 ? run.pages : min(run.pages - page, 1 + Int(random.next(below: 7)))
            let address = run.address + UInt64(page * Self.pageSize), offset = run.offset + UInt64(page * Self.pageSize)
            let bytes = Int(offset) ..< Int(offset) + count * Self.pageSize
            if isHere { spoil(\.parent, bytes) } else { spoil(\.child, bytes) }
            runs.append((address, isHere ? offset : 0, count, isHere ? CKPT_RUN_HERE.rawValue : CKPT_RUN_PARENT.rawValue))
            page += count
        }
    }

    /// Pages that the parent had and the increment has not: only inside a program header's part of the file.
    private mutating func ghosts(_ addresses: Range<UInt64>, _ forge: Forge) -> [Run] {
        guard addresses.count > 0, let segment = forge.segment(holding: addresses.lowerBound), segment.end >= addresses.upperBound else { return [] }
        let pages = min(Int(addresses.count) / Self.pageSize, 256)
        let offset = segment.offset + (addresses.lowerBound - segment.start)
        spoil(\.parent, Int(offset) ..< Int(offset) + pages * Self.pageSize)
        return [(addresses.lowerBound, offset, pages, CKPT_RUN_HERE.rawValue)]
    }

    private mutating func spoil(_ image: WritableKeyPath<Split, [UInt8]>, _ range: Range<Int>) {
        var word = random.next()
        var bytes: [UInt8] = []
        swap(&bytes, &self[keyPath: image])
        for index in range {
            bytes[index] ^= UInt8(truncatingIfNeeded: word) | 1
            word = word &* 6_364_136_223_846_793_005 &+ 1
        }
        swap(&bytes, &self[keyPath: image])
    }

    private func finish(_ bytes: [UInt8], _ runs: [Run], identifier: UInt64?, parent: UInt64, depth: UInt32) throws -> [UInt8] {
        var forge = try Forge(bytes)
        try forge.replaceRuns(runs.map { run in
            let isHere = run.kind == CKPT_RUN_HERE.rawValue
            let crc = isHere ? Forge.crc(bytes[Int(run.offset) ..< Int(run.offset) + run.pages * Self.pageSize]) : 0
            return ckpt_run(address: run.address, file_offset: run.offset, page_count: UInt32(run.pages), kind: run.kind, crc: crc, reserved: 0)
        })
        forge.setChain(identifier: identifier, parent: parent, depth: depth, later: UInt64(depth))
        return forge.bytes
    }
}
