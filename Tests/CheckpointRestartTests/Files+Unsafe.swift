// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

enum Files {
    static func text(_ path: String) -> String? {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return nil }
        defer { try? file.close() }
        var bytes = [UInt8]()
        var buffer = [UInt8](repeating: 0, count: 4096)
        while let count = try? unsafe buffer.withUnsafeMutableBytes({ unsafe try file.read(into: $0) }), count > 0 {
            bytes += buffer.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
    // Safety: a zero-terminated copy of the path, held for the call.
    static func remove(_ path: String) { unsafe unlink(path) }
}
