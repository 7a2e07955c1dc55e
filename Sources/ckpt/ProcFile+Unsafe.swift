// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A file of /proc, which has no size and may grow while it is read.
enum ProcFile {
    static func read(_ path: String) throws(Errno) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            var content: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                // Safety: the kernel writes at most as many bytes as the buffer has.
                let count = try unsafe chunk.withUnsafeMutableBytes { unsafe try file.read(into: $0) }
                if count == 0 { return content }
                content.append(contentsOf: chunk[..<count])
            }
        } catch {
            throw error as? Errno ?? .ioError
        }
    }
}
