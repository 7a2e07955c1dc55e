// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// An image that has been opened and whose tables have been checked. The pages have not: see `verifyPages()`.
package final class Image: Sendable {
    package static let supportedMajor: UInt16 = 1
    package static let pageSize: UInt64 = 4096
    /// CKPT_RUN_PAGES_MAX.
    package static let runPagesMax: UInt32 = 256
    /// Longest chain of increments that is read: each one is an open file.
    package static let depthMax: UInt32 = 4095
    /// First address that no program of 47-bit addresses has.
    package static let addressLimit: UInt64 = 1 << 47
    /// Addresses of the content of shared objects.
    package static let objectAddresses: Range<UInt64> = 1 << 60..<1 << 61
    /// The same of 57-bit addresses' lower half.
    static let farLimit: UInt64 = 1 << 56
    /// What `open` reads into memory at most.
    static let notesByteCountMax: UInt64 = 1 << 30
    /// What `readBlob` reads into memory at most.
    static let blobByteCountMax: UInt64 = 1 << 34
    /// Size of struct ckpt_restart_context.
    static let restartContextByteCount: UInt64 = 12472
    /// Flags, link, alternate stack, registers and mask of the kernel's struct ucontext: what must be in memory.
    static let ucontextByteCount: UInt64 = 304

    package let path: FilePath
    /// The open file (O_RDONLY, close on exec); closed with the last reference to this object.
    package var descriptor: Int32 { file.descriptor }
    package let ident: Identity
    package let process: ProcessState
    /// nil: an image of an older version.
    package let processor: ProcessorState?
    package let mappings: [Mapping]
    package let runs: [PageRun]
    package let segments: [Segment]
    package let threads: [ThreadState]
    package let schedulings: [SchedulingState]
    package let limits: [LimitState]
    package let attributes: [AttributeState]
    package let signalActions: [SignalAction]
    package let descriptors: [DescriptorState]
    package let pipes: [PipeState]
    package let eventfds: [EventfdState]
    package let timerfds: [TimerfdState]
    package let epollEntries: [EpollEntry]
    package let timers: [TimerState]
    package let itimers: [ItimerState]
    package let signalfds: [SignalfdState]
    /// Of one number and thread in their order.
    package let queuedSignals: [QueuedSignal]
    package let blobs: [Blob]
    package let shared: [SharedObject]
    package let guards: [GuardPages]
    /// Where the content is in a compressed image, ascending; otherwise empty.
    package let chunks: [Chunk]
    /// The raw note NT_AUXV.
    package let auxiliaryVector: [UInt8]
    let file: ImageFile
    let decompressor: (any Decompressor)?

    /// Opens an image and checks everything but the content of pages and blobs. Without a decompressor those of a compressed image can not be read.
    package static func open(_ path: FilePath, decompressor: (any Decompressor)? = nil) throws(ImageError) -> Image {
        guard HostFacts.current().canComputeCRC32C else { throw .unsupported(what: "this processor lacks sse4.2") }
        let file = try ImageFile(opening: path)
        let header = try ElfHeader(file)
        guard let (notesOffset, notesByteCount) = header.notes else { throw .foreignCore }
        let ident = try IdentNote(file, at: notesOffset, notesByteCount: notesByteCount)
        try ident.check(file, header, notesOffset: notesOffset, notesByteCount: notesByteCount)
        guard notesByteCount <= notesByteCountMax else { throw .damaged(what: "\(notesByteCount) bytes of notes", offset: notesOffset) }
        let base = notesOffset + ident.byteCount
        let notes = try file.read(notesByteCount - ident.byteCount, at: base, what: "notes")
        guard notes.span.crc32c() == ident.notesCRC else { throw .damaged(what: "the checksum of the notes is wrong", offset: base) }
        let segments = try header.segments(in: file)
        var tables = try Tables(notes.span, base: base, isSurvey: false)
        try Checks(file: file, ident: ident.identity, segments: segments).run(&tables)
        return Image(path, file, ident.identity, segments, tables, decompressor)
    }

    private init(_ path: FilePath, _ file: ImageFile, _ ident: Identity, _ segments: [Segment], _ tables: Tables, _ decompressor: (any Decompressor)?) {
        self.path = path
        self.file = file
        self.ident = ident
        self.segments = segments
        self.decompressor = decompressor
        process = tables.process
        processor = tables.processor
        mappings = tables.mappings
        runs = tables.runs
        threads = tables.threads
        schedulings = tables.schedulings
        limits = tables.limits
        attributes = tables.attributes
        signalActions = tables.signalActions
        descriptors = tables.descriptors
        pipes = tables.pipes
        eventfds = tables.eventfds
        timerfds = tables.timerfds
        epollEntries = tables.epollEntries
        timers = tables.timers
        itimers = tables.itimers
        signalfds = tables.signalfds
        queuedSignals = tables.queuedSignals
        blobs = tables.blobs
        shared = tables.shared
        guards = tables.guards
        chunks = tables.chunks
        auxiliaryVector = tables.auxiliaryVector
    }

    /// The page runs of one mapping, ascending.
    package func runs(in mapping: Mapping) -> ArraySlice<PageRun> {
        runs[runs.firstIndex(from: mapping.start)..<runs.firstIndex(from: mapping.end)]
    }

    /// The content of a blob, its checksum compared.
    package func readBlob(_ index: Int) throws(ImageError) -> [UInt8] {
        guard blobs.indices.contains(index) else { throw .damaged(what: "blob \(index) is missing", offset: nil) }
        let blob = blobs[index]
        guard blob.byteCount <= Image.blobByteCountMax else { throw .unsupported(what: "blob \(index) has \(blob.byteCount) bytes") }
        var reader = ContentReader(self)
        let bytes = try reader.content(blob.byteCount, at: blob.fileOffset, what: "blob")
        guard bytes.span.crc32c() == blob.crc else {
            throw .damaged(what: "the checksum of blob \(index) is wrong", offset: blob.fileOffset)
        }
        return bytes
    }
}
