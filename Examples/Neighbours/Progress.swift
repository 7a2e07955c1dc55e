// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One line on a terminal, rewritten in place; nothing on a pipe or in a file.
struct Progress {
    let total: Int
    private var shown = -1

    init(total: Int) { self.total = total }

    mutating func show(_ done: Int) {
        let percent = done * 100 / max(total, 1)
        // Asked each time: after a restart the standard streams are those of ckpt-restart.
        guard percent != shown, isatty(STDERR_FILENO) == 1 else { return }
        shown = percent
        FileHandle.standardError.write(Data("\r\(done) of \(total) words (\(percent) %)".utf8))
    }

    func end() {
        if shown >= 0 { FileHandle.standardError.write(Data("\n".utf8)) }
    }
}
