// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// One mapping of the program, put together at another place until the restorer moves it where it belongs.
struct PlaceHolder {
    enum Source: Equatable {
        /// Mapped from this image of the chain, from this offset on: nobody writes it.
        case view(image: Int, fileOffset: UInt64)
        /// Memory of its own, with the content that the image has.
        case memory
        /// The engine's mark: a memfd with a name.
        case beacon
        /// What this object of shared memory holds, until it is shown where the program has it.
        case content(Int)
        /// A mapping of this object.
        case object(Int)
    }
    let mapping: Mapping
    let staged: AddressRange
    let source: Source
    /// Its content is loaded while the program runs (`Loading`).
    var waits = false

    /// Where an address of the program is now. Of no meaning outside the mapping: an older image's run may begin before it.
    func place(of address: UInt64) -> UInt64 { staged.start &+ (address &- mapping.start) }

    /// Taken away before the restorer.
    var isContent: Bool { if case .content = source { true } else { false } }
    private var isObject: Bool { if case .object = source { true } else { false } }
    /// Until it has its final protection; a mapping of an object has that from the beginning.
    var isReadable: Bool { !isContent && !(isObject && mapping.protection.isEmpty) }
    var isWritable: Bool { source == .memory || isObject && mapping.protection.contains(.write) }
}

/// The memory of the program while it is put together.
struct ProgramMemory {
    let chain: ImageChain
    /// Ascending by their final addresses.
    private(set) var holders: [PlaceHolder] = []
    /// Mappings without content that are too big for a place-holder: made by the restorer where they belong.
    private(set) var direct: [Mapping] = []
    private(set) var stagingEnd: UInt64
    /// What is to be written where the content is loaded later.
    let late = LateWrites()
    let shared: SharedObjects

    /// An empty mapping above this size is made in its place by the restorer: no hole would be big enough for some.
    static let directByteCount: UInt64 = 64 << 30

    /// Decides where each mapping is put together, from `staging` on. Maps nothing yet.
    /// `waits`: whether the content of a mapping is loaded later.
    init(chain: ImageChain, shared: SharedObjects, staging: UInt64, waits: (Mapping) -> Bool) {
        self.chain = chain
        self.shared = shared
        stagingEnd = staging
        for mapping in chain.newest.mappings where ProgramMemory.isRestored(mapping) {
            let source = ProgramMemory.source(of: mapping, in: chain)
            if source == .memory && mapping.byteCount > ProgramMemory.directByteCount && chain.pieces(in: mapping).isEmpty {
                direct.append(mapping)
                continue
            }
            let start = ProgramMemory.placeAfter(stagingEnd, for: mapping)
            holders.append(PlaceHolder(
                mapping: mapping, staged: AddressRange(start: start, end: start + mapping.byteCount), source: source,
                waits: source == .memory && waits(mapping)))
            stagingEnd = start + mapping.byteCount
        }
    }

    /// Upper limit of what `init` uses.
    static func stagingByteCount(of image: Image) -> UInt64 {
        image.mappings.reduce(1 << 20) {
            $0 + ($1.kind == .object || $1.object != nil ? $1.byteCount : min($1.byteCount, directByteCount)) + 2 * Memory.hugeByteCount
        }
    }

    static func isRestored(_ mapping: Mapping) -> Bool {
        guard mapping.end <= Memory.end || mapping.kind == .object else { return false }
        return switch mapping.kind {
        case .vdso, .vvar, .other: false
        default: true
        }
    }

    /// Kernel: mremap moves whole page tables when source and target are at the same offset within 2 MiB. One page stays
    /// free between place-holders, so that they do not become one mapping.
    private static func placeAfter(_ end: UInt64, for mapping: Mapping) -> UInt64 {
        let free = end + Memory.pageByteCount
        guard mapping.byteCount >= Memory.hugeByteCount else { return free }
        let offset = mapping.start % Memory.hugeByteCount
        let start = free - free % Memory.hugeByteCount + offset
        return start >= free ? start : start + Memory.hugeByteCount
    }

    /// A view is all or nothing: what one file of the chain has there, whole runs, and nothing that is not the program's any more.
    private static func source(of mapping: Mapping, in chain: ImageChain) -> PlaceHolder.Source {
        if mapping.kind == .beacon { return .beacon }
        if mapping.kind == .object { return chain.newest.shared.firstIndex { $0.address == mapping.start }.map { .content($0) } ?? .memory }
        if let object = mapping.object { return .object(object) }
        guard mapping.kind == .file, !mapping.protection.contains(.write) else { return .memory }
        let here = chain.pieces(in: mapping).filter(\.isHere)
        guard let first = here.first else { return .memory }
        let image = chain.images[Int(first.image)]
        let distance = chain.fileOffset(of: first) &- first.address
        let isContiguous = here.allSatisfy { $0.image == first.image && chain.fileOffset(of: $0) &- $0.address == distance }
        let isCovered = image.segments.contains {
            $0.address <= mapping.start && $0.address + $0.fileByteCount >= mapping.end && $0.fileOffset &- $0.address == distance
        }
        guard isContiguous, isCovered else { return .memory }
        let runs = image.runs[image.runs.firstIndex(endingAbove: mapping.start)..<image.runs.firstIndex(from: mapping.end)].filter { $0.kind == .here }
        let isWhole = runs.allSatisfy { $0.address >= mapping.start && $0.end <= mapping.end }
        guard isWhole, runs.reduce(0, { $0 + $1.byteCount }) == here.reduce(0, { $0 + $1.byteCount }) else { return .memory }
        return .view(image: Int(first.image), fileOffset: mapping.start &+ distance)
    }

    // MARK: - What is in it

    /// The place-holder that has this address of the program.
    func holder(of address: UInt64) -> PlaceHolder? {
        var low = 0, high = holders.count
        while low < high {
            let middle = low + (high - low) / 2
            if holders[middle].mapping.end <= address { low = middle + 1 } else { high = middle }
        }
        guard low < holders.count, holders[low].mapping.start <= address else { return nil }
        return holders[low]
    }

    /// Reads the program's memory; nil when some of it is nowhere.
    func bytes(at address: UInt64, count: Int) -> [UInt8]? {
        var content: [UInt8] = []
        while content.count < count {
            let next = address + UInt64(content.count)
            guard let holder = holder(of: next), holder.isReadable else { return nil }
            let part = Int(min(UInt64(count - content.count), holder.mapping.end - next))
            guard let bytes = holder.waits ? ImageMemory(chain).read(next, byteCount: part) : Kernel.bytes(at: holder.place(of: next), count: part)
            else { return nil }
            content.append(contentsOf: bytes)
        }
        return content
    }

    /// Writes the program's memory, before it has its final protection. False when some of it is nowhere, or not the program's own.
    func write(_ bytes: [UInt8], at address: UInt64) -> Bool {
        var done = 0
        while done < bytes.count {
            let next = address + UInt64(done)
            guard let holder = holder(of: next), holder.isWritable else { return false }
            let part = min(bytes.count - done, Int(holder.mapping.end - next)), written = Array(bytes[done..<(done + part)])
            if holder.waits { late.add(written, at: next) } else { Kernel.write(written, at: holder.place(of: next)) }
            done += part
        }
        return true
    }

    // MARK: - For the restorer

    /// Of everything but what is loaded later.
    func moves() -> [Operation] {
        holders.filter { !$0.waits && !$0.isContent }.map { .move(CKPT_RESTART_STEP_MOVE, from: $0.staged, to: $0.mapping.start) }
            + direct.map {
                Operation(CKPT_RESTART_STEP_MAP, .mmap,
                    [$0.start, $0.byteCount, UInt64($0.protection.rawValue),
                     ProgramMemory.flags(of: $0) | Memory.noReserve | Memory.fixedNoReplace, UInt64.max, 0],
                    check: .equal, expected: $0.start)
            }
            + direct.flatMap { mapping in
                guardPages(in: mapping).map { Operation(CKPT_RESTART_STEP_MAP, .madvise, [$0.start, $0.byteCount, Advice.installGuard.rawValue]) }
            }
    }

    /// Sealed mappings (mseal): the last of all that is done to memory.
    func seals() -> [Operation] {
        chain.newest.mappings.filter { $0.flags.contains(.sealed) && ProgramMemory.isRestored($0) }.map {
            Operation(CKPT_RESTART_STEP_SEAL, .mseal, [$0.start, $0.byteCount, 0])
        }
    }

    /// The parts of a mapping that the program has made guard pages.
    func guardPages(in mapping: Mapping) -> [AddressRange] {
        guard mapping.kind != .arena, mapping.kind != .beacon else { return [] }
        let guards = chain.newest.guards
        var low = 0, high = guards.count
        while low < high {
            let middle = low + (high - low) / 2
            if guards[middle].end <= mapping.start { low = middle + 1 } else { high = middle }
        }
        return guards[low...].prefix { $0.start < mapping.end }.map { AddressRange(start: max($0.start, mapping.start), end: min($0.end, mapping.end)) }
    }

    static func flags(of mapping: Mapping) -> UInt64 {
        var flags = Memory.anonymous | (mapping.kind == .sharedAnonymous ? Memory.shared : Memory.isPrivate)
        if mapping.flags.contains(.droppable) { flags = Memory.anonymous | Memory.droppable }
        if mapping.flags.contains(.growsDown) || mapping.kind == .stack { flags |= Memory.growsDown }
        if mapping.kind == .arena || (mapping.protection.isEmpty && mapping.kind != .sharedAnonymous) { flags |= Memory.noReserve }
        return flags
    }
}

/// Writes to memory that is not there before the restorer.
final class LateWrites {
    private(set) var operations: [Operation] = []

    func add(_ bytes: [UInt8], at address: UInt64) {
        // Whole words; the program's own structures are aligned to 4.
        var done = 0
        while done < bytes.count {
            let count = bytes.count - done >= 8 ? 8 : 4
            operations.append(.poke(count == 8 ? bytes.word64(at: done) : UInt64(bytes.word32(at: done)), byteCount: count, at: address + UInt64(done)))
            done += count
        }
    }
}
