// SPDX-License-Identifier: Apache-2.0

/// Pages of the newest image of a chain, and where in the chain they are.
package struct PagePiece: PageSpan, Equatable {
    package var address: UInt64
    package var pageCount: UInt32
    /// Index of the image in the chain.
    package var image: Int32
    /// Index of the run in that image, which is *here*; -1: zeros.
    package var run: Int32

    package var byteCount: UInt64 { UInt64(pageCount) * Image.pageSize }
    package var end: UInt64 { address + byteCount }
    package var isHere: Bool { run >= 0 }
}

/// What each page of an image is, from the full image upwards: every newer one is laid over what is resolved so far.
struct PageResolution {
    /// Ascending; none crosses the border of a mapping of the image that was added last.
    private(set) var pieces: [PagePiece] = []

    mutating func add(_ image: Image, index: Int32) {
        let below = pieces
        var resolved = Resolved(mappings: image.mappings, capacity: below.count + image.runs.count)
        var next = 0
        for number in image.runs.indices {
            let run = image.runs[number]
            switch run.kind {
            case .here:
                resolved.append(PagePiece(address: run.address, pageCount: run.pageCount, image: index, run: Int32(number)))
            case .zero:
                resolved.append(PagePiece(address: run.address, pageCount: run.pageCount, image: index, run: -1))
            case .parent:
                while next < below.count, below[next].end <= run.address { next += 1 }
                var address = run.address
                while address < run.end {
                    guard next < below.count, below[next].address <= address else {
                        // Populated since, and never written: a restart may fill a huge page up with zeros.
                        let end = min(run.end, next < below.count ? below[next].address : run.end)
                        resolved.append(PagePiece(
                            address: address, pageCount: UInt32((end - address) / Image.pageSize), image: index, run: -1))
                        address = end
                        continue
                    }
                    var piece = below[next]
                    let end = min(run.end, piece.end)
                    piece.address = address
                    piece.pageCount = UInt32((end - address) / Image.pageSize)
                    resolved.append(piece)
                    address = end
                    if below[next].end <= address { next += 1 }
                }
            }
        }
        pieces = resolved.pieces
    }

    private struct Resolved {
        private let mappings: [Mapping]
        private var mapping = 0
        var pieces: [PagePiece] = []

        init(mappings: [Mapping], capacity: Int) {
            self.mappings = mappings
            pieces.reserveCapacity(capacity)
        }

        /// Joins what an image between had cut.
        mutating func append(_ piece: PagePiece) {
            var isOther = pieces.isEmpty
            while mapping < mappings.count, mappings[mapping].end <= piece.address {
                mapping += 1
                isOther = true
            }
            if !isOther, let last = pieces.last, last.run == piece.run, last.image == piece.image, last.end == piece.address,
                last.pageCount <= UInt32.max - piece.pageCount
            {
                pieces[pieces.count - 1].pageCount += piece.pageCount
            } else {
                pieces.append(piece)
            }
        }
    }
}
