// SPDX-License-Identifier: Apache-2.0
import CheckpointRestart
import Glibc

/// The one line on standard error, and status 125.
enum Failure {
    static func end(_ failure: RestartFailure, image: String) -> Never {
        let place = image.isEmpty ? "ckpt-restart: " : "ckpt-restart: \(image): "
        let line = place + failure.line.map { $0.isNewline ? " " : $0 } + "\n"
        StandardError.write(line)
        exit(125)
    }
}
