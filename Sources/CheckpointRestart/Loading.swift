// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CRestorer
import CheckpointImage
import SystemPackage

/// The loading phase of `--load lazy`: what the restorer and its loaders do is in CRestorer/loading.h.
///
/// The program computes at once, on a `Front`; its system calls and signals wait until all its memory is anonymous. What is
/// small, of another kind, or needed before, is loaded eagerly.
struct Loading {
    /// Of the images of the chain, above every number of the program.
    let images: [Int32]
    /// /proc/self/pagemap.
    let pageMap: Int32
    var descriptors: [Int32] { images + [pageMap] }
    private var fronts: [(mapping: Mapping, front: Front)] = []

    mutating func prepare(_ memory: ProgramMemory) {
        fronts = memory.holders.filter(\.waits).map { ($0.mapping, Front(of: $0.mapping, in: memory.chain)) }
    }

    /// For the restorer.
    func operations() -> [Operation] { fronts.flatMap { $0.front.operations(of: $0.mapping, descriptors: images) } }

    /// Less content than this in a mapping is not worth a mapping.
    private static let byteCountMin: UInt64 = 64 << 10
    /// What was written in a mapping is looked for while the program is held.
    private static let byteCountMax: UInt64 = 256 << 30
    /// Signals that a thread brings upon itself, and the loaders' own: ILL, TRAP, BUS, FPE, SEGV, SYS.
    private static let heldSignals: Set<Int32> = [4, 5, 7, 8, 11, 31, 33]
    private static let dirtyPagesMax: UInt64 = 1 << 16
    private static let stackByteCount: UInt64 = 16384

    /// Why it cannot be; nil: it can.
    static func obstacle(_ chain: ImageChain) -> String? {
        if chain.images.contains(where: \.isCompressed) { return "a compressed image can not be mapped" }
        // PR_SET_SYSCALL_USER_DISPATCH, off.
        guard (try? Kernel.call(.prctl, 59, 0, 0, 0, 0)) != nil else {
            return "this kernel can not hold system calls back (PR_SET_SYSCALL_USER_DISPATCH, since Linux 5.11)"
        }
        let twice = "and the memory is there twice for a while"
        if limit(11) < 1024 { return "too few signals can be queued (ulimit -i)" }
        // The program gets its own limits back while it computes.
        if chain.newest.limits.contains(where: { $0.resource == 11 && $0.soft < 1024 }) { return "the program may queue too few signals (ulimit -i)" }
        if chain.newest.limits.contains(where: { [2, 9].contains($0.resource) && $0.soft != LimitState.infinity }) { return "the program's memory is limited, \(twice)" }
        if isLimited(9) { return "the address space is limited (ulimit -v), \(twice)" }
        if isLimited(2) { return "the data is limited (ulimit -d), \(twice)" }
        if Kernel.file("/proc/sys/vm/overcommit_memory")?.first == UInt8(ascii: "2") { return "memory is not overcommitted here, \(twice)" }
        // The loader has no parent while it runs: it must not become the program's child.
        var reaps = [UInt8](repeating: 0, count: 4)
        _ = try? Kernel.withBytes(&reaps) { address throws(Errno) in try Kernel.call(.prctl, 37, address) }  // PR_GET_CHILD_SUBREAPER
        if (try? Kernel.call(.getpid)) == 1 || reaps.word32(at: 0) != 0 { return "this process gets the orphans of others" }
        return nil
    }

    private static func isLimited(_ resource: UInt64) -> Bool { limit(resource) != UInt64.max }
    private static func limit(_ resource: UInt64) -> UInt64 {
        var limit = [UInt8](repeating: 0xff, count: 16)
        _ = try? Kernel.withBytes(&limit) { address throws(Errno) in try Kernel.call(.prlimit, 0, resource, 0, address) }
        return limit.word64(at: 0)
    }

    /// Whether this mapping's memory is loaded while the program runs. A thread's frame, and the stack that its signals use, must be
    /// right before: what is wrong there ends the program without a word. `viewCount`: of all fronts so far.
    static func canWait(_ mapping: Mapping, _ chain: ImageChain, viewCount: inout Int) -> Bool {
        guard mapping.kind == .anonymous || mapping.kind == .heap, mapping.protection == [.read, .write],
            mapping.flags.subtracting([.huge, .dontDump]).isEmpty, mapping.byteCount <= byteCountMax,
            !chain.newest.guards.contains(where: { $0.start < mapping.end && mapping.start < $0.end }),
            !chain.newest.threads.contains(where: {
                mapping.addresses.contains($0.ucontext) || mapping.addresses.contains($0.alternateStack) && $0.alternateStackByteCount > 0
            })
        else { return false }
        var byteCount: UInt64 = 0
        for piece in chain.pieces(in: mapping) where piece.isHere { byteCount += piece.byteCount }
        guard byteCount >= byteCountMin else { return false }
        // Each view and each gap behind it is a mapping, and so are the front's rest and the place-holder.
        let count = 2 * Front(of: mapping, in: chain).views.count + 3
        guard viewCount + count <= Front.viewCountMax else { return false }
        viewCount += count
        return true
    }

    init(_ chain: ImageChain, newest: Int32) throws(Errno) {
        DescriptorLimit.raise(toHold: Int(newest) + chain.images.count + 64)
        var images = [newest]
        for image in chain.images.dropFirst() { images.append(try Loading.duplicate(image.descriptor, above: newest)) }
        self.images = images
        let map = try FileDescriptor.openPageMap()
        defer { try? map.close() }
        pageMap = try Loading.duplicate(map.rawValue, above: newest)
    }

    private static func duplicate(_ descriptor: Int32, above floor: Int32) throws(Errno) -> Int32 {
        let number = DescriptorCalls.duplicate(descriptor, above: floor)
        if number < 0 { throw Errno(rawValue: CInt(-number)) }
        return Int32(number)
    }

    /// Every signal that comes in the phase, into the restorer's handler.
    static func holds(_ block: inout RestartBlock) -> [Operation] {
        let flags: UInt64 = 4 | 0x0400_0000 | 0x0800_0000  // SA_SIGINFO | SA_RESTORER | SA_ONSTACK
        var action: [UInt8] = []
        for word in [ckpt_restorer_hold(block.start), flags, ckpt_restorer_hold_return(block.start), UInt64.max] { action.append(integer: word) }
        let address = block.place(action)
        return heldSignals.sorted().map { Operation(CKPT_RESTART_STEP_SIGNAL_ACTION, .rtSigaction, [UInt64($0), address, 0, 8]) }
    }

    /// What the loaders are to do. `kept`: descriptors that they need besides.
    /// `rights`: what the threads do to give back their capabilities.
    func plan(
        _ memory: ProgramMemory, _ load: inout Load, _ tracker: ArmedTracker?, named name: String, keeping kept: [Int32], rights: [Operation],
        block: inout RestartBlock
    ) -> RestartBlock.LoadingContent {
        var content = RestartBlock.LoadingContent()
        let waiting = memory.holders.filter(\.waits)
        content.begin = Loading.closing(allBut: descriptors + kept + [2]) + [Operation(CKPT_RESTART_STEP_LOADER, .setsid, [], check: .any)] + rights
        content.moves = waiting.filter { $0.mapping.flags.contains(.huge) }.map {
            Operation(CKPT_RESTART_STEP_MOVE, .madvise, [$0.staged.start, $0.staged.byteCount, Advice.huge.rawValue], check: .any)
        } + waiting.map { .move(CKPT_RESTART_STEP_MOVE, from: $0.staged, to: $0.mapping.start) }
        content.track = tracker?.operations(waiting.map { ($0.mapping, false) }, block: &block) ?? []
        content.finish = Signals.actions(image: memory.chain.newest, only: Loading.heldSignals, block: &block)
        for holder in waiting {
            for word in [holder.mapping.start, holder.mapping.end, holder.staged.start] { content.ranges.append(integer: word) }
        }
        content.rangeCount = waiting.count
        for read in fronts.flatMap({ $0.front.reads(of: memory.chain) }) {
            var places: [UInt8] = []
            for word in read.places.flatMap({ [$0.start, $0.byteCount] }) { places.append(integer: word) }
            content.append(
                kind: CKPT_LOAD_FRONT, staged: 0, byteCount: read.byteCount, fileOffset: read.fileOffset, parts: block.place(places),
                partCount: read.places.count, after: 0, descriptor: images[read.image], image: read.image)
        }
        content.frontCount = content.unitCount
        for stage in load.stages() {
            let before = content.unitCount
            for range in stage.advice { content.append(kind: CKPT_LOAD_HUGE, staged: range.start, byteCount: range.byteCount, after: before) }
            let ready = content.unitCount
            for unit in stage.units { content.append(unit, load.parts, images: images, after: ready, block: &block) }
        }
        let chain = memory.chain
        content.lines = chain.images.indices.flatMap { image in
            [
                ImageError.damaged(what: "a page does not match its checksum", offset: nil),
                .io(what: "reading pages while the program ran", errno: .ioError),
            ].flatMap { Loading.lines(name, RestartFailure(chain.naming(image, $0))) }
        }
        content.pageMap = pageMap
        content.loaderCount = UInt32(min(Int(CKPT_LOADERS_MAX), max(1, min(content.unitCount, Kernel.processorCount()))))
        content.dirtyRoom = Loading.dirtyPagesMax
        content.stackByteCount = Loading.stackByteCount
        return content
    }

    private static func lines(_ name: String, _ failure: RestartFailure) -> [[UInt8]] {
        let what = failure.what + " (the program was ended before it did anything)", kind = failure.kind.rawValue, remedy = failure.remedy
        let said = "ckpt-restart: \(name): \(kind): \(what); \(remedy)".map { $0.isNewline ? " " : $0 }
        return [
            Array(String(said).utf8) + [UInt8(ascii: "\n")],
            Array("{\"status\":126,\"class\":\"\(kind)\",\"what\":\(StatusFile.quoted(what)),\"remedy\":\(StatusFile.quoted(remedy))}\n".utf8),
        ].map { text in
            var line: [UInt8] = []
            line.append(text: text, padded: Int(CKPT_RESTART_LINE_BYTES))
            return line
        }
    }

    private static func closing(allBut kept: [Int32]) -> [Operation] {
        var operations: [Operation] = [], first: UInt64 = 0
        for number in Set(kept).filter({ $0 >= 0 }).sorted() {
            if UInt64(number) > first {
                operations.append(Operation(CKPT_RESTART_STEP_LOADER, .closeRange, [first, UInt64(number) - 1, 0], check: .any))
            }
            first = UInt64(number) + 1
        }
        return operations + [Operation(CKPT_RESTART_STEP_LOADER, .closeRange, [first, 0xffff_ffff, 0], check: .any)]
    }
}

extension RestartBlock.LoadingContent {
    fileprivate mutating func append(
        kind: ckpt_load_kind, staged: UInt64, byteCount: UInt64, fileOffset: UInt64 = 0, parts: UInt64 = 0, partCount: Int = 0, after: Int,
        descriptor: Int32 = -1, crc: UInt32 = 0, image: Int = 0
    ) {
        for word in [staged, byteCount, fileOffset, parts, UInt64(partCount), UInt64(after)] { units.append(integer: word) }
        units.append(integer: descriptor)
        units.append(integer: crc)
        units.append(integer: kind.rawValue)
        units.append(integer: UInt32(image))
        unitCount += 1
    }

    fileprivate mutating func append(_ unit: LoadUnit, _ parts: [LoadUnit.Part], images: [Int32], after: Int, block: inout RestartBlock) {
        var bytes: [UInt8] = []
        if case .copy(let range) = unit.work {
            for part in parts[range] { for word in [part.offset, part.staged, part.byteCount] { bytes.append(integer: word) } }
        }
        append(
            kind: bytes.isEmpty ? CKPT_LOAD_RUN : CKPT_LOAD_PARTS, staged: unit.staged, byteCount: unit.byteCount, fileOffset: unit.fileOffset,
            parts: bytes.isEmpty ? 0 : block.place(bytes), partCount: bytes.count / 24, after: after, descriptor: images[unit.image], crc: unit.crc,
            image: unit.image)
    }
}
