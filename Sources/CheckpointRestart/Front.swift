// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// What a program computes on in a loading phase instead of a mapping's own memory: private mappings of the image's files, laid
/// over anonymous memory, and what is too short for one, read into its place.
struct Front {
    struct View { var address: UInt64, byteCount: UInt64, image: Int, fileOffset: UInt64 }
    private(set) var views: [View] = []
    /// What is too short for a view.
    private var pieces: [PagePiece] = []

    /// Kernel: a process has at most 65,530 mappings (vm.max_map_count), and the program wants some of its own.
    static let viewCountMax = 8192
    /// A mapping costs some microseconds, as reading this much.
    private static let viewByteCountMin: UInt64 = 64 << 10

    /// A view goes on where other images have single pages: these are read over it.
    init(of mapping: Mapping, in chain: ImageChain) {
        var open: View?, own: [PagePiece] = [], covered = mapping.start
        func close(_ views: inout [View], _ pieces: inout [PagePiece]) {
            if let view = open {
                if view.byteCount >= Front.viewByteCountMin { views.append(view) } else { pieces += own }
            }
            (open, own) = (nil, [])
        }
        for piece in chain.pieces(in: mapping) where piece.isHere {
            let offset = chain.fileOffset(of: piece)
            if piece.address != covered { close(&views, &pieces) }
            covered = piece.end
            if let view = open, view.image == Int(piece.image), offset &- piece.address == view.fileOffset &- view.address {
                open?.byteCount = piece.end - view.address
                own.append(piece)
            } else if open == nil || piece.byteCount >= Front.viewByteCountMin {
                close(&views, &pieces)
                open = View(address: piece.address, byteCount: piece.byteCount, image: Int(piece.image), fileOffset: offset)
                own = [piece]
            } else {
                pieces.append(piece)
            }
        }
        close(&views, &pieces)
    }

    /// For the restorer, where the mapping belongs. `descriptors`: of the images.
    func operations(of mapping: Mapping, descriptors: [Int32]) -> [Operation] {
        let access = Memory.read | Memory.write, fixed: UInt64 = 0x10  // MAP_FIXED
        var operations = [
            Operation(CKPT_RESTART_STEP_MAP, .mmap,
                [mapping.start, mapping.byteCount, access, ProgramMemory.flags(of: mapping) | Memory.noReserve | Memory.fixedNoReplace, UInt64.max, 0],
                check: .equal, expected: mapping.start)
        ]
        operations += views.map {
            Operation(CKPT_RESTART_STEP_VIEW, .mmap,
                [$0.address, $0.byteCount, access, Memory.isPrivate | Memory.noReserve | fixed, UInt64(descriptors[$0.image]), $0.fileOffset],
                check: .equal, expected: $0.address)
        }
        return operations
    }

    /// What is read into its place before the program runs: the image, the offset in its file, and the places of what lies one
    /// behind the other there, as an increment has it.
    struct Read { var image: Int, fileOffset: UInt64, byteCount: UInt64, places: [AddressRange] }

    func reads(of chain: ImageChain) -> [Read] {
        var all: [Read] = []
        let ordered = pieces.map { (piece: $0, offset: chain.fileOffset(of: $0)) }.sorted { ($0.piece.image, $0.offset) < ($1.piece.image, $1.offset) }
        for (piece, offset) in ordered {
            let place = AddressRange(start: piece.address, end: piece.end)
            if let last = all.last, last.image == Int(piece.image), last.fileOffset + last.byteCount == offset, last.byteCount + piece.byteCount <= 1 << 20 {
                all[all.count - 1].byteCount += piece.byteCount
                all[all.count - 1].places.append(place)
            } else {
                all.append(Read(image: Int(piece.image), fileOffset: offset, byteCount: piece.byteCount, places: [place]))
            }
        }
        return all
    }
}
