// SPDX-License-Identifier: Apache-2.0

/// What is different in a later checkpoint, by mapping.
package struct Comparison: Sendable {
    package enum State: String, Sendable { case same, new, gone, resized }

    /// A mapping of the newer checkpoint, or one that is gone.
    package struct Row: Sendable {
        package let mapping: Mapping
        package var state: State
        /// Pages whose bytes differ; that only the newer one has; that only the older one has. A page that was never populated is none.
        package var changed: UInt64 = 0, came: UInt64 = 0, went: UInt64 = 0
        package var isDifferent: Bool { state != .same || changed + came + went > 0 }
    }

    /// Ascending.
    package private(set) var rows: [Row]

    private var older: PageReader, newer: PageReader

    /// Reads every page that is not the same one in the same file.
    package init(from old: ImageChain, to new: ImageChain) throws(ImageError) {
        older = PageReader(old)
        newer = PageReader(new)
        rows = new.newest.mappings.map { mapping in
            Row(mapping: mapping, state: Comparison.state(of: mapping, in: old.newest.mappings, otherwise: .new))
        }
        for mapping in old.newest.mappings where Comparison.state(of: mapping, in: new.newest.mappings, otherwise: .gone) == .gone {
            rows.append(Row(mapping: mapping, state: .gone))
        }
        rows.sort { ($0.mapping.start, $0.state == .gone ? 0 : 1) < ($1.mapping.start, $1.state == .gone ? 0 : 1) }
        try compare(old, new)
    }

    private static func state(of mapping: Mapping, in others: [Mapping], otherwise: State) -> State {
        let overlapping = others.filter { $0.start < mapping.end && mapping.start < $0.end && $0.kind == mapping.kind }
        guard let first = overlapping.first else { return otherwise }
        return overlapping.count == 1 && first.addresses == mapping.addresses ? .same : .resized
    }

    // MARK: - Pages

    /// Both tables at once, in parts that neither cuts.
    private mutating func compare(_ old: ImageChain, _ new: ImageChain) throws(ImageError) {
        var one = 0, other = 0, row = 0
        var address: UInt64 = 0
        while one < old.pieces.count || other < new.pieces.count {
            let first = one < old.pieces.count ? old.pieces[one] : nil, second = other < new.pieces.count ? new.pieces[other] : nil
            address = max(address, min(first?.address ?? .max, second?.address ?? .max))
            let before = first.flatMap { $0.address <= address ? $0 : nil }, after = second.flatMap { $0.address <= address ? $0 : nil }
            var end = min(before?.end ?? .max, after?.end ?? .max)
            if before == nil, let first { end = min(end, first.address) }
            if after == nil, let second { end = min(end, second.address) }
            while row + 1 < rows.count, rows[row].mapping.end <= address { row += 1 }
            if rows.indices.contains(row), rows[row].mapping.end > address { end = min(end, rows[row].mapping.end) }
            if let next = rows[min(row, rows.count)...].first(where: { $0.mapping.start > address }) { end = min(end, next.mapping.start) }
            try compare(before, in: old, after, in: new, address..<end, row: self.row(at: address, from: row))
            address = end
            if let before, before.end <= address { one += 1 }
            if let after, after.end <= address { other += 1 }
        }
    }

    /// The mapping that is there now, or else the one that was there.
    private func row(at address: UInt64, from first: Int) -> Int? {
        var found: Int?
        for index in first..<rows.count {
            guard rows[index].mapping.start <= address else { break }
            if rows[index].mapping.addresses.contains(address), found == nil || rows[index].state != .gone { found = index }
        }
        return found
    }

    private mutating func compare(
        _ before: PagePiece?, in old: ImageChain, _ after: PagePiece?, in new: ImageChain, _ addresses: Range<UInt64>, row: Int?
    ) throws(ImageError) {
        guard let row else { return }
        let pageCount = (addresses.upperBound - addresses.lowerBound) / Image.pageSize
        guard let before else {
            rows[row].came += pageCount
            return
        }
        guard let after else {
            rows[row].went += pageCount
            return
        }
        if !before.isHere && !after.isHere { return }
        if before.isHere, after.isHere, old.images[Int(before.image)].ident.identifier == new.images[Int(after.image)].ident.identifier,
            before.run == after.run { return }
        let parts = (try Comparison.content(of: before, &older, addresses), try Comparison.content(of: after, &newer, addresses))
        rows[row].changed += UInt64(differingPages(parts.0, parts.1, pageCount: Int(pageCount)))
    }

    /// nil: zeros.
    private static func content(of piece: PagePiece, _ reader: inout PageReader, _ addresses: Range<UInt64>) throws(ImageError) -> ArraySlice<UInt8>? {
        guard piece.isHere else { return nil }
        var part = piece
        part.address = addresses.lowerBound
        part.pageCount = UInt32((addresses.upperBound - addresses.lowerBound) / Image.pageSize)
        return try reader.read(part)
    }
}
