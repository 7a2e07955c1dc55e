// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import FixtureSupport

// A fully static program: no loader, no library, the same facts.
begin()
try Checkpoint.enable()
let numbers = (0 ..< 100_000).map { $0 &* 2_654_435_761 }
var words: [String: Int] = [:]
for index in 0 ..< 1000 { words["word \(index)"] = index }
let group = Task {
    await withTaskGroup(of: Int.self) { group in
        for index in 0 ..< 20 { group.addTask { try? await Task.sleep(for: .milliseconds(300)); return index } }
        var sum = 0
        for await index in group { sum += index }
        return sum
    }
}
checkpointHere()
fact("numbers: \(numbers.reduce(0, &+)), words: \(words.values.reduce(0, +))")
fact("tasks: \(await group.value)")
var more: [Int] = []
for index in 0 ..< 1_000_000 { more.append(index) }
fact("memory goes on: \(more.reduce(0, +))")
