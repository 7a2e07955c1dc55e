// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage

/// Writes small images from the structs of image.h. Everything can be changed before the checksums are made, so that a
/// test reaches the checks behind them.
struct ImageBuilder {
    struct Header {
        var address: UInt64 = 0, memory: UInt64 = 0, offset: UInt64 = 0, file: UInt64 = 0
        var flags: UInt32 = 6, type: UInt32 = 1
    }

    var ident = ckpt_ident()
    var process = ckpt_process()
    var mappings: [ckpt_mapping] = []
    var runs: [ckpt_run] = []
    var threads: [ckpt_thread] = []
    var schedulings: [ckpt_scheduling] = []
    var limits: [ckpt_limit] = []
    var attributes: [ckpt_attribute] = []
    var actions: [ckpt_signal_action] = []
    var descriptors: [ckpt_descriptor] = []
    var pipes: [ckpt_pipe] = []
    var eventfds: [ckpt_eventfd] = []
    var timerfds: [ckpt_timerfd] = []
    var epolls: [ckpt_epoll_entry] = []
    var timers: [ckpt_timer] = []
    var itimers: [ckpt_itimer] = []
    var signalfds: [ckpt_signalfd] = []
    var queued: [ckpt_signal_queued] = []
    var blobs: [ckpt_blob] = []
    var strings: [UInt8] = [0]
    var headers: [Header] = []
    /// What lies behind the first 4096 bytes: pages, then blobs.
    var data: [UInt8] = []
    /// Ids of the NT_PRSTATUS notes; nil: those of the threads that have not ended.
    var statuses: [Int32]?
    var hasAuxiliaryVector = true
    /// What a later minor version adds to each record.
    var recordGrowth = 0
    var tableVersion: UInt32 = 1
    /// Changes the bytes of a note of ours, header included, before the checksums are made.
    var editNote: (_ type: UInt32, _ note: inout [UInt8]) -> Void = { _, _ in }
    var editElfHeader: (inout [UInt8]) -> Void = { _ in }
    var leftOut: Set<UInt32> = []

    mutating func string(_ text: String) -> UInt32 {
        let offset = UInt32(strings.count)
        strings += Array(text.utf8) + [0]
        return offset
    }

    static func page(_ seed: UInt8) -> [UInt8] { (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(seed)) } }

    /// Appends pages to the data and a run for them; returns their offset in the file.
    @discardableResult
    mutating func addPages(at address: UInt64, count: Int, seed: UInt8) -> UInt64 {
        let pages = (0..<count).flatMap { ImageBuilder.page(seed &+ UInt8($0)) }
        data += [UInt8](repeating: 0, count: (4096 - data.count % 4096) % 4096)
        let offset = 4096 + UInt64(data.count)
        data += pages
        runs.append(ckpt_run(
            address: address, file_offset: offset, page_count: UInt32(count), kind: CKPT_RUN_HERE.rawValue, crc: pages.span.crc32c(), reserved: 0))
        return offset
    }

    mutating func addMapping(_ start: UInt64, pages: UInt64, _ kind: ckpt_mapping_kind, protection: UInt32, name: String = "") {
        var mapping = ckpt_mapping()
        mapping.start = start
        mapping.end = start + pages * 4096
        mapping.kind = kind.rawValue
        mapping.protection = protection
        mapping.name = name.isEmpty ? 0 : string(name)
        mappings.append(mapping)
    }

    mutating func addDescriptor(_ number: Int32, _ kind: ckpt_descriptor_kind, path: String = "/f", detail: UInt32 = 0xffff_ffff, inherited: Int32 = -1) {
        var descriptor = ckpt_descriptor()
        descriptor.number = number
        descriptor.kind = kind.rawValue
        descriptor.inherited = inherited
        descriptor.shared_with = number
        descriptor.detail = detail
        descriptor.path = string(path)
        descriptors.append(descriptor)
    }

    /// Text, data with a hole and a zero run, a stack, arena, vdso; two threads; one descriptor of each kind with a table.
    static func small() -> ImageBuilder {
        var b = ImageBuilder()
        b.ident.major = 1
        b.ident.identifier = 0x1234_5678_9abc
        b.ident.run = 77
        b.ident.sequence = 1
        b.addMapping(0x40_0000, pages: 2, CKPT_MAPPING_FILE, protection: 5, name: "/bin/program")
        b.addMapping(0x50_0000, pages: 8, CKPT_MAPPING_ANONYMOUS, protection: 3)
        b.addMapping(0x7000_0000_0000, pages: 16, CKPT_MAPPING_ARENA, protection: 3)
        b.addMapping(0x7fff_0000_0000, pages: 4, CKPT_MAPPING_STACK, protection: 3, name: "[stack]")
        b.addMapping(0x7fff_ff00_0000, pages: 2, CKPT_MAPPING_VDSO, protection: 5, name: "[vdso]")
        let text = b.addPages(at: 0x40_0000, count: 2, seed: 1)
        b.headers.append(Header(address: 0x40_0000, memory: 0x2000, offset: text, file: 0x2000, flags: 5))
        // Data: two pages here, a hole of one, one of zeros, two here, two never populated.
        let start = b.addPages(at: 0x50_0000, count: 2, seed: 10)
        b.data += [UInt8](repeating: 0, count: 2 * 4096)
        b.runs.append(ckpt_run(address: 0x50_3000, file_offset: 0, page_count: 1, kind: CKPT_RUN_ZERO.rawValue, crc: 0, reserved: 0))
        b.addPages(at: 0x50_4000, count: 2, seed: 20)
        b.headers.append(Header(address: 0x50_0000, memory: 0x8000, offset: start, file: 0x6000))
        let stack = b.addPages(at: 0x7fff_0000_2000, count: 2, seed: 30)
        b.headers.append(Header(address: 0x7fff_0000_2000, memory: 0x2000, offset: stack, file: 0x2000))
        b.fillProcess()
        b.fillThreads()
        b.fillDescriptors()
        return b
    }

    private mutating func fillProcess() {
        process.pid = 100
        process.umask = 0o22
        process.thread_count = 2
        process.start_brk = 0x60_0000
        process.brk = 0x60_0000
        process.vdso_start = 0x7fff_ff00_0000
        process.vdso_end = 0x7fff_ff00_2000
        process.arena_start = 0x7000_0000_0000
        process.arena_end = 0x7000_0001_0000
        process.executable = string("/bin/program")
        process.directory = string("/tmp")
        process.kernel_release = string("6.1.0")
        process.build_id_byte_count = 20
        process.restart_context = 0x50_0100
        process.cpu_level = 1
    }

    private mutating func fillThreads() {
        for (index, tid) in [Int32(100), 101].enumerated() {
            var thread = ckpt_thread()
            thread.tid = tid
            thread.flags = index == 0 ? 1 : 0
            thread.ucontext = 0x7fff_0000_2000 + UInt64(index) * 0x1000
            thread.fs_base = 0x50_1000
            thread.name.0 = 0x74  // t
            threads.append(thread)
        }
        for number in [UInt32(1), 2, 10, 64] {
            actions.append(ckpt_signal_action(number: number, reserved: 0, handler: 1, flags: 0, restorer: 0, mask: 0))
        }
    }

    private mutating func fillDescriptors() {
        addDescriptor(0, CKPT_DESCRIPTOR_DEVICE, path: "/dev/null", inherited: 0)
        addDescriptor(3, CKPT_DESCRIPTOR_FILE, path: "/tmp/out.txt")
        addDescriptor(4, CKPT_DESCRIPTOR_EVENTFD, detail: 0)
        addDescriptor(5, CKPT_DESCRIPTOR_TIMERFD, detail: 0)
        addDescriptor(6, CKPT_DESCRIPTOR_EPOLL)
        addDescriptor(7, CKPT_DESCRIPTOR_PIPE, detail: 0)
        addDescriptor(9, CKPT_DESCRIPTOR_FILE)
        descriptors[6].shared_with = 3
        eventfds = [ckpt_eventfd(count: 5, semaphore: 1, reserved: 0)]
        timerfds = [ckpt_timerfd(clock: 1, settime_flags: 0, ticks: 2, value_ns: 3, interval_ns: 4, clock_ns: 5)]
        epolls = [ckpt_epoll_entry(epoll: 6, target: 4, events: 1, reserved: 0, data: 42, device: 1, inode: 2)]
        let content = Array("content of a pipe".utf8)
        blobs = [ckpt_blob(file_offset: 4096 + UInt64(data.count), byte_count: UInt64(content.count), crc: content.span.crc32c(), reserved: 0)]
        pipes = [ckpt_pipe(inode: 8, capacity: 65536, blob: 0, ends: 3)]
        data += content + [UInt8](repeating: 0, count: 24 - content.count)
    }
}
