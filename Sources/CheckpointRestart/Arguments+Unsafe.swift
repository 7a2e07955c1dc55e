// SPDX-License-Identifier: Apache-2.0
import CRestorer

/// The command line, also where /proc is not there (`CommandLine` reads it from there).
package enum Arguments {
    /// Without the program's name.
    ///
    /// Safety: the strings live as long as the process.
    package static func all() -> [String] {
        var all: [String] = []
        while let argument = unsafe ckpt_argument(UInt32(all.count + 1)) { unsafe all.append(String(cString: argument)) }
        return all
    }
}
