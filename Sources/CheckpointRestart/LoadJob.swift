// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Units that several threads work off. Short runs that follow one another in the file, as an increment has them, are read by
/// one call, however scattered their places are.
final class LoadJob: Sendable {
    private let units: [LoadUnit]
    private let parts: [LoadUnit.Part]
    private let chain: ImageChain
    /// Ranges of units that are read at once.
    private let groups: [Range<Int>]
    private let counter: LoadCounter

    init(units: [LoadUnit], parts: [LoadUnit.Part], chain: ImageChain) {
        self.units = units
        self.parts = parts
        self.chain = chain
        groups = LoadJob.groups(of: units, in: chain)
        counter = LoadCounter(stride: LoadJob.stride(units, chain))
    }

    /// As many as the kernel takes (UIO_MAXIOV is 1024), and not so much that the first is out of the cache when it is checked.
    private static let unitCountMax = 256
    private static let byteCountMax: UInt64 = 1 << 20

    /// A few neighbours at once: two threads seldom touch the same 2 MiB. Neighbours of a compressed image share chunks, which
    /// only one thread should decompress: 8 MiB at once.
    private static func stride(_ units: [LoadUnit], _ chain: ImageChain) -> Int {
        guard chain.images.contains(where: \.isCompressed) else { return 4 }
        let byteCount = units.reduce(1) { $0 + $1.byteCount }
        return max(4, min(Int(UInt64(units.count) * (8 << 20) / byteCount), units.count / 8))
    }

    private static func groups(of units: [LoadUnit], in chain: ImageChain) -> [Range<Int>] {
        var groups: [Range<Int>] = []
        var byteCount: UInt64 = 0
        for index in units.indices {
            let unit = units[index]
            if let group = groups.last, unit.work == .read, !chain.images[unit.image].isCompressed {
                let last = units[index - 1]
                if last.work == .read, last.image == unit.image, last.fileOffset + last.byteCount == unit.fileOffset,
                    group.count < unitCountMax, byteCount + unit.byteCount <= byteCountMax
                {
                    groups[groups.count - 1] = group.lowerBound..<index + 1
                    byteCount += unit.byteCount
                    continue
                }
            }
            groups.append(index..<index + 1)
            byteCount = unit.byteCount
        }
        return groups
    }

    var failedUnit: Int? { counter.failedUnit }

    func work() {
        var bounce: [UInt8] = []
        var content = ChainContent(chain)
        while let batch = counter.next(of: groups.count) {
            for group in groups[batch] {
                let isRead = group.count > 1 && readAtOnce(units[group])
                for index in group {
                    if isRead && units[index].isRight() { continue }
                    do throws(LoadUnit.Failure) { try units[index].perform(&content, parts, &bounce) } catch {
                        counter.fail(index)
                        return
                    }
                }
            }
        }
    }

    /// False: some of it was not read, and each unit is read by itself.
    private func readAtOnce(_ units: ArraySlice<LoadUnit>) -> Bool {
        guard let first = units.first else { return false }
        var places: [UInt8] = []
        places.reserveCapacity(16 * units.count)
        var byteCount: UInt64 = 0
        for unit in units {
            places.append(integer: unit.staged)
            places.append(integer: unit.byteCount)
            byteCount += unit.byteCount
        }
        let got = try? Kernel.withBytes(&places) { address throws(Errno) in
            try Kernel.call(.preadv, UInt64(UInt32(bitPattern: chain.images[first.image].descriptor)), address, UInt64(units.count), first.fileOffset, 0)
        }
        return got == byteCount
    }
}
