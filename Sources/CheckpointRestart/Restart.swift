// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CRestorer
import CheckpointImage
import SystemPackage

/// The way of a restart: every check that can fail, then identity, descriptors, memory, the plan, and the restorer.
package enum Restart {
    package static let version = CKPT_VERSION

    /// Becomes the program of the image. Returns only by throwing: nothing was started then.
    package static func run(_ path: String, options: RestartOptions) throws(RestartFailure) -> Never {
        let started = Kernel.nanoseconds(.monotonic) &- Kernel.nanoseconds(.processTime)
        let choice = try ImageChoice.open(path, at: options.at)
        try judge(choice.image, options)
        try RestartContext.check(options: options, headPath: choice.headPath)
        let host = HostFacts.current()
        try VectorFrames.ask(for: choice.image, on: host)
        let frames = try VectorFrames(choice.chain, host: host, force: options.force)
        let record = RestartRecord(beside: choice.headPath, image: choice.image.ident.name)
        let limits = try Limits(choice.image, options)
        try Signals.check(choice.image)
        let identity = try Identity.enter(chain: choice.chain, options: options)
        let descriptors = try Descriptors.restore(image: choice.image, options: options, reserved: choice.image.descriptor)
        try become(choice, options, identity, descriptors, frames, limits, record, named: path, started: started)
    }

    /// Refuses what could not be brought back, or not exactly.
    private static func judge(_ image: Image, _ options: RestartOptions) throws(RestartFailure) {
        for finding in Judgement.judge(image, host: HostFacts.current()) {
            switch finding.class {
            case .missing where options.allowMissing: continue
            case .unsupported where options.force, .changed where options.force: continue
            default:
                throw RestartFailure(
                    kind: FailureClass(rawValue: finding.class.rawValue) ?? .unsupported, what: "\(finding.what): \(finding.why)",
                    remedy: finding.remedy)
            }
        }
    }

    private static func become(
        _ choice: ImageChoice, _ options: RestartOptions, _ identity: EnteredIdentity, _ descriptors: Descriptors, _ frames: VectorFrames,
        _ limits: Limits, _ record: RestartRecord, named name: String, started: UInt64
    ) throws(RestartFailure) -> Never {
        let image = choice.image, descriptor = descriptors.image
        let scheduling = try Scheduling(image, options), attributes = Attributes(image)
        let host = try HostMapping.all()
        var obstacle = options.load == .lazy ? Loading.obstacle(choice.chain) : nil
        if obstacle == nil, !frames.isEmpty { obstacle = "its signal frames are laid out for another processor" }
        var loading: Loading?
        if options.load == .lazy, obstacle == nil {
            do throws(Errno) { loading = try Loading(choice.chain, newest: descriptor) } catch { obstacle = error.description }
        }
        let isLazy = loading != nil
        let limit = RestartBlock.byteCountLimit(
            threads: image.threads.count, operations: 5 * image.mappings.count + image.guards.count + 128 + 2 * (image.queuedSignals.count + image.timers.count + image.timerfds.count) + (isLazy ? choice.chain.pieces.count + 2 * Front.viewCountMax : 0))
        let placement = Placement(taken: host.map(\.range) + image.mappings.map { AddressRange(start: $0.start, end: $0.end) })
        guard let hole = placement.hole(byteCount: limit + ProgramMemory.stagingByteCount(of: image)) else {
            throw RestartFailure(kind: .unsupported, what: "the program leaves no room in its address space for the restart",
                remedy: "restart an image with less memory")
        }
        var block = RestartBlock(start: hole, parkedByteCount: frames.parkedByteCount, nestedByteCount: frames.nestedByteCount)
        let parking = RestartBlock.parking(start: hole, limit: limit)
        let vdso = try Vdso(choice.chain, host: host, options: options, parking: parking)
        let tracker = ArmedTracker.make(for: image, above: descriptor)
        var viewCount = 0
        let memory = ProgramMemory(chain: choice.chain, shared: descriptors.shared, staging: hole + limit) { isLazy && Loading.canWait($0, choice.chain, viewCount: &viewCount) }
        loading?.prepare(memory)
        if isLazy, !memory.holders.contains(where: \.waits) {
            loading = nil
            obstacle = "so little of it can wait that it is sooner read"
        }
        let status = try StatusFile.begin(
            options: options, identity: UInt32(identity.mode), image: image.ident.name, load: loading == nil ? .eager : .lazy,
            remarks: limits.remarks + scheduling.remarks + attributes.remarks, above: descriptor)
        var later = try memory.stage()

        try vdso.stage()
        let threads = try Threads.plan(image: image, memory: memory, block: &block, identity: identity, scheduling: scheduling, attributes: attributes)
        let layout = try Layout.operation(image: image, block: &block)
        let before = [Signals.block(&block)] + releaseOfRseq() + vdso.park(at: parking)
            + unmap(around: AddressRange(start: hole, end: memory.stagingEnd))
            + memory.moves() + (loading?.operations() ?? []) + vdso.place(from: parking) + [layout]
            + Signals.actions(image: image, block: &block) + (loading == nil ? [] : Loading.holds(&block)) + (tracker?.operations(memory, block: &block) ?? [])
            + memory.seals()
        let timers = Timers(image: image, interval: IntervalTimer(image: image, memory: memory))
        let kept = [descriptor, status, tracker?.pageMap ?? -1] + (loading?.descriptors.filter { $0 != descriptor } ?? [])
        // While memory is loaded a failure is told in the status file; the threads close it.
        let after = kept.filter { $0 >= 0 && (loading == nil || $0 != status) }.map {
            Operation(CKPT_RESTART_STEP_CLOSE, .close, [UInt64($0)], check: .any)
        } + Signals.queued(image, &block) + descriptors.startTimers(image, &block) + timers.start(&block)  // Order: what is pending, then what sends more

        // Order: last of all, because memory, descriptors and signals need what these may take.
        let last = (image.threads.first.map { attributes.operations($0) } ?? []) + attributes.operations() + limits.operations(&block)

        let vectors = try frames.place(parked: block.code.end - UInt64(frames.parkedByteCount), nested: block.nested.start, memory)
        let siblings = record.add()
        try RestartContext(
            image: image.ident.identifier, head: choice.head, headPath: choice.headPath, restorer: block.code,
            identity: UInt32(identity.mode), environment: options.environment, started: started &+ UInt64(bitPattern: identity.clockShift), tracker: tracker, record: siblings
        ).write(to: memory, image: image)
        guard attributes.write(to: memory) else { throw RestartContext.failure }
        try memory.protect()
        var content = RestartBlock.Content()
        content.before = before
        content.after = memory.late.operations + after + last
        content.threads = threads
        content.frames = vectors
        content.message = "ckpt-restart: \(name): unsupported: "
        content.remedy = "); the image is unchanged, see ckpt check\n"
        content.status = StatusFile.failurePrefix
        content.statusDescriptor = status
        content.loading = loading?.plan(memory, &later, tracker, named: name, keeping: kept + [tracker?.number ?? -1],
            rights: Threads.rights(identity, &block), block: &block)
        do throws(Errno) { try block.finish(content) } catch {
            throw RestartFailure(kind: .io, what: "no memory for the restorer: \(error.description)", remedy: "free memory")
        }
        try spawn(block, threads)
        try timers.make(block.ownTids(of: image))
        // Said only now: before, a failure is the one line.
        if let obstacle, !options.isQuiet { StandardError.write("ckpt-restart: \(name): note: memory is loaded eagerly: \(obstacle)\n") }
        if let remark = identity.remark, identity.mode == 2, !options.isQuiet {
            StandardError.write("ckpt-restart: \(name): note: \(remark)\n")
        }
        try memory.bringBackFiles()
        try descriptors.commit(keeping: kept + [tracker?.number ?? -1])
        ckpt_restorer_enter(block.start, block.plan)
    }

    /// Everything but block and place-holders. The kernel's vsyscall page lies above the end.
    private static func unmap(around range: AddressRange) -> [Operation] {
        [AddressRange(start: 0, end: range.start), AddressRange(start: range.end, end: Memory.end)].map {
            Operation(CKPT_RESTART_STEP_UNMAP, .munmap, [$0.start, $0.byteCount])
        }
    }

    /// Kernel: a thread's rseq is registered once; the program's can only follow when ours is given back.
    private static func releaseOfRseq() -> [Operation] {
        let address = ckpt_own_rseq()
        if address == 0 { return [] }
        return [
            Operation(CKPT_RESTART_STEP_RSEQ_RELEASE, .rseq,
                [address, UInt64(ckpt_own_rseq_byte_count()), 1, UInt64(ckpt_own_rseq_signature())])
        ]
    }

    /// The other threads, while a failure can still be told: an id that is taken is found here.
    private static func spawn(_ block: RestartBlock, _ threads: [PlannedThread]) throws(RestartFailure) {
        do throws(Errno) {
            // The threads are born with every signal blocked, and stay so until the program's masks are back.
            var all = [UInt8](repeating: 0xff, count: 8)
            _ = try Kernel.withBytes(&all) { address throws(Errno) in try Kernel.call(.rtSigprocmask, 2, address, 0, 8) }
            let result = ckpt_restorer_spawn(block.start, block.plan)
            if result < 0 { throw Errno(rawValue: CInt(-result)) }
        } catch {
            let index = block.spawnFailed
            let tid = threads.indices.contains(index) ? threads[index].tid : 0
            if error == .fileExists {
                throw RestartFailure(kind: .missing, what: "the thread id \(tid) is taken", remedy: "try again, or use --identity new")
            }
            throw RestartFailure(kind: .permission, what: "a thread can not be made: \(error.description)",
                remedy: "raise the limit of processes (ulimit -u), or use --identity new")
        }
    }
}
