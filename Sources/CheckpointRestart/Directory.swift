// SPDX-License-Identifier: Apache-2.0
import CRestorer
import SystemPackage

/// The name of the working directory.
enum DirectoryNames {
    static func current() -> FilePath {
        var bytes = [UInt8](repeating: 0, count: 4096)
        _ = try? Kernel.withBytes(&bytes) { address throws(Errno) in try Kernel.call(.getcwd, address, 4096) }
        return FilePath(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
    }
}
