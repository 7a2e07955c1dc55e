// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Standard error, when there is one.
package enum StandardError {
    package static func write(_ text: String) { _ = try? FileDescriptor.standardError.writeAll(text.utf8) }
}
