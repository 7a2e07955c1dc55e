// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// What the restorer does in each thread before the program runs in it.
enum Threads {
    private static let setGS: UInt64 = 0x1001, setFS: UInt64 = 0x1002, setName: UInt64 = 15

    /// The leader first, as the image has them.
    static func plan(
        image: Image, memory: ProgramMemory, block: inout RestartBlock, identity: EnteredIdentity, scheduling: Scheduling, attributes: Attributes
    ) throws(RestartFailure) -> [PlannedThread] {
        guard let leader = image.threads.first, leader.flags.contains(.leader) else {
            throw RestartFailure(kind: .damaged, what: "the first thread is not the leader", remedy: "use an older image")
        }
        let rights = Rights(block: &block)
        let queued = Signals.Queued(image)
        var threads: [PlannedThread] = []
        for thread in image.threads {
            let ends = thread.flags.contains(.ended)
            if !ends { try checkFrame(thread, memory) }
            var operations = ends ? endedOperations(thread, &block) : livingOperations(thread, &block)
            if !ends && !identity.setThreadIds {
                operations += newId(thread, memory)
                operations += identity.keptIds.filter { $0.tid == thread.tid }.map { .placeThreadId(at: $0.address, flags: $0.flags) }
            }
            // Order: before the rights go, which a class may need.
            if !ends { operations += scheduling.operations(thread, &block) }
            if !ends && !thread.flags.contains(.leader) { operations += attributes.operations(thread) }
            if identity.dropCapabilities { operations.append(rights.drop) }
            if !ends { operations += queued.operations(for: thread, &block) }
            threads.append(PlannedThread(
                tid: identity.setThreadIds && !thread.flags.contains(.leader) ? thread.tid : 0,
                ends: ends, ucontext: thread.ucontext, operations: operations))
        }
        return threads
    }

    private static func livingOperations(_ thread: ThreadState, _ block: inout RestartBlock) -> [Operation] {
        var operations = [
            Operation(CKPT_RESTART_STEP_THREAD_BASE, .archPrctl, [setFS, thread.fsBase]),
            Operation(CKPT_RESTART_STEP_THREAD_BASE, .archPrctl, [setGS, thread.gsBase]),
            Operation(CKPT_RESTART_STEP_THREAD_ADDRESS, .setTidAddress, [thread.tidAddress]),
            Operation(CKPT_RESTART_STEP_THREAD_ROBUST, .setRobustList,
                [thread.robustList, thread.robustListByteCount == 0 ? 24 : thread.robustListByteCount]),
            name(thread, &block),
        ]
        if thread.rseq != 0 {
            operations.append(Operation(CKPT_RESTART_STEP_THREAD_RSEQ, .rseq,
                [thread.rseq, UInt64(thread.rseqByteCount), 0, UInt64(thread.rseqSignature)]))
        }
        return operations
    }

    /// A leader that has ended waits for the others as the kernel's mere shell: nothing in memory is its own any more.
    private static func endedOperations(_ thread: ThreadState, _ block: inout RestartBlock) -> [Operation] {
        [
            Operation(CKPT_RESTART_STEP_THREAD_ADDRESS, .setTidAddress, [0]),
            Operation(CKPT_RESTART_STEP_THREAD_ROBUST, .setRobustList, [0, 24]),
            name(thread, &block),
        ]
    }

    private static func name(_ thread: ThreadState, _ block: inout RestartBlock) -> Operation {
        var bytes: [UInt8] = []
        bytes.append(text: thread.name.utf8, padded: 16)
        return Operation(CKPT_RESTART_STEP_THREAD_NAME, .prctl, [setName, block.place(bytes)])
    }

    /// libc keeps the id where the kernel clears it at the thread's end. Other libraries have something else there, so only
    /// the old id is replaced.
    private static func newId(_ thread: ThreadState, _ memory: ProgramMemory) -> [Operation] {
        guard thread.tidAddress != 0, let bytes = memory.bytes(at: thread.tidAddress, count: 4) else { return [] }
        var reader = ByteReader(bytes)
        return reader.next() == UInt64(UInt32(bitPattern: thread.tid)) ? [.placeThreadId(at: thread.tidAddress)] : []
    }

    /// The frame that rt_sigreturn reads must be there: behind the point of no return it would be a crash.
    private static func checkFrame(_ thread: ThreadState, _ memory: ProgramMemory) throws(RestartFailure) {
        guard thread.ucontext % 8 == 0, thread.ucontext >= 4096, thread.ucontext < Memory.end,
            memory.bytes(at: thread.ucontext, count: 304) != nil
        else {
            throw RestartFailure(kind: .damaged, what: "thread \(thread.tid) has no signal frame", remedy: "use an older image")
        }
    }
}

extension Threads {
    /// As each thread gives back its capabilities, when it had to have some.
    static func rights(_ identity: EnteredIdentity, _ block: inout RestartBlock) -> [Operation] {
        identity.dropCapabilities ? [Rights(block: &block).drop] : []
    }
}

/// Dropping capabilities in a user namespace of our own: the program had none, or those of its user.
private struct Rights {
    let drop: Operation
    init(block: inout RestartBlock) {
        var header: [UInt8] = []
        header.append(integer: UInt32(0x2008_0522))  // _LINUX_CAPABILITY_VERSION_3
        header.append(integer: UInt32(0))            // this thread
        let none = block.place([UInt8](repeating: 0, count: 24))
        drop = Operation(CKPT_RESTART_STEP_THREAD_RIGHTS, .capset, [block.place(header), none])
    }
}
