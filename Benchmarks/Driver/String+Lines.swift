// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Broken between words into lines that are as wide as the other documents'.
    var inLines: String {
        var lines: [String] = [], line = ""
        for word in split(separator: " ") {
            if !line.isEmpty && line.count + word.count + 1 > 130 {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return (lines + [line]).joined(separator: "\n")
    }
}
