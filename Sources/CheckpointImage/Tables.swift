// SPDX-License-Identifier: Apache-2.0

/// Everything that the notes say, decoded but not yet compared with one another.
struct Tables {
    var process = ProcessState()
    /// nil: an image of a version that did not say more than `process` does.
    var processor: ProcessorState?
    var mappings: [Mapping] = []
    var runs: [PageRun] = []
    var threads: [ThreadState] = []
    var schedulings: [SchedulingState] = []
    var limits: [LimitState] = []
    var attributes: [AttributeState] = []
    var signalActions: [SignalAction] = []
    var descriptors: [DescriptorState] = []
    var pipes: [PipeState] = []
    var eventfds: [EventfdState] = []
    var timerfds: [TimerfdState] = []
    var epollEntries: [EpollEntry] = []
    var blobs: [Blob] = []
    var chunks: [Chunk] = []
    var shared: [SharedObject] = []
    var guards: [GuardPages] = []
    var timers: [TimerState] = []
    var itimers: [ItimerState] = []
    var signalfds: [SignalfdState] = []
    var queuedSignals: [QueuedSignal] = []
    var auxiliaryVector: [UInt8] = []
    /// Thread ids and registers of the NT_PRSTATUS notes, in their order.
    var statuses: [(tid: Int32, registers: Registers)] = []

    /// `base`: where the notes begin in the file, for messages.
    init(_ bytes: Span<UInt8>, base: UInt64, isSurvey: Bool) throws(ImageError) {
        let notes = try Notes(bytes, base: base)
        let place = try notes.place(.strings, atLeast: 0)
        var strings = Strings(bytes.copy(place), base: base + UInt64(place.offset))

        process = try ProcessState(bytes, at: notes.place(.process, atLeast: ProcessState.byteCount).offset, &strings)
        if notes.has(.processor) {
            processor = ProcessorState(bytes, at: try notes.place(.processor, atLeast: ProcessorState.byteCount).offset)
        }
        let needed = !isSurvey
        let mappingTable = try notes.table(.mappings, in: bytes, recordByteCount: Mapping.recordByteCount, isRequired: true)
        for at in mappingTable.records { mappings.append(try Mapping(bytes, at: at, byteCount: mappingTable.recordByteCount, &strings)) }
        let runTable = try notes.table(.runs, in: bytes, recordByteCount: PageRun.recordByteCount, isRequired: needed)
        runs.reserveCapacity(runTable.count)
        for at in runTable.records { runs.append(try PageRun(bytes, at: at)) }
        for at in try notes.table(.threads, in: bytes, recordByteCount: ThreadState.recordByteCount, isRequired: needed).records {
            threads.append(ThreadState(bytes, at: at))
        }
        for at in try notes.table(.schedulings, in: bytes, recordByteCount: SchedulingState.recordByteCount).records {
            schedulings.append(SchedulingState(bytes, at: at))
        }
        for at in try notes.table(.limits, in: bytes, recordByteCount: LimitState.recordByteCount).records {
            limits.append(LimitState(bytes, at: at))
        }
        for at in try notes.table(.attributes, in: bytes, recordByteCount: AttributeState.recordByteCount).records {
            attributes.append(AttributeState(bytes, at: at))
        }
        for at in try notes.table(.signals, in: bytes, recordByteCount: SignalAction.recordByteCount).records {
            signalActions.append(SignalAction(bytes, at: at))
        }
        for at in try notes.table(.descriptors, in: bytes, recordByteCount: DescriptorState.recordByteCount).records {
            descriptors.append(try DescriptorState(bytes, at: at, &strings))
        }
        for at in try notes.table(.pipes, in: bytes, recordByteCount: PipeState.recordByteCount).records {
            pipes.append(PipeState(bytes, at: at))
        }
        for at in try notes.table(.eventfds, in: bytes, recordByteCount: EventfdState.recordByteCount).records {
            eventfds.append(EventfdState(bytes, at: at))
        }
        let timerfdTable = try notes.table(.timerfds, in: bytes, recordByteCount: TimerfdState.recordByteCount)
        for at in timerfdTable.records { timerfds.append(TimerfdState(bytes, at: at, byteCount: timerfdTable.recordByteCount)) }
        for at in try notes.table(.timers, in: bytes, recordByteCount: TimerState.recordByteCount).records {
            timers.append(TimerState(bytes, at: at))
        }
        for at in try notes.table(.itimers, in: bytes, recordByteCount: ItimerState.recordByteCount).records {
            itimers.append(ItimerState(bytes, at: at))
        }
        for at in try notes.table(.signalfds, in: bytes, recordByteCount: SignalfdState.recordByteCount).records {
            signalfds.append(SignalfdState(bytes, at: at))
        }
        for at in try notes.table(.queued, in: bytes, recordByteCount: QueuedSignal.recordByteCount).records {
            queuedSignals.append(QueuedSignal(bytes, at: at))
        }
        for at in try notes.table(.epolls, in: bytes, recordByteCount: EpollEntry.recordByteCount).records {
            epollEntries.append(EpollEntry(bytes, at: at))
        }
        for at in try notes.table(.blobs, in: bytes, recordByteCount: Blob.recordByteCount).records {
            blobs.append(Blob(bytes, at: at))
        }
        for at in try notes.table(.shared, in: bytes, recordByteCount: SharedObject.recordByteCount).records {
            shared.append(try SharedObject(bytes, at: at, &strings))
        }
        for at in try notes.table(.guards, in: bytes, recordByteCount: GuardPages.recordByteCount).records { guards.append(GuardPages(bytes, at: at)) }
        let chunkTable = try notes.table(.chunks, in: bytes, recordByteCount: Chunk.recordByteCount)
        chunks.reserveCapacity(chunkTable.count)
        for at in chunkTable.records { chunks.append(try Chunk(bytes, at: at)) }
        for place in notes.statuses {
            guard place.byteCount >= Registers.statusByteCount else {
                throw .damaged(what: "a note with registers is too short", offset: base + UInt64(place.offset))
            }
            statuses.append((bytes.int32(at: place.offset + Registers.tidOffset), Registers(bytes, at: place.offset)))
        }
        if let place = notes.auxiliaryVector {
            auxiliaryVector = bytes.copy(place)
        } else if needed {
            throw .damaged(what: "the auxiliary vector is missing", offset: nil)
        }
    }
}

extension Span<UInt8> {
    fileprivate func copy(_ place: Notes.Place) -> [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(place.byteCount)
        for offset in place.offset..<place.offset + place.byteCount { copy.append(uint8(at: offset)) }
        return copy
    }
}
