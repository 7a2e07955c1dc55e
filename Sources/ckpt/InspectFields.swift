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
                ("cpu_level", .number(UInt64(process.cpuLevel))), ("xfeatures", .address(process.xfeatures)),
                ("pause_ns", .number(process.pauseNs)),
            ])),
            ("threads", .array(image.threads.map(Self.json))),
            ("mappings", .array(image.mappings.map { mapping in
                .object([
                    ("start", .address(mapping.start)), ("end", .address(mapping.end)), ("permissions", .string(mapping.permissions)),
                    ("kind", .string(mapping.kind.word)), ("page_bytes", .number(image.contentByteCount(of: mapping))),
                    ("file_offset", .number(mapping.fileOffset)), ("name", .string(mapping.name.string)),
                ])
            })),
            ("descriptors", .array(image.descriptors.map(Self.json))),
            ("findings", .array(findings.map { finding in
                .object([
                    ("class", .string(finding.class.rawValue)), ("what", .string(finding.what)), ("why", .string(finding.why)),
                    ("remedy", .string(finding.remedy)),
                ])
            })),
        ])
    }

    private static func json(_ thread: ThreadState) -> Json {
        var members: [(String, Json)] = [
            ("tid", .integer(Int64(thread.tid))), ("name", .string(thread.name)), ("ended", .bool(thread.flags.contains(.ended))),
            ("fs_base", .address(thread.fsBase)), ("blocked_signals", .address(thread.signalMask)),
        ]
        if let registers = thread.registers {
            members += [("pc", .address(registers.instructionPointer)), ("sp", .address(registers.stackPointer))]
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
