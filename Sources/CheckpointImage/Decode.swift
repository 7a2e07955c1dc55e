// SPDX-License-Identifier: Apache-2.0
// From the bytes of a record to its Swift type. The caller has checked that the record lies inside the bytes; what a
// number refers to is checked in Checks.swift. Offsets are those of image.h, which the tests compare.

extension ProcessState {
    static let byteCount = 336

    init(_ b: Span<UInt8>, at o: Int, _ strings: inout Strings) throws(ImageError) {
        pid = b.int32(at: o)
        parentPid = b.int32(at: o + 4)
        group = b.int32(at: o + 8)
        session = b.int32(at: o + 12)
        uid = b.uint32(at: o + 16)
        gid = b.uint32(at: o + 20)
        umask = b.uint32(at: o + 24)
        threadCount = b.uint32(at: o + 28)
        pendingSignals = b.uint64(at: o + 32)
        startCode = b.uint64(at: o + 40)
        endCode = b.uint64(at: o + 48)
        startData = b.uint64(at: o + 56)
        endData = b.uint64(at: o + 64)
        startBrk = b.uint64(at: o + 72)
        brk = b.uint64(at: o + 80)
        startStack = b.uint64(at: o + 88)
        argStart = b.uint64(at: o + 96)
        argEnd = b.uint64(at: o + 104)
        envStart = b.uint64(at: o + 112)
        envEnd = b.uint64(at: o + 120)
        vdsoStart = b.uint64(at: o + 128)
        vdsoEnd = b.uint64(at: o + 136)
        executable = try strings.path(b.uint32(at: o + 152))
        directory = try strings.path(b.uint32(at: o + 156))
        root = try strings.path(b.uint32(at: o + 160))
        kernelRelease = try strings.text(b.uint32(at: o + 164))
        let buildIdByteCount = b.uint32(at: o + 188)
        guard buildIdByteCount <= 20 else { throw .damaged(what: "a build id of \(buildIdByteCount) bytes", offset: nil) }
        buildId = (0..<Int(buildIdByteCount)).map { b.uint8(at: o + 168 + $0) }
        bootId = (0..<16).map { b.uint8(at: o + 192 + $0) }
        realtimeNs = b.uint64(at: o + 208)
        monotonicNs = b.uint64(at: o + 216)
        boottimeNs = b.uint64(at: o + 224)
        xfeatures = b.uint64(at: o + 232)
        xsaveByteCount = b.uint32(at: o + 240)
        cpuLevel = b.uint32(at: o + 244)
        cpuid = (0..<8).map { b.uint32(at: o + 248 + 4 * $0) }
        restartContext = b.uint64(at: o + 280)
        arenaStart = b.uint64(at: o + 288)
        arenaEnd = b.uint64(at: o + 296)
        beaconStart = b.uint64(at: o + 304)
        beaconEnd = b.uint64(at: o + 312)
        beaconName = try strings.text(b.uint32(at: o + 320))
        pauseNs = b.uint64(at: o + 328)
    }
}

extension ProcessorState {
    static let byteCount = 280

    init(_ b: Span<UInt8>, at o: Int) {
        permitted = b.uint64(at: o)
        level = b.uint32(at: o + 8)
        cpuid = (0..<3).map { b.uint32(at: o + 12 + 4 * $0) }
        components = (0..<32).map { Component(offset: b.uint32(at: o + 24 + 8 * $0), byteCount: b.uint32(at: o + 28 + 8 * $0)) }
    }
}

extension Mapping {
    static let recordByteCount = 56

    /// `byteCount`: of the record, which was shorter in older images.
    init(_ b: Span<UInt8>, at o: Int, byteCount: Int, _ strings: inout Strings) throws(ImageError) {
        start = b.uint64(at: o)
        end = b.uint64(at: o + 8)
        kind = MappingKind(rawValue: b.uint32(at: o + 16)) ?? .other
        protection = Protection(rawValue: b.uint32(at: o + 20))
        flags = MappingFlags(rawValue: b.uint32(at: o + 24))
        name = try strings.path(b.uint32(at: o + 28))
        fileOffset = b.uint64(at: o + 32)
        device = b.uint64(at: o + 40)
        inode = b.uint64(at: o + 48)
        guard byteCount >= 64 else { return }
        let number = b.uint32(at: o + 56)
        object = number == 0 ? nil : Int(number) - 1
        protectionKey = b.uint32(at: o + 60)
    }
}

extension SharedObject {
    static let recordByteCount = 64

    init(_ b: Span<UInt8>, at o: Int, _ strings: inout Strings) throws(ImageError) {
        address = b.uint64(at: o)
        byteCount = b.uint64(at: o + 8)
        device = b.uint64(at: o + 16)
        inode = b.uint64(at: o + 24)
        kind = SharedKind(rawValue: b.uint32(at: o + 32)) ?? .unknown
        flags = SharedFlags(rawValue: b.uint32(at: o + 36))
        seals = b.uint32(at: o + 40)
        mode = b.uint32(at: o + 44)
        name = try strings.path(b.uint32(at: o + 48))
        key = b.uint32(at: o + 52)
        modifiedNs = b.int64(at: o + 56)
    }
}

extension GuardPages {
    static let recordByteCount = 16

    init(_ b: Span<UInt8>, at o: Int) {
        start = b.uint64(at: o)
        end = b.uint64(at: o + 8)
    }
}

extension PageRun {
    static let recordByteCount = 32

    init(_ b: Span<UInt8>, at o: Int) throws(ImageError) {
        address = b.uint64(at: o)
        fileOffset = b.uint64(at: o + 8)
        pageCount = b.uint32(at: o + 16)
        let kind = b.uint32(at: o + 20)
        guard let known = RunKind(rawValue: kind) else { throw .damaged(what: "a page run of kind \(kind)", offset: nil) }
        self.kind = known
        crc = b.uint32(at: o + 24)
    }
}

extension ThreadState {
    static let recordByteCount = 128

    init(_ b: Span<UInt8>, at o: Int) {
        tid = b.int32(at: o)
        flags = ThreadFlags(rawValue: b.uint32(at: o + 4))
        ucontext = b.uint64(at: o + 8)
        fsBase = b.uint64(at: o + 16)
        gsBase = b.uint64(at: o + 24)
        tidAddress = b.uint64(at: o + 32)
        robustList = b.uint64(at: o + 40)
        robustListByteCount = b.uint64(at: o + 48)
        rseq = b.uint64(at: o + 56)
        rseqByteCount = b.uint32(at: o + 64)
        rseqSignature = b.uint32(at: o + 68)
        signalMask = b.uint64(at: o + 72)
        pendingSignals = b.uint64(at: o + 80)
        alternateStack = b.uint64(at: o + 88)
        alternateStackByteCount = b.uint64(at: o + 96)
        alternateStackFlags = b.uint32(at: o + 104)
        var letters: [UInt8] = []
        for index in 0..<16 {
            let letter = b.uint8(at: o + 112 + index)
            if letter == 0 { break }
            letters.append(letter)
        }
        name = String(decoding: letters, as: UTF8.self)
    }
}

extension SchedulingState {
    static let recordByteCount = 192

    init(_ b: Span<UInt8>, at o: Int) {
        tid = b.int32(at: o)
        policy = b.uint32(at: o + 4)
        flags = b.uint32(at: o + 8)
        nice = b.int32(at: o + 12)
        priority = b.uint32(at: o + 16)
        ioPriority = b.uint32(at: o + 20)
        runtimeNs = b.uint64(at: o + 24)
        deadlineNs = b.uint64(at: o + 32)
        periodNs = b.uint64(at: o + 40)
        timerSlackNs = b.uint64(at: o + 48)
        let byteCount = min(128, Int(b.uint32(at: o + 56)))
        processors = (0..<byteCount).map { b.uint8(at: o + 64 + $0) }
    }
}

extension LimitState {
    static let recordByteCount = 24

    init(_ b: Span<UInt8>, at o: Int) {
        resource = b.uint32(at: o)
        soft = b.uint64(at: o + 8)
        hard = b.uint64(at: o + 16)
    }
}

extension AttributeState {
    static let recordByteCount = 16

    init(_ b: Span<UInt8>, at o: Int) {
        rawKind = b.uint32(at: o)
        tid = b.int32(at: o + 4)
        value = b.uint64(at: o + 8)
    }
}

extension Registers {
    /// Size of NT_PRSTATUS, and where the thread's id and registers are in it (the kernel's struct elf_prstatus).
    static let statusByteCount = 336
    static let tidOffset = 32

    init(_ b: Span<UInt8>, at o: Int) {
        values = (0..<27).map { b.uint64(at: o + 112 + 8 * $0) }
    }
}

extension SignalAction {
    static let recordByteCount = 40

    init(_ b: Span<UInt8>, at o: Int) {
        number = b.int32(at: o)
        handler = b.uint64(at: o + 8)
        flags = b.uint64(at: o + 16)
        restorer = b.uint64(at: o + 24)
        mask = b.uint64(at: o + 32)
    }
}

extension DescriptorState {
    static let recordByteCount = 104

    init(_ b: Span<UInt8>, at o: Int, _ strings: inout Strings) throws(ImageError) {
        number = b.int32(at: o)
        kind = DescriptorKind(rawValue: b.uint32(at: o + 4)) ?? .other
        flags = DescriptorFlags(rawValue: b.uint32(at: o + 8))
        closeOnExec = b.uint32(at: o + 12) != 0
        statusFlags = b.uint32(at: o + 16)
        inherited = b.int32(at: o + 20)
        sharedWith = b.int32(at: o + 24)
        detail = index(b.uint32(at: o + 28))
        position = b.uint64(at: o + 32)
        device = b.uint64(at: o + 40)
        inode = b.uint64(at: o + 48)
        rdev = b.uint64(at: o + 56)
        mode = b.uint32(at: o + 64)
        path = try strings.path(b.uint32(at: o + 68))
        byteCount = b.uint64(at: o + 72)
        modifiedNs = b.int64(at: o + 80)
        changedNs = b.int64(at: o + 88)
        headCRC = b.uint32(at: o + 96)
        tailCRC = b.uint32(at: o + 100)
    }
}

extension PipeState {
    static let recordByteCount = 24

    init(_ b: Span<UInt8>, at o: Int) {
        inode = b.uint64(at: o)
        capacity = b.uint64(at: o + 8)
        blob = index(b.uint32(at: o + 16))
        ends = PipeEnds(rawValue: b.uint32(at: o + 20))
    }
}

extension EventfdState {
    static let recordByteCount = 16

    init(_ b: Span<UInt8>, at o: Int) {
        count = b.uint64(at: o)
        semaphore = b.uint32(at: o + 8) != 0
    }
}

extension QueuedSignal {
    static let recordByteCount = 136

    init(_ b: Span<UInt8>, at o: Int) {
        tid = b.int32(at: o)
        information = (0..<128).map { b.uint8(at: o + 8 + $0) }
    }
}

extension TimerState {
    static let recordByteCount = 48

    init(_ b: Span<UInt8>, at o: Int) {
        id = b.int32(at: o)
        clock = b.int32(at: o + 4)
        notify = b.uint32(at: o + 8)
        signal = b.int32(at: o + 12)
        tid = b.int32(at: o + 16)
        overrun = b.uint32(at: o + 20)
        value = b.uint64(at: o + 24)
        valueNs = b.uint64(at: o + 32)
        intervalNs = b.uint64(at: o + 40)
    }
}

extension ItimerState {
    static let recordByteCount = 24

    init(_ b: Span<UInt8>, at o: Int) {
        which = b.uint32(at: o)
        valueNs = b.uint64(at: o + 8)
        intervalNs = b.uint64(at: o + 16)
    }
}

extension SignalfdState {
    static let recordByteCount = 8

    init(_ b: Span<UInt8>, at o: Int) { mask = b.uint64(at: o) }
}

extension TimerfdState {
    /// Of the first version.
    static let recordByteCount = 32

    init(_ b: Span<UInt8>, at o: Int, byteCount: Int) {
        if byteCount >= 40 { clockNs = b.uint64(at: o + 32) }
        clock = b.int32(at: o)
        settimeFlags = b.uint32(at: o + 4)
        ticks = b.uint64(at: o + 8)
        valueNs = b.uint64(at: o + 16)
        intervalNs = b.uint64(at: o + 24)
    }
}

extension EpollEntry {
    static let recordByteCount = 40

    init(_ b: Span<UInt8>, at o: Int) {
        epoll = b.int32(at: o)
        target = b.int32(at: o + 4)
        events = b.uint32(at: o + 8)
        data = b.uint64(at: o + 16)
        device = b.uint64(at: o + 24)
        inode = b.uint64(at: o + 32)
    }
}

extension Blob {
    static let recordByteCount = 24

    init(_ b: Span<UInt8>, at o: Int) {
        fileOffset = b.uint64(at: o)
        byteCount = b.uint64(at: o + 8)
        crc = b.uint32(at: o + 16)
    }
}

/// CKPT_NO_DETAIL is no index.
private func index(_ number: UInt32) -> Int? { number == 0xffff_ffff ? nil : Int(number) }
