// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// The record of restarts beside an image, NAME.d/restarts: a line for each, which is only ever appended.
///
///     IMAGE REALTIME-NS PID START-TICKS PROCESS-NAMESPACE BOOT-ID
///
/// The process is this `ckpt-restart`, which is the program or stays above it as long as that runs. Whether it still runs is only
/// known inside the process namespace that it was written in.
struct RestartRecord {
    struct Answer {
        /// Of this image here, this one included.
        var restarts: Int32
        /// Restarted from this image here before, and alive.
        var siblings: Int32
    }

    private let folder: FilePath
    private let image: String
    private let me: Process?
    /// Of the lines that were there at first, which only then could be asked for: how many, and how many live.
    private var lineCount = 0, siblings: Int32 = 0

    private struct Process {
        var id: Int64
        /// Ids are used again.
        var start: Int64
        /// Inode of its process namespace.
        var namespace: String
        var boot: String

        /// nil: it is gone.
        static func start(of id: Int64) -> Int64? {
            guard let state = SmallFile.read("/proc/\(id)/stat"), let mark = state.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            let fields = state[(mark + 1)...].split(separator: UInt8(ascii: " "))
            // The state is field 3, the start field 22.
            guard fields.count > 19, fields[0].first != UInt8(ascii: "Z") else { return nil }
            return Int64(String(decoding: fields[19], as: UTF8.self))
        }

        static func current() -> Process? {
            let id = ProcessCalls.perform(39)
            guard let start = start(of: id), let boot = SmallFile.read("/proc/sys/kernel/random/boot_id"),
                let namespace = try? FileDescriptor.open(FilePath("/proc/self/ns/pid"), .readOnly, options: .closeOnExec)
            else { return nil }
            defer { try? namespace.close() }
            guard let status = FileStatus(namespace.rawValue) else { return nil }
            return Process(id: id, start: start, namespace: "\(status.inode)", boot: String(decoding: boot.prefix { $0 > 32 }, as: UTF8.self))
        }
    }

    /// A restart of this image.
    private struct Line {
        var id: Int64, start: Int64
        var namespace: String, boot: String
    }

    /// Before the process that becomes the program is made: that one may be in another namespace.
    init(beside path: FilePath, image: String) {
        folder = ImageFolder.parents(of: path)
        self.image = image
        me = Process.current()
        let lines = lines()
        lineCount = lines.count
        for line in lines where line.namespace == me?.namespace && line.boot == me?.boot && line.id != me?.id {
            if Process.start(of: line.id) == line.start { siblings += 1 }
        }
    }

    private func lines() -> [Line] {
        (SmallFile.read(folder.appending("restarts").string) ?? []).split(separator: UInt8(ascii: "\n")).compactMap { text in
            let fields = text.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count == 6, fields[0] == image, let id = Int64(fields[2]), let start = Int64(fields[3]) else { return nil }
            return Line(id: id, start: start, namespace: fields[4], boot: fields[5])
        }
    }

    /// Adds this restart; what the record tells then. nil: it can not be written.
    func add() -> Answer? {
        guard let me else { return nil }
        _ = ProcessCalls.perform(83, [0, 0o700], text: folder.string, at: 0)  // mkdir
        guard let file = try? FileDescriptor.open(
            folder.appending("restarts"), .readWrite, options: [.create, .append, .closeOnExec, .noFollow], permissions: .ownerReadWrite)
        else { return nil }
        defer { try? file.close() }
        // Order: read and written under the lock, so that of two at once one is the second. What came since the first look lives.
        guard ProcessCalls.perform(73, Int64(file.rawValue), 2) == 0 else { return nil }  // flock LOCK_EX
        let count = lines().count
        let line = "\(image) \(Kernel.nanoseconds(.realtime)) \(me.id) \(me.start) \(me.namespace) \(me.boot)\n"
        guard (try? file.writeAll(line.utf8)) != nil else { return nil }
        return Answer(restarts: Int32(clamping: count + 1), siblings: siblings + Int32(clamping: max(0, count - lineCount)))
    }
}
