// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A file that the program writes at its end, to be cut back to its size at the checkpoint: what the program wrote since it
/// writes again, and output appears exactly once. The cut-off tail is added to `FILE.ckpt-tail`.
struct FileCut {
    let name: String
    let path: [UInt8]
    /// A held descriptor that can write, one that can read, and the file that both are.
    let writer: Int32, reader: Int32
    let inode: UInt64, device: UInt64, mode: UInt32
    let byteCount: UInt64
    let modifiedNs: Int64

    func apply() throws(RestartFailure) {
        // It may have grown since it was looked at: somebody still writes to it.
        guard let status = FileStatus(writer), status.byteCount > byteCount else { return }
        try saveTail(upTo: status.byteCount)
        let result = ProcessCalls.perform(77, Int64(writer), Int64(clamping: byteCount))  // ftruncate
        if result < 0 { throw FileCut.failure(result, "\(name) can not be cut back") }
        setTime()
    }

    private func saveTail(upTo end: UInt64) throws(RestartFailure) {
        let flags = OpenFlag.writeOnly | OpenFlag.create | OpenFlag.append | OpenFlag.noFollow
        let opened = DescriptorCalls.open(path + Array(".ckpt-tail".utf8), flags, mode: mode & 0o777)
        if opened < 0 { throw FileCut.failure(opened, "\(name).ckpt-tail, for what would be cut off, can not be opened") }
        let tail = Int32(truncatingIfNeeded: opened)
        defer { DescriptorCalls.close(tail) }
        var offset = byteCount
        while offset < end {
            let count = Int(min(end - offset, 1 << 20))
            guard let piece = DescriptorCalls.read(reader, byteCount: count, at: offset) else {
                throw RestartFailure(kind: .io, what: "\(name) can not be read", remedy: "check the disk and try again")
            }
            let result = DescriptorCalls.write(tail, piece)
            if result < 0 { throw FileCut.failure(result, "\(name).ckpt-tail can not be written") }
            offset += UInt64(count)
        }
    }

    /// The file is as it was: the next restart from the same image sees that by its time.
    private func setTime() {
        var times: [UInt8] = []
        for word in [0, 0x3fff_fffe, modifiedNs / 1_000_000_000, modifiedNs % 1_000_000_000] as [Int64] {  // UTIME_OMIT
            for index in 0..<8 { times.append(UInt8(truncatingIfNeeded: word >> Int64(8 * index))) }
        }
        _ = ProcessCalls.perform(280, [Int64(writer), 0, 0, 0], bytes: &times, at: 2)  // utimensat
    }

    private static func failure(_ result: Int64, _ what: String) -> RestartFailure {
        let error = Errno(rawValue: CInt(-result))
        let isDenied = [.permissionDenied, .notPermitted, .readOnlyFileSystem].contains(error)
        return RestartFailure(
            kind: isDenied ? .permission : .io, what: "\(what) (\(error.description))",
            remedy: "make room and rights for it, or use --files keep")
    }
}
