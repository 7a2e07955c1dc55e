// SPDX-License-Identifier: Apache-2.0

/// Half-open, in bytes.
package struct AddressRange: Equatable, Sendable {
    package var start, end: UInt64
    package init(start: UInt64, end: UInt64) { (self.start, self.end) = (start, end) }
    package var byteCount: UInt64 { end - start }
    package func overlaps(_ other: AddressRange) -> Bool { start < other.end && other.start < end }
}

/// One mapping of this process, from /proc/self/maps.
struct HostMapping {
    var range: AddressRange
    var name: String

    static func all() throws(RestartFailure) -> [HostMapping] {
        guard let text = Kernel.file("/proc/self/maps"), !text.isEmpty else {
            throw RestartFailure(kind: .missing, what: "/proc is not there, and the memory of this process can not be read without it",
                remedy: "mount it: mount -t proc proc /proc")
        }
        var mappings: [HostMapping] = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count >= 5, let dash = fields[0].firstIndex(of: UInt8(ascii: "-")),
                let start = UInt64(String(decoding: fields[0][..<dash], as: UTF8.self), radix: 16),
                let end = UInt64(String(decoding: fields[0][(dash + 1)...], as: UTF8.self), radix: 16)
            else { continue }
            let name = fields.count > 5 ? String(decoding: fields[5].drop { $0 == UInt8(ascii: " ") }, as: UTF8.self) : ""
            mappings.append(HostMapping(range: AddressRange(start: start, end: end), name: name))
        }
        return mappings
    }
}

/// Where nothing is: neither of this process nor of the program.
package struct Placement {
    private var taken: [AddressRange]

    package init(taken: [AddressRange]) {
        self.taken = taken.sorted { $0.start < $1.start }
    }

    /// A hole of this size, at a multiple of 2 MiB, far from everything; nil when there is none.
    ///
    /// The kernel itself places mappings near the stack, the heap or the executable, hence never where the search begins:
    /// what is put there collides with nothing that comes later.
    package func hole(byteCount: UInt64) -> UInt64? {
        let distance: UInt64 = 1 << 30
        for floor: UInt64 in [0x1000_0000_0000, 0x1_0000_0000] {
            var candidate = floor
            for range in taken where range.end + distance > candidate {
                if candidate + byteCount + distance <= range.start { break }
                candidate = (range.end + distance + Memory.hugeByteCount - 1) & ~(Memory.hugeByteCount - 1)
            }
            if candidate + byteCount + distance <= Memory.end { return candidate }
        }
        return nil
    }
}
