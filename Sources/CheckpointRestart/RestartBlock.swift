// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
import CRestorer
import CheckpointImage
package import SystemPackage

/// One operation of the plan, see restart_plan.h.
package struct Operation {
    package enum Check: UInt32 { case any = 0, success = 1, equal = 2 }
    var step: ckpt_restart_step
    var number: UInt32
    var arguments: [UInt64]
    var check: Check
    var expected: UInt64 = 0
    var substitute: UInt32 = 0

    package init(_ step: ckpt_restart_step, _ number: Kernel.Number, _ arguments: [UInt64], check: Check = .success, expected: UInt64 = 0,
        substitute: UInt32 = 0) {
        self.step = step
        self.number = UInt32(number.rawValue)
        self.arguments = arguments
        self.check = check
        self.expected = expected
        self.substitute = substitute
    }

    /// Moves a mapping from one place to another, where nothing may be that is still needed.
    static func move(_ step: ckpt_restart_step, from: AddressRange, to: UInt64) -> Operation {
        Operation(step, .mremap, [from.start, from.byteCount, from.byteCount, Memory.moveFixed, to], check: .equal, expected: to)
    }

    /// Writes the caller's own thread id.
    package static func placeThreadId(at address: UInt64, flags: UInt32 = 0) -> Operation {
        var operation = poke(0, byteCount: 4, at: address, flags: flags)
        operation.substitute = 1 << 1
        return operation
    }

    /// Writes a word.
    static func poke(_ value: UInt64, byteCount: Int, at address: UInt64, flags: UInt32 = 0) -> Operation {
        var operation = Operation(CKPT_RESTART_STEP_PLACE_ID, .gettid, [address, value, UInt64(byteCount), UInt64(flags)])
        operation.number = 0xffff_ffff
        return operation
    }

    fileprivate func append(to bytes: inout [UInt8]) {
        bytes.append(integer: step.rawValue)
        bytes.append(integer: check.rawValue)
        bytes.append(integer: expected)
        bytes.append(integer: number)
        bytes.append(integer: substitute)
        for index in 0..<6 { bytes.append(integer: index < arguments.count ? arguments[index] : 0) }
    }
}

/// A thread of the plan.
package struct PlannedThread {
    var tid: Int32
    var ends: Bool
    var ucontext: UInt64
    var operations: [Operation]

    package init(tid: Int32, ends: Bool, ucontext: UInt64, operations: [Operation]) {
        (self.tid, self.ends, self.ucontext, self.operations) = (tid, ends, ucontext, operations)
    }
}

/// The block that survives the change of memory: the restorer's code, its plan and its stacks.
package struct RestartBlock {
    package let start: UInt64
    let codeByteCount: UInt64
    /// Signal frames' vector state that stays with the code, and that which becomes memory of the program; whole pages.
    private let parkedByteCount: UInt64, nestedByteCount: UInt64
    private var data: [UInt8] = []

    package init(start: UInt64, parkedByteCount: Int = 0, nestedByteCount: Int = 0) {
        self.start = start
        self.parkedByteCount = UInt64(parkedByteCount)
        self.nestedByteCount = UInt64(nestedByteCount)
        codeByteCount = RestartBlock.wholePages(ckpt_restorer_code_byte_count())
    }

    static func wholePages(_ byteCount: UInt64) -> UInt64 { (byteCount + Memory.pageByteCount - 1) & ~(Memory.pageByteCount - 1) }

    /// What stays behind in the program, and in no later image.
    var code: AddressRange { AddressRange(start: start, end: start + codeByteCount + parkedByteCount) }
    /// What stays behind and is the program's from now on.
    var nested: AddressRange { AddressRange(start: code.end, end: code.end + nestedByteCount) }
    package var plan: UInt64 { nested.end }
    private var dataStart: UInt64 { plan + UInt64(MemoryLayout<ckpt_restart_plan>.size) }

    /// Puts the bytes into the block; returns the address that they will have.
    package mutating func place(_ bytes: [UInt8]) -> UInt64 {
        while data.count % 8 != 0 { data.append(0) }
        let address = dataStart + UInt64(data.count)
        data.append(contentsOf: bytes)
        return address
    }

    mutating func place(_ operations: [Operation]) -> UInt64 {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(operations.count * MemoryLayout<ckpt_restart_operation>.size)
        for operation in operations { operation.append(to: &bytes) }
        return place(bytes)
    }

    package struct Content {
        package var before: [Operation] = [], after: [Operation] = []
        package var threads: [PlannedThread] = []
        package var message = "", remedy = "", status = ""
        package var statusDescriptor: Int32 = -1
        /// Of all pages between the code and the plan.
        var frames: [UInt8] = []
        var loading: LoadingContent?
        package init() {}
    }

    /// Of struct ckpt_loading.
    struct LoadingContent {
        var begin: [Operation] = [], moves: [Operation] = [], track: [Operation] = [], finish: [Operation] = []
        /// struct ckpt_load_unit, struct ckpt_load_range.
        var units: [UInt8] = [], ranges: [UInt8] = []
        var unitCount = 0, rangeCount = 0, frontCount = 0
        var lines: [[UInt8]] = []
        var pageMap: Int32 = -1
        var loaderCount: UInt32 = 1
        var dirtyRoom: UInt64 = 0, stackByteCount: UInt64 = 0
    }

    /// How many bytes a block for so many threads and operations needs at most, parking place included.
    static func byteCountLimit(threads: Int, operations: Int) -> UInt64 {
        wholePages((64 << 20) + UInt64(threads) * 16384 + UInt64(operations) * 256)
    }

    /// Where the parking place begins when the block is finished with this content: behind a fixed distance, so that it is
    /// known before the content.
    static func parking(start: UInt64, limit: UInt64) -> UInt64 { start + limit - (16 << 20) }

    /// Maps the block and fills it.
    package mutating func finish(_ content: Content) throws(Errno) {
        var texts: [UInt8] = []
        for step in 0..<CKPT_RESTART_STEP_COUNT.rawValue { texts.append(text: Kernel.stepText(step).utf8, padded: 64) }
        let textsAddress = place(texts)
        let before = place(content.before), after = place(content.after)
        let message = place(Array(content.message.utf8)), remedy = place(Array(content.remedy.utf8))
        let status = place(Array(content.status.utf8))
        let threadOperations = content.threads.map { place($0.operations) }
        let loading = content.loading.map { place($0) }
        let threadsAddress = dataStart + UInt64((data.count + 7) & ~7)
        let stackByteCount: UInt64 = 4096
        let stacks = start + RestartBlock.wholePages(
            threadsAddress + UInt64(content.threads.count * MemoryLayout<ckpt_restart_thread>.size) - start)
        var threads: [UInt8] = []
        for (index, thread) in content.threads.enumerated() {
            threads.append(integer: thread.tid)
            threads.append(integer: UInt32(thread.ends ? 1 : 0))
            threads.append(integer: thread.ucontext)
            threads.append(integer: stacks + UInt64(index) * stackByteCount)
            threads.append(integer: stackByteCount)
            threads.append(integer: threadOperations[index])
            threads.append(integer: UInt64(thread.operations.count))
            threads.append(integer: UInt64(0))                      // mask
            threads.append(integer: UInt64(0))                      // own_tid, is_released
        }
        _ = place(threads)
        var end = stacks + UInt64(content.threads.count) * stackByteCount
        if let loading, let content = content.loading { end = finish(loading, content, from: end) }

        var header: [UInt8] = []
        header.append(integer: UInt32(CKPT_RESTART_PLAN_VERSION))
        header.append(integer: UInt32(MemoryLayout<ckpt_restart_plan>.size))
        for (address, count) in [
            (before, content.before.count), (after, content.after.count), (threadsAddress, content.threads.count),
        ] {
            header.append(integer: address)
            header.append(integer: UInt64(count))
        }
        header.append(integer: textsAddress)
        for (address, text) in [(message, content.message), (remedy, content.remedy), (status, content.status)] {
            header.append(integer: address)
            header.append(integer: UInt64(text.utf8.count))
        }
        header.append(integer: plan)
        header.append(integer: end - plan)
        header.append(integer: content.statusDescriptor)
        header.append(integer: Int32(0))                            // spawn_failed
        header.append(integer: UInt32(0))                           // phase
        header.append(integer: UInt32(0))                           // arrived
        header.append(integer: UInt32(content.threads.count + (loading == nil ? 0 : 1)))  // present: the loader is the last
        header.append(integer: UInt32(0))                           // failed
        header.append(integer: loading ?? 0)

        try Kernel.map(at: start, byteCount: end - start, protection: Memory.read | Memory.write,
            flags: Memory.isPrivate | Memory.anonymous)
        Kernel.copy(from: ckpt_restorer_code_start(), to: start, byteCount: ckpt_restorer_code_byte_count())
        Kernel.write(content.frames, at: start + codeByteCount)
        Kernel.write(header + data, at: plan)
        try Kernel.protect(code, Memory.read | 4)
        whole = AddressRange(start: start, end: end)
    }

    /// The memory that the loaders need and that has no content yet.
    private mutating func finish(_ loading: UInt64, _ content: LoadingContent, from start: UInt64) -> UInt64 {
        func set<Value>(_ field: PartialKeyPath<ckpt_loading>, _ value: Value) where Value: FixedWidthInteger {
            var bytes: [UInt8] = []
            bytes.append(integer: value)
            let offset = Int(loading - dataStart) + (MemoryLayout<ckpt_loading>.offset(of: field) ?? 0)
            data.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        let bounceByteCount = UInt64(CKPT_RUN_PAGES_MAX) * Memory.pageByteCount
        var end = start
        set(\ckpt_loading.stacks, end)
        end += UInt64(content.loaderCount + 1) * content.stackByteCount
        set(\ckpt_loading.bounce, end)
        end += UInt64(content.loaderCount) * bounceByteCount
        set(\ckpt_loading.dirty, end)
        return RestartBlock.wholePages(end + 8 * content.dirtyRoom)
    }

    private mutating func place(_ content: LoadingContent) -> UInt64 {
        var bytes: [UInt8] = []
        for (address, count) in [
            (place(content.begin), content.begin.count), (place(content.units), content.unitCount), (place(content.ranges), content.rangeCount),
            (place(content.moves), content.moves.count), (place(content.track), content.track.count), (place(content.finish), content.finish.count),
        ] {
            bytes.append(integer: address)
            bytes.append(integer: UInt64(count))
        }
        bytes.append(integer: UInt64(content.frontCount))
        for word in [0, content.dirtyRoom, 0, 0, content.stackByteCount, 0, place(Array(content.lines.joined()))] { bytes.append(integer: word) }
        bytes.append(integer: content.pageMap)
        bytes.append(integer: content.loaderCount)
        bytes.append(contentsOf: repeatElement(0, count: MemoryLayout<ckpt_loading>.size - bytes.count))
        return place(bytes)
    }

    /// Everything of the block but the parking place, once it is finished.
    private(set) var whole = AddressRange(start: 0, end: 0)

    /// The ids that the program's threads have now, when they are made, by those that they had.
    func ownTids(of image: Image) -> [Int32: Int32] {
        let at = plan + UInt64(MemoryLayout<ckpt_restart_plan>.offset(of: \.threads) ?? 0)
        let first = Kernel.bytes(at: at, count: 8).word64(at: 0) + UInt64(MemoryLayout<ckpt_restart_thread>.offset(of: \.own_tid) ?? 0)
        var tids: [Int32: Int32] = [:]
        for (index, thread) in image.threads.enumerated() {
            let own = Kernel.bytes(at: first + UInt64(index * MemoryLayout<ckpt_restart_thread>.size), count: 4).word32(at: 0)
            tids[thread.tid] = index == 0 ? Int32(truncatingIfNeeded: (try? Kernel.call(.getpid)) ?? 0) : Int32(bitPattern: own)
        }
        return tids
    }

    /// The number of the thread that could not be made.
    var spawnFailed: Int {
        let offset = MemoryLayout<ckpt_restart_plan>.offset(of: \.spawn_failed) ?? 0
        var reader = ByteReader(Kernel.bytes(at: plan + UInt64(offset), count: 4))
        return Int(reader.next())
    }
}
