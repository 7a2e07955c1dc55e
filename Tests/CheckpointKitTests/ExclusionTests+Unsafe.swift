// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CEngineView
import CheckpointKit
import Glibc
import Testing

/// The table of exclusions against a model that keeps a word for each byte. The table is the process's: one test at a time.
@Suite(.serialized, .timeLimit(.minutes(15))) struct ExclusionTests {
    private static let pageByteCount = 4096, pageCount = 12
    private enum Page: UInt32 { case included, dead, readOnly, partly, owed }

    /// Memory of the test's own, excluded from nothing before and after.
    private struct Ground: ~Copyable {
        let start: UInt64, byteCount: Int
        init(pages: Int = ExclusionTests.pageCount) {
            byteCount = pages * ExclusionTests.pageByteCount
            start = ckpt_view_map(UInt64(byteCount))
        }
        deinit {
            _ = ckpt_view_include(start, UInt64(byteCount))
            ckpt_view_settle(ckpt_view_mark())
            ckpt_view_forget(start, start + UInt64(byteCount))
            ckpt_view_unmap(start, UInt64(byteCount))
        }
        func exclude(_ range: Range<Int>, _ kind: ckpt_exclusion) -> Int32 {
            ckpt_view_exclude(start + UInt64(range.lowerBound), UInt64(range.count), kind.rawValue)
        }
        func include(_ range: Range<Int>) -> Int32 { ckpt_view_include(start + UInt64(range.lowerBound), UInt64(range.count)) }
        func page(_ index: Int) -> UInt32 { ckpt_view_page(start + UInt64(index * ExclusionTests.pageByteCount)) }
    }

    /// The same numbers in every run.
    private struct Sequence: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var word = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
            word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
            return word ^ (word >> 31)
        }
    }

    /// What one byte is: its kind (0: none), and the mark of the first freeze after it became so.
    private struct Byte: Equatable { var kind: UInt32 = 0, since: UInt32 = 0 }

    private static func expected(_ bytes: ArraySlice<Byte>, settled: UInt32) -> Page {
        if bytes.allSatisfy({ $0.kind == CKPT_EXCLUDE_DEAD.rawValue }) { return .dead }
        if bytes.contains(where: { $0.since > settled }) { return .owed }
        if bytes.contains(where: { $0.kind == CKPT_EXCLUDE_DEAD.rawValue }) { return .partly }
        return bytes.allSatisfy { $0.kind == CKPT_EXCLUDE_READ_ONLY.rawValue } ? .readOnly : .included
    }

    private static func ranges() -> [(start: UInt64, end: UInt64, kind: UInt32)] {
        var all: [(UInt64, UInt64, UInt32)] = [], start: UInt64 = 0, end: UInt64 = 0, kind: UInt32 = 0
        // Safety: the function fills three words.
        while unsafe ckpt_view_range(UInt32(all.count), &start, &end, &kind) != 0 { all.append((start, end, kind)) }
        return all
    }

    @Test(arguments: 1...8) func `random exclusions and inclusions give the table that a model gives`(seed: UInt64) {
        var random = Sequence(state: seed)
        let ground = Ground()
        var model = [Byte](repeating: Byte(), count: ground.byteCount)
        // Marks go on from test to test.
        var epoch = ckpt_view_mark(), settled = epoch
        ckpt_view_settle(epoch)
        for step in 0..<600 {
            let whole = Bool.random(using: &random)
            var bounds = [Int.random(in: 0...ground.byteCount, using: &random), Int.random(in: 0...ground.byteCount, using: &random)].sorted()
            if whole { bounds = bounds.map { $0 / 4096 * 4096 } }
            if bounds[0] == bounds[1] { continue }
            let range = bounds[0]..<bounds[1]
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3:
                #expect(ground.exclude(range, CKPT_EXCLUDE_DEAD) == 0)
                for index in range { model[index] = Byte(kind: CKPT_EXCLUDE_DEAD.rawValue, since: epoch + 1) }
            case 3..<6:
                #expect(ground.exclude(range, CKPT_EXCLUDE_READ_ONLY) == 0)
                for index in range { model[index] = Byte(kind: CKPT_EXCLUDE_READ_ONLY.rawValue, since: epoch + 1) }
            case 6..<8:
                #expect(ground.include(range) == 0)
                for index in range where model[index].kind != 0 || model[index].since > settled { model[index] = Byte(kind: 0, since: epoch + 1) }
            case 8:
                let start = ground.start
                ckpt_view_forget(start + UInt64(range.lowerBound), start + UInt64(range.upperBound))
                for index in range { model[index] = Byte() }
            default:
                epoch = ckpt_view_mark()
                if Bool.random(using: &random) {
                    settled = epoch
                    ckpt_view_settle(epoch)
                }
            }
            for page in 0..<Self.pageCount {
                let found = Page(rawValue: ground.page(page)), wanted = Self.expected(model[(page * 4096)..<((page + 1) * 4096)], settled: settled)
                #expect(found == wanted, "step \(step), page \(page), \(range)")
                if found != wanted { return }
            }
            let table = Self.ranges()
            let isInOrder = zip(table, table.dropFirst()).allSatisfy { $0.end <= $1.start } && table.allSatisfy { $0.start < $0.end }
            #expect(isInOrder, "step \(step): \(table)")
            if !isInOrder { return }
            expectStretches(ground, step)
            expectCleared(ground, model, page: step % Self.pageCount)
        }
    }

    /// Stretches say of every page what it is when it is asked for alone.
    private func expectStretches(_ ground: borrowing Ground, _ step: Int) {
        let end = ground.start + UInt64(ground.byteCount)
        var at = ground.start
        while at < end {
            var kind: UInt32 = 0
            // Safety: the function fills one word.
            let next = unsafe ckpt_view_stretch(at, end, &kind)
            guard next > at, next <= end, next % 4096 == 0 else { return #expect(Bool(false), "step \(step): \(at) to \(next)") }
            while at < next {
                let alone = ckpt_view_page(at)
                #expect(alone == kind, "step \(step)")
                at += 4096
            }
        }
    }

    private func expectCleared(_ ground: borrowing Ground, _ model: [Byte], page: Int) {
        var bytes = [UInt8](repeating: 0xaa, count: 4096)
        // Safety: a page is what the function writes to at most.
        unsafe bytes.withUnsafeMutableBufferPointer { unsafe ckpt_view_clear(ground.start + UInt64(page * 4096), $0.baseAddress) }
        let wanted = model[(page * 4096)..<((page + 1) * 4096)].map { $0.kind == CKPT_EXCLUDE_DEAD.rawValue ? UInt8(0) : 0xaa }
        #expect(bytes == wanted)
    }

    @Test func `neighbours of one kind become one range, and an inclusion cuts a hole`() {
        let ground = Ground()
        for index in 0..<10 { #expect(ground.exclude((index * 100)..<((index + 1) * 100), CKPT_EXCLUDE_DEAD) == 0) }
        #expect(Self.ranges().count == 1)
        #expect(ground.include(300..<400) == 0)
        #expect(Self.ranges().map(\.kind) == [1, 0, 1], "what was excluded is owed")
        ckpt_view_settle(ckpt_view_mark())
        #expect(ground.exclude(2000..<2001, CKPT_EXCLUDE_READ_ONLY) == 0)
        #expect(Self.ranges().map(\.kind) == [1, 1, 2], "an image has it")
    }

    @Test func `what has no room is refused, and the table stays as it is`() {
        let ground = Ground(pages: 4)
        for index in 0..<4096 { #expect(ground.exclude((index * 2)..<(index * 2 + 1), CKPT_EXCLUDE_DEAD) == 0) }
        #expect(ground.exclude(10001..<10002, CKPT_EXCLUDE_DEAD) == -ENOSPC)
        #expect(Self.ranges().count == 4096)
        #expect(ground.exclude(0..<8192, CKPT_EXCLUDE_READ_ONLY) == 0)
        #expect(Self.ranges().count == 1)
    }

    @Test func `what is nobody's, ours or a stack is refused`() throws {
        let ground = Ground(pages: 2)
        #expect(ckpt_view_exclude(ground.start, 0, 1) == -EINVAL)
        #expect(ckpt_view_exclude(ground.start, .max - 5, 1) == -EINVAL)
        #expect(ckpt_view_exclude(ground.start, 10, 3) == -EINVAL)
        #expect(ckpt_view_exclude(ckpt_view_state(), 1, 1) == -EPERM)
        let hole = ckpt_view_map(3 * 4096)
        ckpt_view_unmap(hole + 4096, 4096)
        #expect(ckpt_view_exclude(hole, 3 * 4096, 1) == -EFAULT)
        #expect(ckpt_view_exclude(hole, 4097, 1) == -EFAULT)
        // Safety: numbers only; nothing is read there.
        let stack = unsafe UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: UInt(ckpt_view_stack())), count: 64)
        #expect(throws: CheckpointError.invalidExclusion(reason: "it is a stack in use")) { unsafe try Checkpoint.exclude(stack, as: .dead) }
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        #expect(throws: CheckpointError.invalidExclusion(reason: "it is empty, or no range of addresses")) { unsafe try Checkpoint.exclude(nothing, as: .dead) }
        #expect(Self.ranges().isEmpty)
    }

    @Test func `typed buffers are excluded to the byte`() throws {
        // Safety: allocated here, touched by nobody meanwhile.
        let values = UnsafeMutableBufferPointer<Double>.allocate(capacity: 100)
        defer { unsafe values.deallocate() }
        unsafe values.initialize(repeating: 1)
        try unsafe Checkpoint.exclude(UnsafeBufferPointer(rebasing: values[10..<20]), as: .readOnly)
        try unsafe Checkpoint.exclude(values, as: .dead)
        let start = UInt64(UInt(bitPattern: values.baseAddress))
        #expect(Self.ranges().map(\.start) == [start] && Self.ranges().map(\.end) == [start + 800])
        try unsafe Checkpoint.include(values)
        ckpt_view_settle(ckpt_view_mark())
        ckpt_view_forget(start, start + 800)
        #expect(Self.ranges().isEmpty)
        #expect(unsafe values.allSatisfy { $0 == 1 })
    }

    @Test func `threads that change the table leave one that says what they did last, and readers are never wrong`() async {
        let ground = Ground(pages: 64)
        let start = ground.start
        await withTaskGroup(of: Bool.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    let own = start + UInt64(thread * 16 * 4096)
                    for _ in 0..<2000 {
                        if ckpt_view_exclude(own, 16 * 4096, 1) != 0 || ckpt_view_page(own + 4096) != 1 { return false }
                        if ckpt_view_include(own, 16 * 4096) != 0 || ckpt_view_page(own + 4096) != 4 { return false }
                    }
                    return ckpt_view_exclude(own + 5, 100, 1) == 0
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        let starts = Self.ranges().filter { $0.kind == 1 }.map(\.start), wanted = (0..<4).map { (index: UInt64) in start + index * 65536 + 5 }
        #expect(starts == wanted)
    }
}
