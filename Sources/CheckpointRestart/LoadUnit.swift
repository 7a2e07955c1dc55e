// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A piece of work: one page run of one image, or a piece of a hole.
struct LoadUnit: Sendable {
    enum Work: Sendable, Equatable {
        /// The run is read where it will be, whole.
        case read
        /// Only these parts of the run are still the program's: it is read elsewhere, checked, and they are copied.
        case copy(Range<Int>)
        case check, zero
    }
    /// A part of a run that is copied.
    struct Part: Sendable {
        var offset: UInt64
        var staged: UInt64
        var byteCount: UInt64
    }

    var work: Work
    var image = 0
    var staged: UInt64          // where it is now; of no meaning for parts
    var address: UInt64         // where it will be
    var fileOffset: UInt64
    var byteCount: UInt64
    var crc: UInt32
    var isDense = false
    /// Pages of it belong to newer images, which come afterwards.
    var isPartlyOld = false

    enum Failure: Error { case checksum, notZero, io(Errno) }

    /// `bounce`: memory of this thread for a run.
    func perform(_ descriptors: [Int32], _ parts: [Part], _ bounce: inout [UInt8]) throws(Failure) {
        switch work {
        case .read:
            do throws(Errno) { try Kernel.read(descriptors[image], into: staged, byteCount: byteCount, offset: fileOffset) } catch {
                throw .io(error)
            }
            if Kernel.checksum(at: staged, byteCount: byteCount) != crc { throw .checksum }
        case .copy(let range):
            if bounce.count < Int(byteCount) { bounce = [UInt8](repeating: 0, count: Int(byteCount)) }
            let sum: UInt32
            do throws(Errno) {
                sum = try Kernel.withBytes(&bounce) { address throws(Errno) in
                    try Kernel.read(descriptors[image], into: address, byteCount: byteCount, offset: fileOffset)
                    let sum = Kernel.checksum(at: address, byteCount: byteCount)
                    if sum == crc { for part in parts[range] { Kernel.copy(from: address + part.offset, to: part.staged, byteCount: part.byteCount) } }
                    return sum
                }
            } catch { throw .io(error) }
            if sum != crc { throw .checksum }
        case .check:
            if Kernel.checksum(at: staged, byteCount: byteCount) != crc { throw .checksum }
        case .zero:
            if !Kernel.isZero(at: staged, byteCount: byteCount) { throw .notZero }
        }
    }
}

/// Units that several threads work off.
final class LoadJob: Sendable {
    private let units: [LoadUnit]
    private let parts: [LoadUnit.Part]
    private let descriptors: [Int32]
    private let counter = LoadCounter()

    init(units: [LoadUnit], parts: [LoadUnit.Part], descriptors: [Int32]) {
        self.units = units
        self.parts = parts
        self.descriptors = descriptors
    }

    var failedUnit: Int? { counter.failedUnit }

    func work() {
        var bounce: [UInt8] = []
        // A few neighbours at once: two threads seldom touch the same 2 MiB.
        while let batch = counter.next(of: units.count) {
            for index in batch {
                do throws(LoadUnit.Failure) { try units[index].perform(descriptors, parts, &bounce) } catch {
                    counter.fail(index)
                    return
                }
            }
        }
    }
}
