// SPDX-License-Identifier: Apache-2.0
// What the tests need of C: the bytes of a struct of image.h, files that are no regular files.
import CheckpointImage
import Glibc
import SystemPackage
import Synchronization

/// A path in /tmp that is removed with the last reference.
final class TestPath: Sendable {
    private static let counter = Atomic<Int>(0)
    let path: FilePath

    init() {
        let number = TestPath.counter.wrappingAdd(1, ordering: .relaxed).newValue
        path = FilePath("/tmp/ckpt-image-test-\(getpid())-\(number)")
    }

    convenience init(_ bytes: [UInt8]) throws {
        self.init()
        try write(bytes)
    }

    func write(_ bytes: [UInt8]) throws {
        let file = try FileDescriptor.open(path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(bytes) }
    }

    // Safety of these: the string outlives the call.
    func makeDirectory() { unsafe _ = mkdir(path.string, 0o700) }
    func makeFifo() { unsafe _ = mkfifo(path.string, 0o600) }
    func forbid() { unsafe _ = chmod(path.string, 0) }

    deinit {
        unsafe _ = unlink(path.string)
        unsafe _ = rmdir(path.string)
    }
}

/// The bytes of a C struct, as signal time writes them.
func bytes<T: BitwiseCopyable>(of value: T) -> [UInt8] {
    // Safety: read only, inside the closure; the structs of image.h have no padding.
    unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
}
let isRoot = geteuid() == 0
let isLongRun: Bool = unsafe getenv("CKPT_TEST_LONG") != nil

/// A directory with one directory app.img.d in it, removed with the last reference.
final class TestFolder: Sendable {
    private let root = TestPath().path

    // Safety of these: the strings outlive the calls.
    init() {
        unsafe _ = mkdir(root.string, 0o700)
        unsafe _ = mkdir(root.appending("app.img.d").string, 0o700)
    }

    func path(_ name: String) -> FilePath { FilePath(root.string + "/" + name) }

    func write(_ bytes: [UInt8], as name: String) throws {
        let file = try FileDescriptor.open(path(name), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(bytes) }
    }

    func remove(_ path: FilePath) { unsafe _ = unlink(path.string) }
    func exists(_ path: FilePath) -> Bool { unsafe access(path.string, F_OK) == 0 }
    func mode(_ path: FilePath) -> UInt32 {
        var status = stat()
        return unsafe stat(path.string, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    deinit {
        for folder in [path("app.img.d"), root] {
            for name in ImageFolder.names(in: folder) ?? [] { remove(folder.appending(name)) }
            unsafe _ = rmdir(folder.string)
        }
    }
}
