// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CRestorer
import CheckpointRestart
import Testing

/// The restorer executes plans made by hand, in processes of their own; memory is left alone, so that a plan may end anywhere.
@Suite struct RestorerTests {
    static let place: UInt64 = 0x1000_0000_0000
    static let page: UInt64 = 0x1100_0000_0000

    /// Enters the restorer with this plan.
    static func enter(_ block: RestartBlock, _ content: RestartBlock.Content) throws -> Never {
        var block = block
        try block.finish(content)
        let result = ckpt_restorer_spawn(block.start, block.plan)
        if result != 0 { throw Failed(result: result) }
        ckpt_restorer_enter(block.start, block.plan)
    }
    struct Failed: Error { let result: Int64 }

    /// exit_group with this status.
    static func end(_ status: UInt64) -> Operation { Operation(CKPT_RESTART_STEP_NONE, .exitGroup, [status]) }

    @Test func `a plan without threads is executed in order`() async {
        await #expect(processExitsWith: .exitCode(41)) {
            var content = RestartBlock.Content()
            content.threads = [PlannedThread(tid: 0, ends: false, ucontext: 0, operations: [])]
            content.before = [Operation(CKPT_RESTART_STEP_MAP, .getpid, [])]
            content.after = [RestorerTests.end(41)]
            try RestorerTests.enter(RestartBlock(start: RestorerTests.place), content)
        }
    }

    @Test func `a refusal is told in one line and ends with 126`() async {
        let result = await #expect(processExitsWith: .exitCode(126), observing: [\.standardErrorContent]) {
            var content = RestartBlock.Content()
            content.threads = [PlannedThread(tid: 0, ends: false, ucontext: 0, operations: [])]
            content.before = [Operation(CKPT_RESTART_STEP_UNMAP, .munmap, [1, 4096])]
            content.message = "ckpt-restart: x.img: unsupported: "
            content.remedy = "); try again\n"
            try RestorerTests.enter(RestartBlock(start: RestorerTests.place), content)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text == "ckpt-restart: x.img: unsupported: giving back the restarter's memory (error 22); try again\n")
    }

    @Test func `every thread does its operations, then the leader goes on`() async {
        await #expect(processExitsWith: .exitCode(0)) {
            let page = RestorerTests.page, count = 20
            try Kernel.map(at: page, byteCount: 4096, protection: 3, flags: 0x22)
            var content = RestartBlock.Content()
            content.threads = (0..<count).map { index in
                PlannedThread(tid: 0, ends: false, ucontext: 0, operations: [.placeThreadId(at: page + UInt64(4 * index))])
            }
            // The leader compares what the others have written: a futex wait for 0 does not block where there is an id.
            let wouldBlock = UInt64(bitPattern: Int64(-11))
            content.after = (0..<count).map {
                Operation(CKPT_RESTART_STEP_WAIT, .futex, [page + UInt64(4 * $0), 128, 0, 0], check: .equal, expected: wouldBlock)
            } + [RestorerTests.end(0)]
            try RestorerTests.enter(RestartBlock(start: RestorerTests.place), content)
        }
    }

    @Test func `an id that is taken is found before anything is changed`() async {
        await #expect(processExitsWith: .exitCode(17)) {
            var content = RestartBlock.Content()
            let leader = PlannedThread(tid: 0, ends: false, ucontext: 0, operations: [])
            content.threads = [leader, PlannedThread(tid: 1, ends: false, ucontext: 0, operations: [])]
            do { try RestorerTests.enter(RestartBlock(start: RestorerTests.place), content) } catch let failed as Failed {
                // EEXIST as root, EPERM else.
                try Kernel.call(.exitGroup, failed.result == -17 || failed.result == -1 ? 17 : 1)
            }
        }
    }
}
