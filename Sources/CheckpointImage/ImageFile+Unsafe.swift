// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The open file: reads by position, never beyond the size that it had when it was opened.
final class ImageFile: Sendable {
    let descriptor: Int32
    let byteCount: UInt64

    init(opening path: FilePath) throws(ImageError) {
        // Not blocking: a FIFO without a writer must not hold us.
        let opened: FileDescriptor
        do {
            opened = try FileDescriptor.open(path, .readOnly, options: [.nonBlocking, .closeOnExec])
        } catch let errno as Errno {
            switch errno {
            case .noSuchFileOrDirectory, .notDirectory: throw .missing(path)
            case .permissionDenied, .notPermitted: throw .permission(what: "opening the image")
            case .noSuchAddressOrDevice: throw .notAnImage(what: "not a regular file")
            default: throw .io(what: "opening the image", errno: errno)
            }
        } catch {
            throw .missing(path)
        }
        var status = stat()
        // Safety: the descriptor is open and `status` outlives the call.
        let failed = unsafe fstat(opened.rawValue, &status) != 0
        let problem: ImageError? =
            if failed {
                .io(what: "looking at the image", errno: Errno(rawValue: errno))
            } else if status.st_mode & S_IFMT == S_IFDIR {
                .notAnImage(what: "a directory")
            } else if status.st_mode & S_IFMT == S_IFIFO {
                .notAnImage(what: "a FIFO")
            } else if status.st_mode & S_IFMT != S_IFREG {
                .notAnImage(what: "not a regular file")
            } else if status.st_size <= 0 {
                .notAnImage(what: "an empty file")
            } else {
                nil
            }
        if let problem {
            try? opened.close()
            throw problem
        }
        descriptor = opened.rawValue
        byteCount = UInt64(status.st_size)
    }

    deinit { try? FileDescriptor(rawValue: descriptor).close() }

    /// Whether `byteCount` bytes from `offset` lie inside the file.
    func holds(_ offset: UInt64, _ count: UInt64) -> Bool {
        let (end, overflow) = offset.addingReportingOverflow(count)
        return !overflow && end <= byteCount
    }

    /// Reads a part of the file into memory of its own.
    func read(_ count: UInt64, at offset: UInt64, what: String) throws(ImageError) -> [UInt8] {
        guard holds(offset, count), count <= 1 << 40 else {
            throw .damaged(what: "truncated: the file ends before its \(what)", offset: byteCount)
        }
        var problem: ImageError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initializedCount in
            // Safety: the buffer has `count` bytes, and as many as were read are initialized.
            let raw = unsafe UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: Int(count))
            problem = unsafe fill(raw, from: offset, what: what)
            initializedCount = problem == nil ? Int(count) : 0
        }
        if let problem { throw problem }
        return bytes
    }

    /// Reads a part of the file into the first bytes of `buffer`, which is at least as long.
    func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8], what: String) throws(ImageError) {
        guard holds(offset, UInt64(count)), count <= buffer.count else {
            throw .damaged(what: "truncated: the file ends before its \(what)", offset: byteCount)
        }
        // Safety: the part is inside the buffer, which is not touched by anybody else during the call.
        let problem = unsafe buffer.withUnsafeMutableBytes { raw in
            unsafe fill(UnsafeMutableRawBufferPointer(rebasing: raw[..<count]), from: offset, what: what)
        }
        if let problem { throw problem }
    }

    // Safety: writes only inside `raw`.
    private func fill(_ raw: UnsafeMutableRawBufferPointer, from offset: UInt64, what: String) -> ImageError? {
        var done = 0
        while done < raw.count {
            let count = unsafe pread(descriptor, raw.baseAddress! + done, raw.count - done, off_t(offset) + off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                return .io(what: "reading the \(what) of the image", errno: Errno(rawValue: errno))
            }
            if count == 0 { return .damaged(what: "truncated: the file ends before its \(what)", offset: offset + UInt64(done)) }
            done += count
        }
        return nil
    }
}
