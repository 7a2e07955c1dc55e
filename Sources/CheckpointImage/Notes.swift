// SPDX-License-Identifier: Apache-2.0

/// Where each note lies in the bytes of the notes: found once, with every length checked.
struct Notes {
    struct Place {
        var offset = 0, byteCount = 0
    }
    struct TablePlace {
        var offset = 0, recordByteCount = 0, count = 0
        /// Offset of each record.
        var records: StrideTo<Int> { stride(from: offset, to: offset + count * recordByteCount, by: max(recordByteCount, 1)) }
    }
    /// CKPT_NOTE_…
    enum Kind: UInt32 {
        case ident = 0x434b_0001, process, mappings, runs, threads, signals, descriptors, pipes, eventfds, epolls, timerfds, blobs, strings, chunks
        case timers, itimers, signalfds, queued
        case schedulings, limits, attributes
        case shared = 0x434b_0017, guards
        case processor = 0x434b_001b
    }

    private(set) var ours: [UInt32: Place] = [:]
    private(set) var statuses: [Place] = []
    private(set) var auxiliaryVector: Place?
    /// Offset of the first byte in the file, for messages.
    let base: UInt64

    init(_ bytes: Span<UInt8>, base: UInt64) throws(ImageError) {
        self.base = base
        var at = 0
        while at < bytes.count {
            func damaged(_ what: String) -> ImageError { .damaged(what: "a note \(what)", offset: base + UInt64(at)) }
            guard bytes.count - at >= 12 else { throw damaged("ends early") }
            let nameByteCount = UInt64(bytes.uint32(at: at))
            let byteCount = UInt64(bytes.uint32(at: at + 4))
            let type = bytes.uint32(at: at + 8)
            let start = UInt64(at) + 12 + ((nameByteCount + 3) & ~3)
            let next = start + ((byteCount + 3) & ~3)
            guard start + byteCount <= UInt64(bytes.count) else { throw damaged("is longer than all notes") }
            let place = Place(offset: Int(start), byteCount: Int(byteCount))
            if nameByteCount == 5, start <= UInt64(bytes.count), bytes.count - at >= 20 {
                if NoteName.isOurs(bytes, at: at) {
                    guard ours.updateValue(place, forKey: type) == nil else { throw damaged("of type \(type) is there twice") }
                } else if NoteName.isCore(bytes, at: at) {
                    if type == 1 { statuses.append(place) }
                    if type == 6 {
                        guard auxiliaryVector == nil else { throw damaged("with the auxiliary vector is there twice") }
                        auxiliaryVector = place
                    }
                }
            }
            at = Int(min(next, UInt64(bytes.count)))
        }
    }

    func has(_ kind: Kind) -> Bool { ours[kind.rawValue] != nil }

    /// A note that must be there, at least so long.
    func place(_ kind: Kind, atLeast byteCount: Int) throws(ImageError) -> Place {
        guard let place = ours[kind.rawValue] else { throw .damaged(what: "the note of the \(kind) is missing", offset: nil) }
        guard place.byteCount >= byteCount else {
            throw .damaged(what: "the note of the \(kind) is too short", offset: base + UInt64(place.offset))
        }
        return place
    }

    /// A table whose head has been checked: every record lies inside the note and is at least so long.
    /// A table that is not there is empty, unless it is required.
    func table(_ kind: Kind, in bytes: Span<UInt8>, recordByteCount: Int, isRequired: Bool = false) throws(ImageError) -> TablePlace {
        guard ours[kind.rawValue] != nil || isRequired else { return TablePlace() }
        let place = try place(kind, atLeast: 16)
        func damaged(_ what: String) -> ImageError { .damaged(what: "the table of the \(kind) \(what)", offset: base + UInt64(place.offset)) }
        let version = bytes.uint32(at: place.offset)
        guard version >= 1 else { throw damaged("has version 0") }
        guard version == 1 else {
            throw .futureVersion(what: "the table of the \(kind) has version \(version), this program reads version 1")
        }
        let stored = bytes.uint32(at: place.offset + 4)
        let count = bytes.uint32(at: place.offset + 8)
        guard stored >= recordByteCount, stored <= 65536 else { throw damaged("has records of \(stored) bytes") }
        // Both factors have 32 bits: no overflow.
        guard UInt64(stored) * UInt64(count) == UInt64(place.byteCount - 16) else { throw damaged("does not fill its note") }
        return TablePlace(offset: place.offset + 16, recordByteCount: Int(stored), count: Int(count))
    }
}
