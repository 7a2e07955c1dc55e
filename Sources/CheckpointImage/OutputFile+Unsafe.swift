// SPDX-License-Identifier: Apache-2.0
import Glibc
package import SystemPackage

/// A new image: without a name (or with a temporary one) until it is complete, then in its place in one step.
package struct OutputFile: ~Copyable {
    package let descriptor: Int32
    private let path: FilePath
    private let directory: FilePath
    private let temporary: FilePath
    /// The file system has no files without a name.
    private var isNamed = false

    /// For an image at `path`, for its owner alone. Where the file system can do that, nothing is left of it when this process ends.
    package init(for path: FilePath, identifier: UInt64) throws(ImageError) {
        self.path = path
        let parent = path.removingLastComponent()
        directory = parent.isEmpty ? "." : parent
        temporary = directory.appending(".\(path.lastComponent?.string ?? "").\(Identity.name(of: identifier)).new")
        // Safety of all calls here: the strings are held for the call.
        var opened = unsafe open(directory.string, O_TMPFILE_FLAGS | O_RDWR | O_CLOEXEC, 0o600)
        if opened < 0, [EOPNOTSUPP, EISDIR, EINVAL, ENOENT].contains(errno) {
            opened = unsafe open(temporary.string, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
            isNamed = opened >= 0
        }
        descriptor = opened
        if opened < 0 { throw OutputFile.failure("creating \(path)") }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        // Safety: as above. After the commit the temporary name is gone.
        if isNamed { unsafe _ = unlink(temporary.string) }
    }

    /// From now on it is there as long as somebody has it open.
    package mutating func forgetName() {
        // Safety: the string is held for the call.
        if isNamed { unsafe _ = unlink(temporary.string) }
        isNamed = false
    }

    func write(_ bytes: [UInt8], at offset: UInt64) throws(ImageError) {
        var done = 0
        while done < bytes.count {
            // Safety: inside the array, which is held for the call.
            let count = unsafe bytes.withUnsafeBytes { raw in
                unsafe pwrite(descriptor, raw.baseAddress! + done, raw.count - done, off_t(offset) + off_t(done))
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 { throw OutputFile.failure("writing \(path)") }
            done += count
        }
    }

    /// Durable under its name; what had that name is gone.
    package consuming func commit() throws(ImageError) {
        if fsync(descriptor) != 0 { throw OutputFile.failure("syncing \(path)") }
        // Safety: the strings are held for the calls.
        if !isNamed {
            let link = "/proc/self/fd/\(descriptor)"
            var failed = unsafe linkat(AT_FDCWD, link, AT_FDCWD, temporary.string, AT_SYMLINK_FOLLOW) != 0
            if failed && errno == EEXIST {  // of one that was interrupted
                unsafe _ = unlink(temporary.string)
                failed = unsafe linkat(AT_FDCWD, link, AT_FDCWD, temporary.string, AT_SYMLINK_FOLLOW) != 0
            }
            if failed { throw OutputFile.failure("naming \(path)") }
            isNamed = true
        }
        if unsafe rename(temporary.string, path.string) != 0 { throw OutputFile.failure("naming \(path)") }
        isNamed = false
        try OutputFile.sync(directory)
    }

    /// Makes the names in a directory durable.
    package static func sync(_ directory: FilePath) throws(ImageError) {
        let opened = unsafe open(directory.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if opened < 0 { throw failure("opening \(directory)") }
        defer { close(opened) }
        if fsync(opened) != 0 { throw failure("syncing \(directory)") }
    }

    private static func failure(_ what: String) -> ImageError {
        let error = Errno(rawValue: errno)
        return switch error {
        case .permissionDenied, .notPermitted, .readOnlyFileSystem: .permission(what: what)
        default: .io(what: what, errno: error)
        }
    }
}

/// O_TMPFILE, a macro that Swift does not see.
private let O_TMPFILE_FLAGS: Int32 = 0o20000000 | O_DIRECTORY
