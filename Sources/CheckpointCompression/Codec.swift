// SPDX-License-Identifier: Apache-2.0
package import CheckpointImage

/// A way to compress, as users name it: `none`, `lz4`, `zstd`, `zstd:19`.
package struct Codec: Sendable, Equatable {
    package var compression: Compression
    /// Of zstd.
    package var level: Int32

    /// Best ratio for the time (Documentation/decisions).
    package static let zstdLevelDefault: Int32 = 3
    package static let zstdLevels: ClosedRange<Int32> = 1...22

    package init(_ compression: Compression, level: Int32 = Codec.zstdLevelDefault) {
        self.compression = compression
        self.level = level
    }

    package init?(parsing text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        switch (parts[0], parts.count) {
        case ("none", 1): self.init(.none)
        case ("lz4", 1): self.init(.lz4)
        case ("zstd", 1): self.init(.zstd)
        case ("zstd", _):
            guard let level = Int32(parts[1]), Codec.zstdLevels.contains(level) else { return nil }
            self.init(.zstd, level: level)
        default: return nil
        }
    }
}

extension Compression {
    package var name: String {
        switch self {
        case .none: "none"
        case .lz4: "lz4"
        case .zstd: "zstd"
        }
    }
}
