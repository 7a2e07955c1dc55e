// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import Synchronization
import SystemPackage

/// A piece of work: one page run, or a piece of a hole.
struct LoadUnit: Sendable {
    enum Work: Sendable { case read, check, zero }
    var work: Work
    var staged: UInt64          // where it is now
    var address: UInt64         // where it will be
    var fileOffset: UInt64
    var byteCount: UInt64
    var crc: UInt32
    var isDense = false

    enum Failure: Error { case checksum, notZero, io(Errno) }

    func perform(_ descriptor: Int32) throws(Failure) {
        switch work {
        case .read:
            do throws(Errno) { try Kernel.read(descriptor, into: staged, byteCount: byteCount, offset: fileOffset) } catch {
                throw .io(error)
            }
            if Kernel.checksum(at: staged, byteCount: byteCount) != crc { throw .checksum }
        case .check:
            if Kernel.checksum(at: staged, byteCount: byteCount) != crc { throw .checksum }
        case .zero:
            if !Kernel.isZero(at: staged, byteCount: byteCount) { throw .notZero }
        }
    }
}

/// Reads pages into their place-holders, in parallel, and checks every one against its checksum.
struct Load {
    let image: Image
    let descriptor: Int32
    private var units: [LoadUnit] = []
    /// Mappings that get huge pages, once what must not become one is read.
    private var huge: [AddressRange] = []
    private let usesHugePages: Bool

    init(image: Image, descriptor: Int32) {
        self.image = image
        self.descriptor = descriptor
        units.reserveCapacity(image.runs.count)
        // With [always] no advice is needed, with [never] it is useless. Without /sys it does no harm.
        let setting = Kernel.file("/sys/kernel/mm/transparent_hugepage/enabled").map { String(decoding: $0, as: UTF8.self) }
        usesHugePages = setting?.contains("[madvise]") ?? true
    }

    /// The content of memory of its own.
    mutating func read(_ holder: PlaceHolder) {
        let runs = image.runs(in: holder.mapping)
        let dense = denseBlocks(of: holder, runs)
        for run in runs where run.kind == .here {
            let staged = holder.place(of: run.address)
            units.append(LoadUnit(
                work: .read, staged: staged, address: run.address, fileOffset: run.fileOffset, byteCount: run.byteCount, crc: run.crc,
                isDense: dense.contains { $0.overlaps(AddressRange(start: staged, end: staged + run.byteCount)) }))
        }
        if !dense.isEmpty { huge.append(holder.staged) }
    }

    /// What is mapped from the image: its runs, and that its holes are holes.
    mutating func check(_ holder: PlaceHolder) {
        var next = holder.mapping.start
        func hole(_ end: UInt64) -> LoadUnit {
            LoadUnit(work: .zero, staged: holder.place(of: next), address: next, fileOffset: 0, byteCount: end - next, crc: 0)
        }
        for run in image.runs(in: holder.mapping) where run.kind == .here {
            if next < run.address { units.append(hole(run.address)) }
            units.append(LoadUnit(
                work: .check, staged: holder.place(of: run.address), address: run.address, fileOffset: run.fileOffset,
                byteCount: run.byteCount, crc: run.crc))
            next = run.end
        }
        if next < holder.mapping.end { units.append(hole(holder.mapping.end)) }
    }

    /// Stretches of whole 2 MiB blocks of which nearly every page has content; none unless they make up most of the mapping,
    /// because the advice is for the whole of it: a mapping that is cut in two is one that the program can not mremap.
    private func denseBlocks(of holder: PlaceHolder, _ runs: ArraySlice<PageRun>) -> [AddressRange] {
        let size = Memory.hugeByteCount
        guard usesHugePages, holder.mapping.byteCount >= size, holder.mapping.kind != .sharedAnonymous,
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
        for run in runs where run.kind == .here {
            var address = run.address
            while address < run.end {
                let block = address - address % size
                if block != current { finish(); (current, filled) = (block, 0) }
                let part = min(run.end, block + size) - address
                filled += part
                address += part
            }
        }
        finish()
        return denseByteCount >= holder.mapping.byteCount / 4 * 3 ? blocks : []
    }

    /// Order: what is sparse before the advice, because the first touch after it fills 2 MiB.
    func run() throws(RestartFailure) {
        try perform(units.filter { !$0.isDense })
        for range in huge { try? Kernel.advise(range, .huge) }
        try perform(units.filter(\.isDense))
    }

    private func perform(_ units: [LoadUnit]) throws(RestartFailure) {
        if units.isEmpty { return }
        let byteCount = units.reduce(0) { $0 + $1.byteCount }
        let job = LoadJob(units: units, descriptor: descriptor)
        job.run(helpers: byteCount < 4 << 20 ? 0 : min(7, max(2, Kernel.processorCount()) - 1))
        guard let failed = job.failedUnit else { return }
        // Once more, alone, to learn why. A failure that does not come again is one of the disk.
        do throws(LoadUnit.Failure) {
            try units[failed].perform(descriptor)
            throw LoadUnit.Failure.io(.ioError)
        } catch { throw Load.failure(error, units[failed]) }
    }

    private static func failure(_ failure: LoadUnit.Failure, _ unit: LoadUnit) -> RestartFailure {
        let place = "0x\(String(unit.address, radix: 16))"
        return switch failure {
        case .checksum:
            RestartFailure(kind: .damaged, what: "the pages at \(place) do not match their checksum (at byte \(unit.fileOffset))",
                remedy: "use an older image")
        case .notZero:
            RestartFailure(kind: .damaged, what: "there are bytes in the hole at \(place)", remedy: "use an older image")
        case .io(.outOfRange):
            RestartFailure(kind: .damaged, what: "the image ends before the pages at \(place)", remedy: "use an older image")
        case .io(let error):
            RestartFailure(kind: .io, what: "reading the pages at \(place): \(error.description)", remedy: "check the disk and try again")
        }
    }
}

/// Units that several threads work off.
final class LoadJob: Sendable {
    private let units: [LoadUnit]
    private let descriptor: Int32
    private let next = Atomic<Int>(0)
    private let failed = Atomic<Int>(-1)

    init(units: [LoadUnit], descriptor: Int32) {
        self.units = units
        self.descriptor = descriptor
    }

    var failedUnit: Int? {
        let index = failed.load(ordering: .acquiring)
        return index < 0 ? nil : index
    }

    func work() {
        while failed.load(ordering: .relaxed) < 0 {
            // A few neighbours at once: two threads seldom touch the same 2 MiB.
            let first = next.wrappingAdd(LoadJob.stride, ordering: .relaxed).oldValue
            if first >= units.count { return }
            for index in first..<min(first + LoadJob.stride, units.count) {
                do throws(LoadUnit.Failure) { try units[index].perform(descriptor) } catch {
                    failed.store(index, ordering: .releasing)
                    return
                }
            }
        }
    }

    private static let stride = 4
}
