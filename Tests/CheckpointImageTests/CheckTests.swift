// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import Testing

/// Images with good checksums whose tables contradict each other: each is refused with these words.
struct Contradiction: CustomTestStringConvertible, Sendable {
    let words: String
    let edit: @Sendable (inout ImageBuilder) -> Void
    var testDescription: String { words }

    init(_ words: String, _ edit: @escaping @Sendable (inout ImageBuilder) -> Void) {
        self.words = words
        self.edit = edit
    }

    static let mappings: [Contradiction] = [
        Contradiction("the mapping at 0x500000 is empty") { $0.mappings[1].end = $0.mappings[1].start },
        Contradiction("the mapping at 0x500800 is not page-aligned") { $0.mappings[1].start += 0x800 },
        Contradiction("the mapping at 0x500000 overlaps the one before") { $0.mappings[0].end = 0x50_1000 },
        Contradiction("leaves the address space") { $0.mappings[4].end = 1 << 57 },
        Contradiction("leaves the address space") { $0.mappings[4].end = .max & ~4095 },
        Contradiction("has an unknown protection") { $0.mappings[1].protection = 8 },
        Contradiction("is beyond the end of every file") { $0.mappings[1].file_offset = .max & ~4095 },
        Contradiction("overlaps the one before") { $0.mappings.swapAt(0, 1) },
    ]

    static let headers: [Contradiction] = [
        Contradiction("is not a PT_LOAD") { $0.headers[1].type = 2 },
        Contradiction("leaves the address space") { $0.headers[1].memory = .max & ~4095 },
        Contradiction("overlaps the one before") { $0.headers.swapAt(0, 1) },
        Contradiction("is not page-aligned") { $0.headers[1].address += 8 },
        Contradiction("is not page-aligned") { $0.headers[1].file -= 8 },
        Contradiction("has more bytes in the file than in memory") { $0.headers[0].file = 0x3000 },
        Contradiction("leaves the file") { $0.headers[0].offset = .max & ~4095 },
        Contradiction("leaves the file") { $0.headers[0].offset = 0 },
        Contradiction("leaves the file") { $0.headers[2].offset += 1 << 20 },
        Contradiction("is in no mapping") { $0.headers[0].address = 0x30_0000 },
        Contradiction("is in no mapping") { $0.headers[1].memory += 4096 },
        Contradiction("shares bytes of the file") { $0.headers[2].offset = $0.headers[0].offset },
    ]

    static let states: [Contradiction] = [
        Contradiction("the scheduling of thread 100 is there twice") {
            let state = ckpt_scheduling(fixtureThread: 100)
            $0.schedulings = [state, state]
        },
        Contradiction("the scheduling of thread 0 is there twice, or none") { $0.schedulings = [ckpt_scheduling(fixtureThread: 0)] },
        Contradiction("the limit of nofile is there twice") { $0.limits = [ckpt_limit(resource: 7, reserved: 0, soft: 1, hard: 2), ckpt_limit(resource: 7, reserved: 0, soft: 1, hard: 2)] },
        Contradiction("the limit of core is there twice, or none") { $0.limits = [ckpt_limit(resource: 4, reserved: 0, soft: 3, hard: 2)] },
    ]

    static let runs: [Contradiction] = [
        Contradiction("is empty") { $0.runs[0].page_count = 0 },
        Contradiction("has 257 pages") { $0.mappings[1].end += 300 * 4096; $0.runs[3].page_count = 257 },
        Contradiction("is in no mapping") { $0.runs[2].page_count = .max },
        Contradiction("is not page-aligned") { $0.runs[1].address += 1 },
        Contradiction("leaves the address space") { $0.runs[4].address = .max & ~4095 },
        Contradiction("overlaps the one before") { $0.runs[1].page_count = 4 },
        Contradiction("is in no mapping") { $0.runs[0].address -= 4096 },
        Contradiction("is in the parent, but this is a full image") { $0.runs[2].kind = 3 },
        Contradiction("a page run of kind 4") { $0.runs[2].kind = 4 },
        Contradiction("leaves the file") { $0.runs[3].file_offset = .max & ~4095 },
        Contradiction("leaves the file") { $0.runs[3].file_offset = 0 },
        Contradiction("is elsewhere in its program header") { $0.runs[3].file_offset -= 4096 },
        Contradiction("is elsewhere in its program header") { $0.headers[1].file = 0x2000 },
        Contradiction("is in no program header") { $0.headers.remove(at: 1) },
    ]

    static let threads: [Contradiction] = [
        Contradiction("2 threads, but the process had 3") { $0.process.thread_count = 3 },
        Contradiction("0 threads") { $0.threads = []; $0.process.thread_count = 0 },
        Contradiction("the leader is not the first thread") { $0.threads[0].flags = 0 },
        Contradiction("the leader is not the first thread") { $0.threads[1].flags = 1 },
        Contradiction("the leader is not the process") { $0.process.pid = 99 },
        Contradiction("is there twice, or none") { $0.threads[1].tid = 100; $0.statuses = [100, 101] },
        Contradiction("is there twice, or none") { $0.threads[1].tid = -1; $0.statuses = [100, 101] },
        Contradiction("has ended, but is not the leader") { $0.threads[1].flags = 2 },
        Contradiction("the signal frame of thread 101 is in no saved mapping") { $0.threads[1].ucontext = 0 },
        Contradiction("the signal frame of thread 101 is in no saved mapping") { $0.threads[1].ucontext = .max },
        Contradiction("the signal frame of thread 101 is in no saved mapping") { $0.threads[1].ucontext = 0x7000_0000_0000 },
        Contradiction("the signal frame of thread 101 is in no saved mapping") { $0.threads[1].ucontext = 0x7fff_0000_3fff },
        Contradiction("the signal frame of thread 101 is in no page of the image") { $0.threads[1].ucontext = 0x7fff_0000_1000 },
        Contradiction("the signal frame of thread 101 is in no page of the image") { $0.threads[1].ucontext = 0x50_3100 },
        Contradiction("the registers of thread 101 are missing") { $0.statuses = [100] },
        Contradiction("the registers of thread 101 are missing") { $0.statuses = [100, 102] },
        Contradiction("registers of a thread that is not in the table") { $0.statuses = [100, 101, 102] },
        Contradiction("the registers of thread 100 are there twice") { $0.statuses = [100, 100, 101] },
    ]

    static let process: [Contradiction] = [
        Contradiction("process id 0") { $0.process.pid = 0 },
        Contradiction("a umask of") { $0.process.umask = 0o1000 },
        Contradiction("the vdso is at no possible address") { $0.process.vdso_end = .max },
        Contradiction("the arena is at no possible address") { $0.process.arena_end = 0 },
        Contradiction("the beacon is at no possible address") { $0.process.beacon_end = 1 },
        Contradiction("the heap ends before it starts") { $0.process.brk = 0 },
        Contradiction("the restart context is in no saved mapping") { $0.process.restart_context = 0x7000_0000_0000 },
        Contradiction("the restart context is in no saved mapping") { $0.process.restart_context = .max },
        Contradiction("the restart context is in no saved mapping") { $0.process.restart_context = 0x50_7000 },
        Contradiction("a build id of 21 bytes") { $0.process.build_id_byte_count = 21 },
        Contradiction("a string outside the strings") { $0.process.directory = 0xffff_ffff },
        Contradiction("a string without an end") { $0.process.directory = UInt32($0.strings.count); $0.strings.append(65) },
        Contradiction("a string without an end") {
            $0.process.directory = UInt32($0.strings.count)
            $0.strings += [UInt8](repeating: 65, count: 9000) + [0]
        },
        Contradiction("the auxiliary vector is missing") { $0.hasAuxiliaryVector = false },
        Contradiction("the identifier is not valid") { $0.ident.identifier = 1 << 48 },
        Contradiction("the identifier is not valid") { $0.ident.parent = $0.ident.identifier },
        Contradiction("version 0 of the format") { $0.ident.major = 0 },
        Contradiction("truncated") { $0.ident.file_byte_count = 1 << 40 },
        Contradiction("the action of signal 65") { $0.actions[3].number = 65 },
        Contradiction("the action of signal 1 ") { $0.actions[1].number = 1 },
    ]

    static let descriptors: [Contradiction] = [
        Contradiction("descriptor 3 is out of order") { $0.descriptors.swapAt(1, 2) },
        Contradiction("descriptor -1 is out of order") { $0.descriptors[0].number = -1 },
        Contradiction("descriptor 9 is inherited from nowhere") { $0.descriptors[6].inherited = 3 },
        Contradiction("descriptor 9 is a duplicate of 8, which is not there") { $0.descriptors[6].shared_with = 8 },
        Contradiction("descriptor 9 is a duplicate of 4, which is not there") { $0.descriptors[6].shared_with = 4 },
        Contradiction("descriptor 3 is a duplicate of 9, which is not there") { $0.descriptors[1].shared_with = 9 },
        Contradiction("the state of descriptor 4 is not in its table") { $0.descriptors[2].detail = 1 },
        Contradiction("the state of descriptor 5 is missing") { $0.descriptors[3].detail = 0xffff_ffff },
        Contradiction("the state of descriptor 7 is not in its table") { $0.pipes = [] },
        Contradiction("the state of descriptor 3 is not in its table") { $0.descriptors[1].flags = 4; $0.descriptors[1].detail = 7 },
        Contradiction("the state of descriptor 3 is missing") { $0.descriptors[1].flags = 4 },
        Contradiction("an epoll entry of descriptor 4, which is none") { $0.epolls[0].epoll = 4 },
        Contradiction("an epoll entry for descriptor -1") { $0.epolls[0].target = -1 },
        Contradiction("blob 0 leaves the file") { $0.blobs[0].file_offset = .max },
        Contradiction("blob 0 leaves the file") { $0.blobs[0].byte_count = .max },
        Contradiction("the blobs share bytes of the file") { builder in
            let whole = ckpt_blob(file_offset: 4096, byte_count: UInt64(builder.data.count), crc: 0, reserved: 0)
            builder.blobs += [whole, whole]
        },
        Contradiction("a pipe of 18446744073709551615 bytes") { $0.pipes[0].capacity = .max },
        Contradiction("the content of a pipe is missing") { $0.pipes[0].blob = 1 },
        Contradiction("a pipe holds more than it can") { $0.pipes[0].capacity = 4 },
    ]

    /// Notes whose heads lie.
    static let notes: [Contradiction] = [
        Contradiction("the note of the strings is missing") { $0.leftOut = [CKPT_NOTE_STRINGS.rawValue] },
        Contradiction("the note of the process is missing") { $0.leftOut = [CKPT_NOTE_PROCESS.rawValue] },
        Contradiction("the note of the runs is missing") { $0.leftOut = [CKPT_NOTE_RUNS.rawValue] },
        Contradiction("has version 0") { $0.tableVersion = 0 },
        Contradiction("does not fill its note") { $0.edit(CKPT_NOTE_RUNS) { $0.put(UInt32.max, at: 28) } },
        Contradiction("does not fill its note") { $0.edit(CKPT_NOTE_RUNS) { $0.put(UInt32(4), at: 28) } },
        Contradiction("has records of 31 bytes") { $0.edit(CKPT_NOTE_RUNS) { $0.put(UInt32(31), at: 24) } },
        Contradiction("has records of 0 bytes") { $0.edit(CKPT_NOTE_RUNS) { $0.put(UInt32(0), at: 24) } },
        Contradiction("has records of 4294967295 bytes") { $0.edit(CKPT_NOTE_RUNS) { $0.put(UInt32.max, at: 24) } },
        Contradiction("is longer than all notes") { $0.edit(CKPT_NOTE_STRINGS) { $0.put(UInt32.max, at: 4) } },
        Contradiction("is longer than all notes") { $0.edit(CKPT_NOTE_STRINGS) { $0.put(UInt32.max, at: 0) } },
        Contradiction("is there twice") { $0.edit(CKPT_NOTE_PIPES) { $0.put(CKPT_NOTE_EVENTFDS.rawValue, at: 8) } },
        Contradiction("the note of the mappings is too short") {
            $0.leftOut = [CKPT_NOTE_RUNS.rawValue]
            $0.edit(CKPT_NOTE_MAPPINGS) { $0 = ImageBuilder.note("CKPT", CKPT_NOTE_MAPPINGS.rawValue, [0, 0, 0, 0]) }
        },
        Contradiction("the note of the process is too short") {
            $0.edit(CKPT_NOTE_PROCESS) { $0 = ImageBuilder.note("CKPT", CKPT_NOTE_PROCESS.rawValue, Array($0[20..<320])) }
        },
        Contradiction("a note ends early") { $0.edit(CKPT_NOTE_STRINGS) { $0 += [0, 0, 0, 0] } },
    ]
}

extension ImageBuilder {
    mutating func edit(_ type: ckpt_note_type, _ change: @escaping (inout [UInt8]) -> Void) {
        editNote = { found, note in if found == type.rawValue { change(&note) } }
    }
}

@Suite struct CheckTests {
    private func expectRefused(_ contradiction: Contradiction, at location: SourceLocation = #_sourceLocation) throws {
        var builder = ImageBuilder.small()
        contradiction.edit(&builder)
        let error = try failure(builder.image)
        #expect(error?.restartClass == .damaged, sourceLocation: location)
        #expect(error?.what.contains(contradiction.words) == true, "\(error?.line ?? "accepted")", sourceLocation: location)
    }

    @Test(arguments: Contradiction.mappings) func `mappings are checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.headers) func `program headers are checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.states) func `schedulings and limits are checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.runs) func `page runs are checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.threads) func `threads are checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.process) func `the process is checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.descriptors) func `descriptors are checked`(_ one: Contradiction) throws { try expectRefused(one) }
    @Test(arguments: Contradiction.notes) func `notes are checked`(_ one: Contradiction) throws { try expectRefused(one) }

    @Test func `a stream that the program was given needs no state`() throws {
        var builder = ImageBuilder.small()
        builder.descriptors[5].inherited = 1
        builder.descriptors[5].detail = 0xffff_ffff
        #expect(try open(builder.image).descriptors[5].detail == nil)
    }

    @Test func `an increment may have pages in its parent`() throws {
        var builder = ImageBuilder.small()
        builder.ident.parent = 5
        builder.ident.depth = 1
        builder.runs[2].kind = 3
        #expect(try open(builder.image).runs[2].kind == .parent)
    }

    @Test func `a number of program headers that the file cannot hold is refused before anything is allocated`() throws {
        var builder = ImageBuilder.small()
        builder.editElfHeader = { $0.put(UInt16(0xfffe), at: 56) }
        #expect(try failure(builder.image)?.what.contains("truncated") == true)
        builder.editElfHeader = { $0.put(UInt16(0xffff), at: 56) }
        #expect(try failure(builder.image)?.what.contains("the number of program headers is missing") == true)
        builder.editElfHeader = { $0.put(UInt64.max - 8, at: 32) }
        #expect(try failure(builder.image)?.what.contains("truncated") == true)
        builder.editElfHeader = { $0.put(UInt16(0), at: 56) }
        #expect(try failure(builder.image)?.what.contains("no program headers") == true)
    }
}

extension ckpt_scheduling {
    fileprivate init(fixtureThread tid: Int32) {
        self.init()
        self.tid = tid
    }
}
