// SPDX-License-Identifier: Apache-2.0
import CheckpointCompression
import CheckpointImage

extension Image {
    /// Bytes of pages that are in this file.
    var contentByteCount: UInt64 { runs.reduce(0) { $0 + ($1.kind == .here ? $1.byteCount : 0) } }

    /// Bytes of pages and blobs, before compression.
    var uncompressedByteCount: UInt64 { blobs.reduce(contentByteCount) { $0 + $1.byteCount } }

    /// How the chunks are stored; what could not be made smaller is not compressed.
    var compressionName: String { chunks.lazy.map(\.compression).first { $0 != .none }?.name ?? "none" }

    func contentByteCount(of mapping: Mapping) -> UInt64 {
        runs(in: mapping).reduce(0) { $0 + ($1.kind == .here ? $1.byteCount : 0) }
    }
}

extension UInt32 {
    var octal: String {
        let digits = String(self, radix: 8)
        return String(repeating: "0", count: digits.count < 4 ? 4 - digits.count : 0) + digits
    }
}

extension MappingKind {
    /// One word, the same in text and JSON.
    var word: String {
        switch self {
        case .anonymous: "anonymous"
        case .file: "file"
        case .stack: "stack"
        case .heap: "heap"
        case .vdso: "vdso"
        case .vvar: "vvar"
        case .sharedAnonymous: "shared-anonymous"
        case .sharedFile: "shared-file"
        case .arena: "arena"
        case .beacon: "beacon"
        case .other: "other"
        case .object: "object"
        }
    }
}

extension DescriptorKind {
    var word: String {
        switch self {
        case .other: "other"
        case .file: "file"
        case .directory: "directory"
        case .pipe: "pipe"
        case .fifo: "fifo"
        case .eventfd: "eventfd"
        case .epoll: "epoll"
        case .timerfd: "timerfd"
        case .terminal: "terminal"
        case .device: "device"
        case .socket: "socket"
        case .signalfd: "signalfd"
        case .inotify: "inotify"
        case .memfd: "memfd"
        case .pidfd: "pidfd"
        }
    }
}

extension ItimerState {
    var word: String { which == 0 ? "real" : which == 1 ? "virtual" : "prof" }
}

extension Mapping {
    /// As in /proc/PID/maps.
    var permissions: String {
        (protection.contains(.read) ? "r" : "-") + (protection.contains(.write) ? "w" : "-") + (protection.contains(.execute) ? "x" : "-")
            + (flags.contains(.shared) ? "s" : "p")
    }
}

extension DescriptorState {
    /// r, w or rw; a for append, n for non-blocking, x for close on exec.
    var access: String {
        (statusFlags & 3 == 0 ? "r" : statusFlags & 3 == 1 ? "w" : "rw") + (statusFlags & 0o2000 != 0 ? "a" : "")
            + (statusFlags & 0o4000 != 0 ? "n" : "") + (closeOnExec ? "x" : "")
    }
}

extension SchedulingState {
    /// `other`, `fifo 10 on 0-1`, `batch, nice 5, I/O best-effort 4`.
    var line: String {
        var text = policyName
        if policy == 1 || policy == 2 { text += " \(priority)" }
        if policy == 6 { text += " \(runtimeNs.inMilliseconds) of \(deadlineNs.inMilliseconds) each \(periodNs.inMilliseconds)" }
        if policy != 6 && runtimeNs != 0 { text += ", slice \(runtimeNs.inMilliseconds)" }
        if nice != 0 { text += ", nice \(nice)" }
        if ioPriority != 0 { text += ", I/O \(["none", "real-time", "best-effort", "idle"][Int(ioPriority >> 13 & 3)]) \(ioPriority & 7)" }
        if flags & 1 != 0 { text += ", children begin anew" }
        if timerSlackNs != 0 && timerSlackNs != 50_000 { text += ", slack \(timerSlackNs) ns" }
        return processors.isEmpty ? text : text + " on \(processorList)"
    }
}

extension AttributeState {
    var word: String { kind?.word ?? "attribute \(rawKind)" }
    var text: String { kind == .oomAdjustment ? "\(Int64(bitPattern: value))" : "\(value)" }
    var isSpecial: Bool { kind?.ordinary.map { $0 != value } ?? false }
}

extension InspectedImage {
    var json: Json {
        let ident = image.ident, process = image.process
        return .object([
            ("path", .string(image.path.string)),
            ("identifier", .string(ident.name)),
            ("parent", ident.parent == 0 ? .null : .string(Identity.name(of: ident.parent))),
            ("depth", .number(UInt64(ident.depth))),
            ("chain", .array(chain.map { image in
                .object([
                    ("path", .string(image.path.string)), ("identifier", .string(image.ident.name)), ("depth", .number(UInt64(image.ident.depth))),
                    ("file_bytes", .number(image.ident.fileByteCount)), ("page_bytes", .number(image.contentByteCount)),
                ])
            })),
            ("run", .string(String(ident.run, radix: 16))),
            ("sequence", .number(ident.sequence)),
            ("format", .string("\(ident.major).\(ident.minor)")),
            ("created_realtime_ns", .number(ident.createdRealtimeNs)),
            ("exit", .bool(ident.flags.contains(.exit))),
            ("file_bytes", .number(ident.fileByteCount)),
            ("page_bytes", .number(image.contentByteCount)),
            ("compression", .string(image.compressionName)),
            ("uncompressed_bytes", .number(image.uncompressedByteCount)),
            ("stored_bytes", .number(image.storedByteCount ?? image.uncompressedByteCount)),
            ("process", .object([
                ("pid", .integer(Int64(process.pid))), ("uid", .number(UInt64(process.uid))), ("gid", .number(UInt64(process.gid))),
                ("umask", .string(process.umask.octal)), ("executable", .string(process.executable.string)),
                ("directory", .string(process.directory.string)), ("kernel", .string(process.kernelRelease)),
                ("cpu_level", .number(UInt64(process.cpuLevel))),
                ("cpu_promise", .number(UInt64(image.processor?.level ?? 0))), ("xfeatures", .address(process.xfeatures)),
                ("pause_ns", .number(process.pauseNs)),
            ])),
            ("threads", .array(image.threads.map(json))),
            ("limits", .array(image.limits.map { limit in
                .object([("name", .string(limit.name)), ("soft", .string(LimitState.text(limit.soft))), ("hard", .string(LimitState.text(limit.hard)))])
            })),
            ("attributes", .array(image.attributes.filter { $0.kind != .filtersAddress }.map { attribute in
                .object([
                    ("name", .string(attribute.word)), ("value", .string(attribute.text)),
                    ("tid", attribute.tid == 0 ? .null : .integer(Int64(attribute.tid))),
                ])
            })),
            ("mappings", .array(image.mappings.map { mapping in
                .object([
                    ("start", .address(mapping.start)), ("end", .address(mapping.end)), ("permissions", .string(mapping.permissions)),
                    ("kind", .string(mapping.kind.word)), ("page_bytes", .number(image.contentByteCount(of: mapping))),
                    ("file_offset", .number(mapping.fileOffset)), ("name", .string(mapping.name.string)),
                ])
            })),
            ("descriptors", .array(image.descriptors.map(Self.json))),
            ("timers", .array(image.timers.map { timer in
                .object([
                    ("id", .integer(Int64(timer.id))), ("clock", .integer(Int64(timer.clock))), ("signal", .integer(Int64(timer.signal))),
                    ("tid", timer.isBound ? .integer(Int64(timer.tid)) : .null), ("value_ns", .number(timer.valueNs)), ("interval_ns", .number(timer.intervalNs)),
                ])
            })),
            ("interval_timers", .array(image.itimers.map { timer in
                .object([("which", .string(timer.word)), ("value_ns", .number(timer.valueNs)), ("interval_ns", .number(timer.intervalNs))])
            })),
            ("findings", .array(findings.map { finding in
                .object([
                    ("class", .string(finding.class.rawValue)), ("what", .string(finding.what)), ("why", .string(finding.why)),
                    ("remedy", .string(finding.remedy)),
                ])
            })),
        ])
    }

    private func json(_ thread: ThreadState) -> Json {
        var members: [(String, Json)] = [
            ("tid", .integer(Int64(thread.tid))), ("name", .string(thread.name)), ("ended", .bool(thread.flags.contains(.ended))),
            ("fs_base", .address(thread.fsBase)), ("blocked_signals", .address(thread.signalMask)),
        ]
        if let registers = thread.registers {
            members += [("pc", .address(registers.instructionPointer)), ("sp", .address(registers.stackPointer))]
        }
        if let state = image.schedulings.first(where: { $0.tid == thread.tid }) {
            members += [
                ("policy", .string(state.policyName)), ("nice", .integer(Int64(state.nice))), ("priority", .number(UInt64(state.priority))),
                ("reset_on_fork", .bool(state.flags & 1 != 0)), ("io_priority", .number(UInt64(state.ioPriority))),
                ("timer_slack_ns", .number(state.timerSlackNs)), ("processors", state.processors.isEmpty ? .null : .string(state.processorList)),
            ]
        }
        return .object(members)
    }

    private static func json(_ descriptor: DescriptorState) -> Json {
        .object([
            ("number", .integer(Int64(descriptor.number))), ("kind", .string(descriptor.kind.word)),
            ("access", .string(descriptor.access)), ("position", .number(descriptor.position)),
            ("inherited", descriptor.inherited < 0 ? .null : .integer(Int64(descriptor.inherited))),
            ("shared_with", .integer(Int64(descriptor.sharedWith))), ("path", .string(descriptor.path.string)),
            ("bytes", .number(descriptor.byteCount)),
        ])
    }
}
