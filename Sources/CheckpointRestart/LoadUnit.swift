// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
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

    enum Failure: Error {
        case checksum, notZero, io(Errno), chunk(ImageError)
        init(_ failure: ChainContent.Failure) {
            switch failure {
            case .io(let error): self = .io(error)
            case .chunk(let error): self = .chunk(error)
            }
        }
    }

    /// Whether what was read is what was written.
    func isRight() -> Bool { Kernel.checksum(at: staged, byteCount: byteCount) == crc }

    /// `bounce`: memory of this thread for a run.
    func perform(_ content: inout ChainContent, _ parts: [Part], _ bounce: inout [UInt8]) throws(Failure) {
        switch work {
        case .read:
            do throws(ChainContent.Failure) { try content.read(image, into: staged, byteCount: byteCount, offset: fileOffset) } catch {
                throw Failure(error)
            }
            if Kernel.checksum(at: staged, byteCount: byteCount) != crc { throw .checksum }
        case .copy(let range):
            if bounce.count < Int(byteCount) { bounce = [UInt8](repeating: 0, count: Int(byteCount)) }
            let sum: UInt32
            do throws(ChainContent.Failure) {
                sum = try Kernel.withBytes(&bounce) { address throws(ChainContent.Failure) in
                    try content.read(image, into: address, byteCount: byteCount, offset: fileOffset)
                    let sum = Kernel.checksum(at: address, byteCount: byteCount)
                    if sum == crc { for part in parts[range] { Kernel.copy(from: address + part.offset, to: part.staged, byteCount: part.byteCount) } }
                    return sum
                }
            } catch { throw Failure(error) }
            if sum != crc { throw .checksum }
        case .check:
            if Kernel.checksum(at: staged, byteCount: byteCount) != crc { throw .checksum }
        case .zero:
            if !Kernel.isZero(at: staged, byteCount: byteCount) { throw .notZero }
        }
    }
}
