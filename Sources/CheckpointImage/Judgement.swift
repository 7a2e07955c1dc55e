// SPDX-License-Identifier: Apache-2.0

/// Something that a restart could not bring back, and what to do about it.
package struct Finding: Sendable, Equatable {
    package var `class`: ImageError.Class
    package var what: String
    package var why: String
    package var remedy: String

    package init(class: ImageError.Class, what: String, why: String, remedy: String) {
        self.class = `class`
        self.what = what
        self.why = why
        self.remedy = remedy
    }

    /// `what: why; remedy`, in one line.
    package var line: String { "\(what): \(why); \(remedy)" }
}

/// What is known of the host that is to run the program.
package struct HostFacts: Sendable, Equatable {
    /// The words of `ProcessState.cpuid`.
    package var cpuid: [UInt32]
    package var xfeatures: UInt64
    package var xsaveByteCount: UInt32
    package var cpuLevel: UInt32
    /// The words of `ProcessorState.cpuid`.
    package var moreCpuid: [UInt32]
    /// As `ProcessorState.components`.
    package var components: [ProcessorState.Component]

    package init(
        cpuid: [UInt32], xfeatures: UInt64, xsaveByteCount: UInt32, cpuLevel: UInt32, moreCpuid: [UInt32] = [0, 0, 0],
        components: [ProcessorState.Component] = []
    ) {
        self.cpuid = cpuid
        self.moreCpuid = moreCpuid
        self.components = components
        self.xfeatures = xfeatures
        self.xsaveByteCount = xsaveByteCount
        self.cpuLevel = cpuLevel
    }

    /// Whether the instruction for checksums is there: without it no image can be read.
    package var canComputeCRC32C: Bool { cpuid.first.map { $0 & 1 << 20 != 0 } ?? false }
}

/// What can be restored, and why not. From the tables alone: before a checkpoint (`preflight()`), in an image, and again
/// by the restart.
package enum Judgement {
    /// What a restart on this host would refuse. Empty: nothing that is known from the tables.
    /// Without `host` nothing is said about the processor.
    package static func judge(
        process: ProcessState, processor: ProcessorState? = nil, mappings: [Mapping], descriptors: [DescriptorState], attributes: [AttributeState] = [],
        timers: [TimerState] = [], shared: [SharedObject] = [], host: HostFacts?
    ) -> [Finding] {
        var findings: [Finding] = []
        if let host { findings += judge(process, processor, on: host) }
        findings += mappings.compactMap(judge)
        findings += shared.compactMap(judge)
        findings += descriptors.compactMap(judge)
        if let finding = judge(attributes) { findings.append(finding) }
        findings += timers.compactMap { judge($0, process) }
        return findings
    }

    /// A filter cannot be read without privilege. What the program was started with is the environment's, here or elsewhere.
    private static func judge(_ attributes: [AttributeState]) -> Finding? {
        let inherited = attributes.value(of: .inheritedFilters) ?? 0
        let most = attributes.filter { $0.kind == .seccompFilters }.map(\.value).max() ?? 0
        let isStrict = attributes.contains { $0.kind == .seccompMode && $0.value == 1 }
        guard most > inherited || isStrict else { return nil }
        return Finding(
            class: .unsupported, what: isStrict ? "the program's seccomp mode" : "the program's seccomp filters (\(most - inherited))",
            why: "what a program has forbidden itself cannot be read, and would be allowed again",
            remedy: "restart with --force where that does not matter")
    }

    package static func judge(_ image: Image, host: HostFacts?) -> [Finding] {
        judge(
            process: image.process, processor: image.processor, mappings: image.mappings, descriptors: image.descriptors, attributes: image.attributes,
            timers: image.timers, shared: image.shared, host: host)
    }

    /// The processor: instructions that the program may have chosen, and state that its signal frames hold.
    private static func judge(_ process: ProcessState, _ processor: ProcessorState?, on host: HostFacts) -> [Finding] {
        var findings: [Finding] = []
        let needed = processor.map { $0.level > 0 ? min($0.level, process.cpuLevel) : process.cpuLevel } ?? process.cpuLevel
        let level = needed > host.cpuLevel ? " (x86-64-v\(needed), this is v\(host.cpuLevel))" : ""
        let remedy = "restart on a host with the same processor features or more"
        let features = Processor.missing(Processor.wanted(process, processor), on: Processor.offered(host))
        if !features.isEmpty {
            findings.append(Finding(
                class: .unsupported, what: "the processor", why: "lacks \(features.joined(separator: ", "))\(level)", remedy: remedy))
        }
        let states = Processor.missingStates(Processor.wantedStates(process, processor), on: host.xfeatures)
        if !states.isEmpty {
            findings.append(Finding(
                class: .unsupported, what: "the vector state", why: "lacks \(states.joined(separator: ", "))", remedy: remedy))
        } else if processor == nil, process.xsaveByteCount > host.xsaveByteCount {
            // An older image does not say where in its frames what is.
            findings.append(Finding(
                class: .unsupported, what: "the vector state",
                why: "has \(process.xsaveByteCount) bytes, here \(host.xsaveByteCount)", remedy: remedy))
        }
        return findings
    }

    private static func judge(_ mapping: Mapping) -> Finding? {
        let why: String
        switch mapping.kind {
        case .anonymous, .file, .stack, .heap, .vdso, .vvar, .arena, .beacon, .object: return nil
        case _ where mapping.object != nil: return nil
        case .sharedAnonymous: why = "shared memory of this kind cannot be restored"
        case .sharedFile: why = "what is mapped shared and writable of a file is in each image, and this is too much"
        case .other: why = device(at: mapping.name.string) ?? "memory of this kind cannot be restored"
        }
        let name = mapping.name.isEmpty ? "" : " (\(mapping.name))"
        return Finding(
            class: .unsupported, what: "the mapping at \(mapping.start.hex)\(name)", why: why, remedy: "unmap it before the checkpoint")
    }

    private static func judge(_ object: SharedObject) -> Finding? {
        let why: String
        switch object.kind {
        case _ where object.flags.contains(.withOthers): why = "other processes have it too, and they are not saved"
        case .anonymous, .memfd, .deleted, .systemV: return nil
        case .file where object.flags.contains(.exact): return nil
        case .file: why = "its file cannot be read by its name any more"
        case .unknown: why = "shared memory of this kind cannot be restored"
        }
        return Finding(class: .unsupported, what: "the shared memory \(object.name)", why: why, remedy: "unmap it before the checkpoint")
    }

    private static func judge(_ descriptor: DescriptorState) -> Finding? {
        // A stream that the program was given comes from the restarter, whatever it was.
        guard descriptor.inherited < 0 else { return nil }
        var remedy = "close it before the checkpoint, or restart with --allow-missing"
        let why: String
        switch descriptor.kind {
        case .file where !descriptor.flags.contains(.deleted), .directory where !descriptor.flags.contains(.deleted),
            .pipe, .fifo, .eventfd, .epoll, .timerfd, .device:
            return nil
        case .signalfd where descriptor.detail != nil: return nil
        case .file, .memfd:
            guard descriptor.flags.isDisjoint(with: [.embedded, .object]) else { return nil }
            why = descriptor.kind == .memfd ? "a memfd whose content is not in the image" : "a deleted file whose content is not in the image"
        case .directory: why = "a deleted directory"
        case .terminal:
            why = "a terminal that the program opened itself"
            remedy = "use the standard streams, or restart with --allow-missing"
        case .socket:
            guard !descriptor.flags.contains(.unconnected) else { return nil }
            why = "sockets that are bound or connected cannot be restored yet"
        case .signalfd: why = "the image does not say which signals it reads"
        case .inotify: why = "inotify cannot be restored yet"
        case .pidfd: why = "it stands for another process, which is not saved"
        case .other: why = device(at: descriptor.path.string) ?? "descriptors of this kind cannot be restored"
        }
        let path = descriptor.path.isEmpty ? "" : " (\(descriptor.path))"
        return Finding(class: .missing, what: "descriptor \(descriptor.number)\(path)", why: why, remedy: remedy)
    }

    private static func judge(_ timer: TimerState, _ process: ProcessState) -> Finding? {
        let why: String
        if timer.isOfDevice {
            why = "it runs on the clock of a device"
        } else if timer.isOfThread, timer.cpuTimeOf == 0, process.threadCount > 1, timer.tid == 0 {
            why = "it counts the CPU time of one of several threads, and nothing tells which"
        } else if !timer.isOfThread, let pid = timer.cpuTimeOf, pid != 0, pid != process.pid {
            why = "it counts the CPU time of another process, which is not saved"
        } else {
            return nil
        }
        return Finding(
            class: .missing, what: "the timer \(timer.id)", why: why, remedy: "delete it before the checkpoint, or restart with --allow-missing")
    }

    /// Words for kernel objects that users know by another name than the path in /proc.
    private static func device(at path: String) -> String? {
        if path.hasPrefix("/dev/nvidia") || path.hasPrefix("/dev/dri") || path.hasPrefix("/dev/kfd") { return "a GPU context is not saved" }
        if path.hasPrefix("/dev/infiniband") { return "an RDMA context is not saved" }
        if path.names("io_uring") { return "an io_uring cannot be restored yet" }
        if path.names("[aio]") { return "a context of asynchronous I/O (io_setup) cannot be restored yet" }
        if path.names("perf_event") { return "a performance counter cannot be restored" }
        if path.names("userfaultfd") { return "a userfaultfd cannot be restored" }
        if path.hasPrefix("/secretmem") { return "secret memory (memfd_secret) is in no image: nobody but the program may read it" }
        if path.hasPrefix("/memfd:") { return "a memfd of huge pages cannot be restored yet" }
        if path.hasPrefix("/dev/hugepages") || path.names("anon_hugepage") { return "memory of hugetlbfs cannot be restored yet" }
        return nil
    }
}

extension String {
    /// What `contains` does; that one brings regular expressions with it, 1.3 MB in each library and program.
    fileprivate func names(_ word: String) -> Bool { utf8.indices.contains { utf8[$0...].starts(with: word.utf8) } }
}
