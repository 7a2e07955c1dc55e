// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The note CKPT_NOTE_STRINGS. Strings are resolved once each, however often they are named.
struct Strings {
    /// Longest path that /proc can tell, with room.
    static let byteCountMax = 8192
    /// What all distinct strings of an image may take together.
    static let totalMax = 256 << 20

    private let bytes: [UInt8]
    private let base: UInt64
    private var known: [UInt32: FilePath] = [:]
    private var total = 0

    init(_ bytes: [UInt8], base: UInt64) {
        self.bytes = bytes
        self.base = base
    }

    private mutating func raw(_ offset: UInt32) throws(ImageError) -> ArraySlice<UInt8> {
        guard offset != 0 else { return [] }
        guard offset < bytes.count else { throw .damaged(what: "a string outside the strings", offset: base + UInt64(offset)) }
        let start = Int(offset)
        guard let end = bytes[start..<min(bytes.count, start + Strings.byteCountMax)].firstIndex(of: 0) else {
            throw .damaged(what: "a string without an end", offset: base + UInt64(offset))
        }
        total += end - start
        guard total <= Strings.totalMax else { throw .damaged(what: "too many strings", offset: base) }
        return bytes[start..<end]
    }

    mutating func path(_ offset: UInt32) throws(ImageError) -> FilePath {
        if let path = known[offset] { return path }
        let letters: [CInterop.PlatformChar] = try raw(offset).map { CChar(bitPattern: $0) } + [0]
        let path = FilePath(platformString: letters)
        known[offset] = path
        return path
    }

    mutating func text(_ offset: UInt32) throws(ImageError) -> String {
        String(decoding: try raw(offset), as: UTF8.self)
    }
}
