// SPDX-License-Identifier: Apache-2.0
package import CCheckpointABI
import CRestorer
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
        var operation = Operation(CKPT_RESTART_STEP_PLACE_ID, .gettid, [address, 0, 4, UInt64(flags)], substitute: 1 << 1)
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
    private var data: [UInt8] = []

    package init(start: UInt64) {
        self.start = start
        codeByteCount = RestartBlock.wholePages(ckpt_restorer_code_byte_count())
    }

    static func wholePages(_ byteCount: UInt64) -> UInt64 { (byteCount + Memory.pageByteCount - 1) & ~(Memory.pageByteCount - 1) }

    /// What stays behind in the program.
    var code: AddressRange { AddressRange(start: start, end: start + codeByteCount) }
    package var plan: UInt64 { start + codeByteCount }
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
        package init() {}
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
        }
        _ = place(threads)
        let end = stacks + UInt64(content.threads.count) * stackByteCount

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
        header.append(integer: UInt32(content.threads.count))       // present
        header.append(integer: UInt32(0))                           // failed

        try Kernel.map(at: start, byteCount: end - start, protection: Memory.read | Memory.write,
            flags: Memory.isPrivate | Memory.anonymous)
        Kernel.copy(from: ckpt_restorer_code_start(), to: start, byteCount: ckpt_restorer_code_byte_count())
        Kernel.write(header + data, at: plan)
        try Kernel.protect(code, Memory.read | 4)
        whole = AddressRange(start: start, end: end)
    }

    /// Everything of the block but the parking place, once it is finished.
    private(set) var whole = AddressRange(start: 0, end: 0)

    /// The number of the thread that could not be made.
    var spawnFailed: Int {
        let offset = MemoryLayout<ckpt_restart_plan>.offset(of: \.spawn_failed) ?? 0
        var reader = ByteReader(Kernel.bytes(at: plan + UInt64(offset), count: 4))
        return Int(reader.next())
    }
}
