// SPDX-License-Identifier: Apache-2.0
// A counter that survives: kill -USR1 PID; kill -9 PID; ckpt-restart HelloCheckpoint.img
import CheckpointKit
import Foundation

@main struct HelloCheckpoint {
    static func main() throws {
        try Checkpoint.enable()
        let last = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 100
        for number in 1...max(last, 1) {
            FileHandle.standardOutput.write(Data("\(number)\n".utf8))
            Thread.sleep(forTimeInterval: 0.1)
        }
    }
}
