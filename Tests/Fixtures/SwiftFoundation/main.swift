// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import FixtureSupport
import Foundation
import Synchronization

// Foundation: file handles with their positions, threads that wait for conditions, a run loop's timer, and large values.
final class Board: @unchecked Sendable { // guarded by its condition
    let condition = NSCondition()
    var stage = 0, answers: [String] = []
}

begin()
try Checkpoint.enable()
let files = FileManager.default
let directory = files.currentDirectoryPath
_ = files.createFile(atPath: directory + "/input.data", contents: Data("alpha beta gamma delta".utf8))
_ = files.createFile(atPath: directory + "/output.data", contents: nil)
let input = FileHandle(forReadingAtPath: directory + "/input.data")!
let output = FileHandle(forWritingAtPath: directory + "/output.data")!
let first = try input.read(upToCount: 6) ?? Data()
try output.write(contentsOf: Data("one ".utf8))
let pipe = Pipe()
try pipe.fileHandleForWriting.write(contentsOf: Data("through the pipe".utf8))

let board = Board()
for index in 0 ..< 4 {
    Thread.detachNewThread {
        board.condition.lock()
        while board.stage == 0 { board.condition.wait() }
        board.answers.append("thread \(index)")
        board.condition.signal()
        board.condition.unlock()
    }
}
let began = Date()
let large = Data((0 ..< 3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
let document = ["name": "fixture", "numbers": Array(0 ..< 100).map(String.init).joined(separator: ",")]
let encoded = try JSONEncoder().encode(document)

checkpointHere()

fact("first: \(String(decoding: first, as: UTF8.self)), then \(String(decoding: try input.read(upToCount: 5) ?? Data(), as: UTF8.self))")
try output.write(contentsOf: Data("two".utf8))
try output.synchronize()
fact("output: \(try String(contentsOfFile: directory + "/output.data", encoding: .utf8)), at \(try output.offset())")
fact("pipe: \(String(decoding: try pipe.fileHandleForReading.read(upToCount: 16) ?? Data(), as: UTF8.self))")
board.condition.lock()
board.stage = 1
board.condition.broadcast()
while board.answers.count < 4 { board.condition.wait() }
fact(board.answers.sorted().joined(separator: ", "))
board.condition.unlock()
fact("large: \(large.count) bytes, \(large.reduce(0) { ($0 &* 31) &+ UInt32($1) })")
fact("decoded: \(try JSONDecoder().decode([String: String].self, from: encoded)["numbers"]!.count)")
fact("the clock goes on: \(Date() >= began)")
let fired = Atomic<Int>(0)
let timer = Timer.scheduledTimer(withTimeInterval: 0.01, repeats: true) { _ in fired.add(1, ordering: .relaxed) }
while fired.load(ordering: .relaxed) < 3 { _ = RunLoop.main.run(mode: .default, before: Date(timeIntervalSinceNow: 1)) }
timer.invalidate()
fact("the timer fired")
