// SPDX-License-Identifier: Apache-2.0
// What the tables of an image say of one another, compared. An image that passes can be planned with: every reference
// leads somewhere, every address is the program's, every offset lies in the file.

struct Checks {
    let file: ImageFile
    let ident: Identity
    let segments: [Segment]

    private func damaged(_ what: String) -> ImageError { .damaged(what: what, offset: nil) }

    /// Checks all, and gives each thread its registers.
    func run(_ tables: inout Tables) throws(ImageError) {
        try Checks.check(tables.mappings)
        try Checks.check(tables.shared, tables.mappings)
        try check(tables.guards)
        try check(tables.process, tables.mappings)
        try checkSegments(tables.mappings)
        try checkChunks(tables)
        try check(tables.runs, tables)
        try checkThreads(&tables)
        try check(tables.signalActions)
        try checkStates(tables)
        try checkTimers(tables)
        try checkBlobs(tables)
        try checkDescriptors(tables)
    }

    static func check(_ mappings: [Mapping]) throws(ImageError) {
        var last: UInt64 = 0
        for mapping in mappings {
            let name = "the mapping at \(mapping.start.hex)"
            guard mapping.start < mapping.end else { throw .damaged(what: "\(name) is empty", offset: nil) }
            let isObject = mapping.kind == .object && Image.objectAddresses.contains(mapping.start) && mapping.end <= Image.objectAddresses.upperBound
            // Kernel: five levels of page tables give these only to programs that ask for them (mmap with such an address).
            guard isObject || mapping.end <= Image.addressLimit || mapping.end > Image.farLimit else {
                throw .unsupported(what: "\(name) lies above 47 bits, where five levels of page tables are needed")
            }
            guard isObject || mapping.end <= Image.addressLimit else { throw .damaged(what: "\(name) leaves the address space", offset: nil) }
            guard mapping.start.isPageAligned, mapping.end.isPageAligned else { throw .damaged(what: "\(name) is not page-aligned", offset: nil) }
            guard mapping.start >= last else { throw .damaged(what: "\(name) overlaps the one before", offset: nil) }
            guard mapping.protection.rawValue <= 7 else { throw .damaged(what: "\(name) has an unknown protection", offset: nil) }
            guard mapping.fileOffset <= 1 << 62 else { throw .damaged(what: "\(name) is beyond the end of every file", offset: nil) }
            last = mapping.end
        }
    }

    /// Each object has its content, and each mapping of one lies inside what a file can have.
    static func check(_ shared: [SharedObject], _ mappings: [Mapping]) throws(ImageError) {
        var contents = mappings.filter { $0.kind == .object }[...]
        for object in shared {
            guard let content = contents.popFirst(), content.start == object.address, object.byteCount <= content.byteCount else {
                throw .damaged(what: "the content of the shared object \(object.inode) is missing", offset: nil)
            }
        }
        guard contents.isEmpty else { throw .damaged(what: "content of a shared object that is not there", offset: nil) }
        for mapping in mappings {
            guard let index = mapping.object else { continue }
            guard shared.indices.contains(index), mapping.kind == .sharedAnonymous || mapping.kind == .sharedFile, mapping.fileOffset.isPageAligned else {
                throw .damaged(what: "the mapping at \(mapping.start.hex) is of an object that is not there", offset: nil)
            }
        }
    }

    private func check(_ guards: [GuardPages]) throws(ImageError) {
        var last: UInt64 = 0
        for pages in guards {
            guard pages.start >= last, pages.start < pages.end, pages.end <= Image.addressLimit, pages.start.isPageAligned, pages.end.isPageAligned else {
                throw damaged("guard pages at \(pages.start.hex), where none can be")
            }
            last = pages.end
        }
    }

    private func check(_ process: ProcessState, _ mappings: [Mapping]) throws(ImageError) {
        guard process.pid > 0 else { throw damaged("process id \(process.pid)") }
        guard process.umask <= 0o777 else { throw damaged("a umask of \(process.umask)") }
        for (start, end, name) in [
            (process.vdsoStart, process.vdsoEnd, "vdso"), (process.arenaStart, process.arenaEnd, "arena"),
            (process.beaconStart, process.beaconEnd, "beacon"),
        ] {
            guard start <= end, end <= Image.addressLimit, start.isPageAligned, end.isPageAligned else {
                throw damaged("the \(name) is at no possible address")
            }
        }
        guard process.startBrk <= process.brk, process.brk <= Image.addressLimit else { throw damaged("the heap ends before it starts") }
        if process.restartContext != 0 {
            guard let mapping = mappings.holding(process.restartContext), mapping.isSaved,
                mapping.end - process.restartContext >= Image.restartContextByteCount
            else { throw damaged("the restart context is in no saved mapping") }
        }
    }

    private func checkSegments(_ mappings: [Mapping]) throws(ImageError) {
        for segment in segments {
            guard let mapping = mappings.holding(segment.address), segment.end <= mapping.end else {
                throw damaged("the program header of \(segment.address.hex) is in no mapping")
            }
        }
        // None overlaps another in the file: what is read is never more than the file.
        let ordered = segments.filter { $0.fileByteCount > 0 }.sorted { $0.fileOffset < $1.fileOffset }
        for (one, next) in zip(ordered, ordered.dropFirst()) where one.fileOffset + one.fileByteCount > next.fileOffset {
            throw damaged("the program header of \(next.address.hex) shares bytes of the file with another")
        }
    }

    private func check(_ runs: [PageRun], _ tables: Tables) throws(ImageError) {
        let mappings = tables.mappings
        var last: UInt64 = 0
        var mappingIndex = 0
        var segmentIndex = 0
        for run in runs {
            // Made only when it is needed: there are very many runs.
            func wrong(_ what: String) -> ImageError { damaged("the page run at \(run.address.hex) \(what)") }
            guard run.pageCount >= 1 else { throw wrong("is empty") }
            guard run.address.isPageAligned else { throw wrong("is not page-aligned") }
            guard run.address < Image.objectAddresses.upperBound, run.byteCount <= Image.objectAddresses.upperBound - run.address else {
                throw wrong("leaves the address space")
            }
            guard run.address >= last else { throw wrong("overlaps the one before") }
            last = run.end
            while mappingIndex < mappings.count, mappings[mappingIndex].end <= run.address { mappingIndex += 1 }
            guard mappingIndex < mappings.count, mappings[mappingIndex].start <= run.address, run.end <= mappings[mappingIndex].end
            else { throw wrong("is in no mapping") }
            switch run.kind {
            case .zero: break
            case .parent:
                guard ident.parent != 0 else { throw wrong("is in the parent, but this is a full image") }
            case .here:
                guard run.pageCount <= Image.runPagesMax else { throw wrong("has \(run.pageCount) pages") }
                guard run.fileOffset >= Image.pageSize, run.fileOffset.isPageAligned, holds(run.fileOffset, run.byteCount, tables) else {
                    throw wrong("leaves the file")
                }
                while segmentIndex < segments.count, segments[segmentIndex].end <= run.address { segmentIndex += 1 }
                guard segmentIndex < segments.count, segments[segmentIndex].address <= run.address else {
                    throw wrong("is in no program header")
                }
                let segment = segments[segmentIndex]
                let distance = run.address - segment.address
                if ident.flags.contains(.compressed) {
                    guard distance < segment.memoryByteCount, run.byteCount <= segment.memoryByteCount - distance else {
                        throw wrong("is in no program header")
                    }
                    continue
                }
                // No overflow: the segment's part in the file has been checked to lie in the file.
                guard distance < segment.fileByteCount, run.byteCount <= segment.fileByteCount - distance,
                    run.fileOffset == segment.fileOffset + distance
                else { throw wrong("is elsewhere in its program header") }
            }
        }
    }

    private func checkThreads(_ tables: inout Tables) throws(ImageError) {
        let process = tables.process
        guard !tables.threads.isEmpty, tables.threads.count == Int(process.threadCount) else {
            throw damaged("\(tables.threads.count) threads, but the process had \(process.threadCount)")
        }
        var registers: [Int32: Registers] = [:]
        for status in tables.statuses {
            guard registers.updateValue(status.registers, forKey: status.tid) == nil else {
                throw damaged("the registers of thread \(status.tid) are there twice")
            }
        }
        var seen: Set<Int32> = []
        for index in tables.threads.indices {
            let thread = tables.threads[index]
            let name = "thread \(thread.tid)"
            guard thread.tid > 0, seen.insert(thread.tid).inserted else { throw damaged("\(name) is there twice, or none") }
            guard thread.flags.contains(.leader) == (index == 0) else { throw damaged("the leader is not the first thread") }
            guard index > 0 || thread.tid == process.pid else { throw damaged("the leader is not the process") }
            if thread.flags.contains(.ended) {
                guard index == 0 else { throw damaged("\(name) has ended, but is not the leader") }
                continue
            }
            guard let mapping = tables.mappings.holding(thread.ucontext), mapping.isSaved,
                mapping.end - thread.ucontext >= Image.ucontextByteCount
            else { throw damaged("the signal frame of \(name) is in no saved mapping") }
            // The mapping ends behind the frame: no overflow.
            for address in [thread.ucontext, thread.ucontext + Image.ucontextByteCount - 1] {
                guard let run = tables.runs.holding(mapping.contentAddress(of: address, tables.shared)), run.kind != .zero else {
                    throw damaged("the signal frame of \(name) is in no page of the image")
                }
            }
            guard let found = registers.removeValue(forKey: thread.tid) else { throw damaged("the registers of \(name) are missing") }
            tables.threads[index].registers = found
        }
        guard registers.isEmpty else { throw damaged("registers of a thread that is not in the table") }
    }

    private func check(_ actions: [SignalAction]) throws(ImageError) {
        var seen: Set<Int32> = []
        for action in actions {
            guard 1...64 ~= action.number, seen.insert(action.number).inserted else {
                throw damaged("the action of signal \(action.number) is there twice, or no signal")
            }
        }
    }

    private func checkStates(_ tables: Tables) throws(ImageError) {
        var threads = Set<Int32>(), resources = Set<UInt32>()
        for state in tables.schedulings {
            guard state.tid > 0, threads.insert(state.tid).inserted else { throw damaged("the scheduling of thread \(state.tid) is there twice, or none") }
        }
        for limit in tables.limits {
            guard resources.insert(limit.resource).inserted, limit.soft <= limit.hard else { throw damaged("the limit of \(limit.name) is there twice, or none") }
        }
    }

    private func checkTimers(_ tables: Tables) throws(ImageError) {
        let tids = Set(tables.threads.map(\.tid))
        var seen: Set<Int32> = []
        for timer in tables.timers {
            guard timer.id >= 0, seen.insert(timer.id).inserted else { throw damaged("timer \(timer.id) is there twice, or none") }
            guard [0, 1, 2, 4, 6].contains(timer.notify), timer.notify == 1 || 1...64 ~= timer.signal else {
                throw damaged("timer \(timer.id) sends no possible signal")
            }
            guard timer.tid == 0 || tids.contains(timer.tid) else { throw damaged("timer \(timer.id) is of a thread that is not there") }
        }
        var kinds: Set<UInt32> = []
        for timer in tables.itimers {
            guard timer.which <= 2, kinds.insert(timer.which).inserted else { throw damaged("interval timer \(timer.which) is there twice, or none") }
        }
        for signal in tables.queuedSignals {
            guard 1...64 ~= signal.number, signal.tid == 0 || tids.contains(signal.tid) else {
                throw damaged("signal \(signal.number) is queued for thread \(signal.tid), which is not there")
            }
        }
    }

    private func checkBlobs(_ tables: Tables) throws(ImageError) {
        var total: UInt64 = 0
        let most = contentByteCountMax(tables)
        for (index, blob) in tables.blobs.enumerated() where blob.byteCount > 0 {
            guard blob.fileOffset >= ElfHeader.byteCount, holds(blob.fileOffset, blob.byteCount, tables) else {
                throw damaged("blob \(index) leaves the file")
            }
            // No overflow: both are at most what the image has.
            total += blob.byteCount
            guard total <= most else { throw damaged("the blobs share bytes of the file") }
        }
        for pipe in tables.pipes {
            guard pipe.capacity <= 1 << 31 else { throw damaged("a pipe of \(pipe.capacity) bytes") }
            guard let blob = pipe.blob else { continue }
            guard tables.blobs.indices.contains(blob) else { throw damaged("the content of a pipe is missing") }
            guard tables.blobs[blob].byteCount <= pipe.capacity else { throw damaged("a pipe holds more than it can") }
        }
    }

    private func checkDescriptors(_ tables: Tables) throws(ImageError) {
        var first: [Int32: DescriptorState] = [:]
        var last: Int32 = -1
        for descriptor in tables.descriptors {
            let name = "descriptor \(descriptor.number)"
            guard descriptor.number > last, descriptor.number <= 1 << 30 else { throw damaged("\(name) is out of order") }
            last = descriptor.number
            guard -1...2 ~= descriptor.inherited else { throw damaged("\(name) is inherited from nowhere") }
            if descriptor.sharedWith == descriptor.number {
                first[descriptor.number] = descriptor
            } else {
                guard let other = first[descriptor.sharedWith], other.kind == descriptor.kind else {
                    throw damaged("\(name) is a duplicate of \(descriptor.sharedWith), which is not there")
                }
            }
            try check(detailOf: descriptor, name, tables)
        }
        for entry in tables.epollEntries {
            guard let epoll = first[entry.epoll], epoll.kind == .epoll else {
                throw damaged("an epoll entry of descriptor \(entry.epoll), which is none")
            }
            guard entry.target >= 0 else { throw damaged("an epoll entry for descriptor \(entry.target)") }
        }
    }

    private func check(detailOf descriptor: DescriptorState, _ name: String, _ tables: Tables) throws(ImageError) {
        let count: Int
        switch descriptor.kind {
        case .pipe: count = tables.pipes.count
        case .eventfd: count = tables.eventfds.count
        case .timerfd: count = tables.timerfds.count
        case .signalfd:
            guard descriptor.detail != nil else { return }  // an older image: not described
            count = tables.signalfds.count
        case .socket where descriptor.flags.contains(.unconnected): count = 6  // SOCK_STREAM 1 … SOCK_SEQPACKET 5
        case _ where descriptor.flags.contains(.object): count = tables.shared.count
        case _ where descriptor.flags.contains(.embedded): count = tables.blobs.count
        default: return
        }
        guard let detail = descriptor.detail else {
            // A stream that the program was given comes from elsewhere, and a duplicate has what the first one has.
            guard descriptor.inherited >= 0 || descriptor.sharedWith != descriptor.number else { throw damaged("the state of \(name) is missing") }
            return
        }
        guard detail < count else { throw damaged("the state of \(name) is not in its table") }
    }
}

extension [Mapping] {
    /// The mapping that holds an address; the mappings ascend.
    package func holding(_ address: UInt64) -> Mapping? {
        var low = 0, high = count
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low].start <= address ? self[low] : nil
    }
}

extension Mapping {
    /// Whether its content travels in the image.
    package var isSaved: Bool {
        switch kind {
        case .vdso, .vvar, .arena: false
        default: true
        }
    }

    /// Where the pages of an address in this mapping are: of a shared object they are there once.
    package func contentAddress(of address: UInt64, _ shared: [SharedObject]) -> UInt64 {
        guard let object, shared.indices.contains(object) else { return address }
        return shared[object].address &+ fileOffset &+ (address &- start)
    }
}

extension UInt64 {
    /// As in /proc/PID/maps, with 0x.
    package var hex: String { "0x" + String(self, radix: 16) }
}
