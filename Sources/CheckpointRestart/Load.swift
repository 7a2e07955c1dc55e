// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Reads pages into their place-holders, in parallel, and checks every one against its checksum.
///
/// A run of an older image may be only partly the program's still. When all its pages have content anyway, it is read whole
/// into its place, before what newer images have there; otherwise it is read elsewhere, and what is still good is copied:
/// so no page gets content that must be taken away again.
struct Load {
    private let chain: ImageChain
    private var units: [LoadUnit] = []
    private(set) var parts: [LoadUnit.Part] = []
    private typealias Wanted = (piece: Int, holder: Int)
    /// Pieces that are to be read, of each image, ascending, with their place-holders.
    private var wanted: [[Wanted]]
    private var holders: [PlaceHolder] = []
    /// 2 MiB blocks that become huge pages, in the place-holders; ascending.
    private var dense: [AddressRange] = []
    /// Mappings that get huge pages, once what must not become one is read.
    private var huge: [AddressRange] = []
    private let usesHugePages: Bool

    init(chain: ImageChain) {
        self.chain = chain
        wanted = Array(repeating: [], count: chain.images.count)
        units.reserveCapacity(chain.pieces.count)
        // With [always] no advice is needed, with [never] it is useless. Without /sys it does no harm.
        let setting = Kernel.file("/sys/kernel/mm/transparent_hugepage/enabled").map { String(decoding: $0, as: UTF8.self) }
        usesHugePages = setting?.contains("[madvise]") ?? true
    }

    /// The content of memory of its own. Place-holders come in ascending order.
    mutating func read(_ holder: PlaceHolder) {
        let pieces = chain.pieces(in: holder.mapping)
        for index in pieces.indices where pieces[index].isHere { wanted[Int(pieces[index].image)].append((index, holders.count)) }
        holders.append(holder)
        let blocks = denseBlocks(of: holder, pieces)
        dense += blocks
        if !blocks.isEmpty { huge.append(holder.staged) }
    }

    /// What is mapped from an image: its runs, and that its holes are holes.
    mutating func check(_ holder: PlaceHolder, in image: Int) {
        var next = holder.mapping.start
        func hole(_ end: UInt64) -> LoadUnit {
            LoadUnit(work: .zero, image: image, staged: holder.place(of: next), address: next, fileOffset: 0, byteCount: end - next, crc: 0)
        }
        for run in chain.images[image].runs(in: holder.mapping) where run.kind == .here {
            if next < run.address { units.append(hole(run.address)) }
            units.append(LoadUnit(
                work: .check, image: image, staged: holder.place(of: run.address), address: run.address, fileOffset: run.fileOffset,
                byteCount: run.byteCount, crc: run.crc))
            next = run.end
        }
        if next < holder.mapping.end { units.append(hole(holder.mapping.end)) }
    }

    /// One unit for each run of which something is wanted.
    private mutating func makeUnits(of image: Int) {
        let list = wanted[image]
        var first = 0
        while first < list.count {
            let number = chain.pieces[list[first].piece].run
            var end = first + 1
            while end < list.count, chain.pieces[list[end].piece].run == number { end += 1 }
            units.append(unit(of: chain.images[image].runs[Int(number)], image, list[first..<end]))
            first = end
        }
    }

    private mutating func unit(of run: PageRun, _ image: Int, _ list: ArraySlice<Wanted>) -> LoadUnit {
        let holder = holders[list[list.startIndex].holder]
        let staged = AddressRange(start: holder.place(of: run.address), end: holder.place(of: run.address) + run.byteCount)
        var unit = LoadUnit(
            work: .read, image: image, staged: staged.start, address: run.address, fileOffset: run.fileOffset, byteCount: run.byteCount, crc: run.crc)
        if holder.mapping.start <= run.address, run.end <= holder.mapping.end {
            let blocks = denseByteCount(in: staged)
            unit.isDense = blocks > 0
            if list.reduce(0, { $0 + chain.pieces[$1.piece].byteCount }) == run.byteCount { return unit }
            // Order: sparse units come first, so a whole run that newer ones overwrite is either dense or not.
            if blocks == 0 || blocks == run.byteCount, hasContentEverywhere(run, from: list[list.startIndex].piece) {
                unit.isPartlyOld = true
                return unit
            }
        }
        let start = parts.count
        for (index, holder) in list {
            let piece = chain.pieces[index]
            let place = holders[holder].place(of: piece.address)
            parts.append(LoadUnit.Part(offset: piece.address - run.address, staged: place, byteCount: piece.byteCount))
            unit.isDense = unit.isDense || denseByteCount(in: AddressRange(start: place, end: place + piece.byteCount)) > 0
        }
        unit.work = .copy(start..<parts.count)
        return unit
    }

    /// Whether each page of the run is here in some image; `piece`: one that is in it.
    private func hasContentEverywhere(_ run: PageRun, from piece: Int) -> Bool {
        var first = piece
        while first > 0, chain.pieces[first].address > run.address { first -= 1 }
        var next = run.address
        for piece in chain.pieces[first...] {
            guard piece.isHere, piece.address <= next else { return false }
            next = piece.end
            if next >= run.end { return true }
        }
        return false
    }

    private func denseByteCount(in range: AddressRange) -> UInt64 {
        var low = 0, high = dense.count
        while low < high {
            let middle = low + (high - low) / 2
            if dense[middle].end <= range.start { low = middle + 1 } else { high = middle }
        }
        var byteCount: UInt64 = 0
        while low < dense.count, dense[low].start < range.end {
            byteCount += min(range.end, dense[low].end) - max(range.start, dense[low].start)
            low += 1
        }
        return byteCount
    }

    /// Stretches of whole 2 MiB blocks of which nearly every page has content; none unless they make up most of the mapping,
    /// because the advice is for the whole of it: a mapping that is cut in two is one that the program can not mremap.
    private func denseBlocks(of holder: PlaceHolder, _ pieces: ArraySlice<PagePiece>) -> [AddressRange] {
        let size = Memory.hugeByteCount
        guard usesHugePages, holder.mapping.byteCount >= size, !holder.isContent,
            !holder.mapping.flags.contains(.noHuge)
        else { return [] }
        var blocks: [AddressRange] = []
        var denseByteCount: UInt64 = 0
        var current: UInt64 = 0, filled: UInt64 = 0
        func finish() {
            guard filled >= size - size / 32, current >= holder.mapping.start, current + size <= holder.mapping.end else { return }
            let start = holder.place(of: current)
            denseByteCount += size
            if blocks.last?.end == start { blocks[blocks.count - 1].end = start + size } else {
                blocks.append(AddressRange(start: start, end: start + size))
            }
        }
        for piece in pieces where piece.isHere {
            var address = piece.address
            while address < piece.end {
                let block = address - address % size
                if block != current { finish(); (current, filled) = (block, 0) }
                let part = min(piece.end, block + size) - address
                filled += part
                address += part
            }
        }
        finish()
        return denseByteCount >= holder.mapping.byteCount / 4 * 3 ? blocks : []
    }

    /// Units that may be read at once, behind those of the stages before.
    struct Stage {
        /// Mappings that get huge pages first.
        var advice: [AddressRange] = []
        var units: [LoadUnit]
    }

    /// Order: what is sparse before the advice, because the first touch after it fills 2 MiB; in each part whole runs that are
    /// partly old first, those of the oldest image before all, and then the rest, of which no two units write the same page.
    mutating func stages() -> [Stage] {
        for image in wanted.indices.reversed() { makeUnits(of: image) }
        var stages: [Stage] = []
        for isDense in [false, true] {
            if isDense { stages.append(Stage(advice: huge, units: [])) }
            let part = units.filter { $0.isDense == isDense }
            let old = part.filter(\.isPartlyOld)
            for image in chain.images.indices.reversed() where !old.isEmpty { stages.append(Stage(units: old.filter { $0.image == image })) }
            // In the order of the files: an increment has its pages one behind the other there.
            stages.append(Stage(units: part.filter { !$0.isPartlyOld }.sorted { ($1.image, $0.fileOffset) < ($0.image, $1.fileOffset) }))
        }
        return stages
    }

    mutating func run() throws(RestartFailure) {
        for stage in stages() {
            for range in stage.advice { try? Kernel.advise(range, .huge) }
            try perform(stage.units)
        }
    }

    private func perform(_ units: [LoadUnit]) throws(RestartFailure) {
        if units.isEmpty { return }
        let byteCount = units.reduce(0) { $0 + $1.byteCount }
        let job = LoadJob(units: units, parts: parts, chain: chain)
        job.run(helpers: byteCount < 4 << 20 ? 0 : min(7, max(2, Kernel.processorCount()) - 1))
        guard let failed = job.failedUnit else { return }
        // Once more, alone, to learn why. A failure that does not come again is one of the disk.
        do throws(LoadUnit.Failure) {
            var bounce: [UInt8] = []
            var content = ChainContent(chain)
            try units[failed].perform(&content, parts, &bounce)
            throw LoadUnit.Failure.io(.ioError)
        } catch { throw failure(error, units[failed]) }
    }

    private func failure(_ failure: LoadUnit.Failure, _ unit: LoadUnit) -> RestartFailure {
        let place = unit.address.hex
        let error: ImageError = switch failure {
        case .checksum: .damaged(what: "the pages at \(place) do not match their checksum", offset: unit.fileOffset)
        case .notZero: .damaged(what: "there are bytes in the hole at \(place)", offset: nil)
        case .io(.outOfRange): .damaged(what: "the image ends before the pages at \(place)", offset: nil)
        case .chunk(let error): error
        case .io(let error): .io(what: "reading the pages at \(place)", errno: error)
        }
        return RestartFailure(chain.naming(unit.image, error))
    }
}
