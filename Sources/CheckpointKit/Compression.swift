// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI

extension Configuration {
    /// What makes an image smaller. An image that is compressed cannot be mapped, and needs `ckpt` to be written.
    public enum Compression: Sendable, Equatable {
        case none
        /// The fast one.
        case lz4
        /// The small one: level 1 to 22, the higher the smaller and slower.
        case zstd(level: Int = 3)
    }
}

extension Configuration.Compression {
    /// `none`, `lz4`, `zstd`, `zstd:9`; nil: none of them.
    package init?(text: String) {
        switch text.lowercased() {
        case "none": self = .none
        case "lz4": self = .lz4
        case "zstd": self = .zstd()
        case let text where text.hasPrefix("zstd:"):
            guard let level = Int(text.dropFirst(5)) else { return nil }
            self = .zstd(level: level)
        default: return nil
        }
    }

    package var reasonAgainst: String? {
        if case .zstd(let level) = self, !(1...22).contains(level) { return "a level from 1 to 22 is needed" }
        return nil
    }

    package var raw: (compression: UInt32, level: Int32) {
        switch self {
        case .none: (CKPT_COMPRESSION_NONE.rawValue, 0)
        case .lz4: (CKPT_COMPRESSION_LZ4.rawValue, 0)
        case .zstd(let level): (CKPT_COMPRESSION_ZSTD.rawValue, Int32(clamping: level))
        }
    }
}
