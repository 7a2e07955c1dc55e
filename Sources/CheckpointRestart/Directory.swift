// SPDX-License-Identifier: Apache-2.0
import CRestorer
import SystemPackage

/// Names in a directory, and the name of this one; without libc's directory streams.
enum DirectoryNames {
    static func current() -> FilePath {
        var bytes = [UInt8](repeating: 0, count: 4096)
        _ = try? Kernel.withBytes(&bytes) { address throws(Errno) in try Kernel.call(.getcwd, address, 4096) }
        return FilePath(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
    }

    static func list(_ path: FilePath) -> [String] {
        guard let directory = try? FileDescriptor.open(path, .readOnly, options: [.directory, .closeOnExec]) else { return [] }
        defer { try? directory.close() }
        var names: [String] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 15)
        while true {
            let count = try? Kernel.withBytes(&buffer) { address throws(Errno) in
                try Kernel.call(.getdents64, UInt64(directory.rawValue), address, 1 << 15)
            }
            guard let count, count > 0 else { return names }
            var offset = 0  // struct linux_dirent64: inode 8, offset 8, length 2, type 1, name
            while offset + 19 < Int(count) {
                let length = Int(buffer[offset + 16]) | Int(buffer[offset + 17]) << 8
                if length < 20 { break }
                names.append(String(decoding: buffer[(offset + 19)..<(offset + length)].prefix { $0 != 0 }, as: UTF8.self))
                offset += length
            }
        }
    }
}
