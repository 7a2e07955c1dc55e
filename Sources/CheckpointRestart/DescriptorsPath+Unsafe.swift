// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension FilePath {
    /// The path's own bytes: it need not be UTF-8.
    var pathBytes: [UInt8] {
        // Safety: a zero-terminated string that is held for the length of the call.
        unsafe withPlatformString { text in
            var bytes: [UInt8] = []
            var index = 0
            while unsafe text[index] != 0 {
                bytes.append(unsafe UInt8(bitPattern: text[index]))
                index += 1
            }
            return bytes
        }
    }
}
