// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What the tests do to their own process.
enum Calls {
    // Safety: before any other thread reads the environment.
    static func setVariable(_ name: String, _ value: String) { unsafe _ = setenv(name, value, 1) }
    static func handleUsr1() { _ = signal(SIGUSR1) { _ in } }
    static func openSocket() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }

    /// Foundation reads a file that has no size only in part.
    static func maps() -> String {
        let file = unsafe open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var content: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            // Safety: the kernel writes at most as many bytes as the buffer has.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
            guard count > 0 else { return String(decoding: content, as: UTF8.self) }
            content += chunk[..<count]
        }
    }
}
