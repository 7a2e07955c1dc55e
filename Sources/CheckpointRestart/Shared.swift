// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Objects of shared memory, made anew: each once, whatever number of mappings and descriptors show it.
struct SharedObjects {
    let objects: [SharedObject]
    /// Held descriptors; -1: shared anonymous memory, which has none.
    private(set) var descriptors: [Int32] = []
    /// System V: the segment's id here; else -1.
    private(set) var segments: [Int64] = []
    let options: RestartOptions

    private static let sealWrite: UInt32 = 8

    /// Empty ones of the right size.
    init(image: Image, options: RestartOptions, holder: DescriptorHolder) throws(RestartFailure) {
        objects = image.shared
        self.options = options
        for object in objects {
            descriptors.append(try SharedObjects.make(object, options, holder))
            segments.append(object.kind == .systemV ? try SystemVSegment.make(object, options) : -1)
        }
    }

    private static func make(_ object: SharedObject, _ options: RestartOptions, _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        if object.kind == .file { return try SharedFile.open(object, options, holder) }
        let path = options.mappedBytes(object.name), what = "the shared memory \(String(decoding: path, as: UTF8.self))"
        let result: Int64
        switch object.kind {
        case .memfd: result = makeMemfd(path)
        case .deleted: result = UnnamedFile.make(path)
        case .anonymous, .systemV, .file, .unknown: return -1
        }
        let descriptor = try holder.hold(result, what)
        let resized = ProcessCalls.perform(77, Int64(descriptor), Int64(clamping: object.byteCount))  // ftruncate
        if resized < 0 { throw DescriptorHolder.failure(resized, what) }
        return descriptor
    }

    /// With every seal still to be set. Kernel: MFD_EXEC since 6.3.
    private static func makeMemfd(_ path: [UInt8]) -> Int64 {
        let prefix = Array("/memfd:".utf8), title = String(decoding: path.starts(with: prefix) ? path.dropFirst(prefix.count) : path[...], as: UTF8.self)
        let sealable: Int64 = 1 | 2, executable: Int64 = 16  // MFD_CLOEXEC | MFD_ALLOW_SEALING, MFD_EXEC
        let made = ProcessCalls.perform(319, [0, sealable | executable], text: title, at: 0)
        return made == -22 ? ProcessCalls.perform(319, [0, sealable], text: title, at: 0) : made
    }

    /// Whether nobody may write any more: then there may be no mapping that could.
    func isReadOnly(_ index: Int) -> Bool { objects[index].seals & SharedObjects.sealWrite != 0 }

    /// The last thing: mode and seals. Kernel: F_SEAL_WRITE is refused (EBUSY) while there is a mapping that may write.
    func finish(_ index: Int) throws(RestartFailure) {
        let object = objects[index], descriptor = Int64(descriptors[index])
        if object.kind == .file { return }
        if object.kind == .systemV { SystemVSegment.finish(segments[index], object) }
        guard descriptor >= 0 else { return }
        if object.mode != 0 { _ = ProcessCalls.perform(91, descriptor, Int64(object.mode & 0o7777)) }  // fchmod
        guard object.kind == .memfd, object.flags.contains(.seals), object.seals != 0 else { return }
        let result = ProcessCalls.perform(72, descriptor, 1033, Int64(object.seals))  // fcntl F_ADD_SEALS
        if result < 0 {
            throw RestartFailure(
                kind: .unsupported, what: "the shared memory \(object.name) can not be sealed as it was (\(Errno(rawValue: CInt(-result)).description))",
                remedy: "restart on a kernel as new as the one then")
        }
    }

    /// One more open description of it, as a descriptor of the program had it.
    func open(_ index: Int, flags: UInt32, holder: DescriptorHolder, what: String) throws(RestartFailure) -> Int32 {
        let again = DescriptorCalls.openAgain(descriptors[index], flags)
        if again == -2 && flags & OpenFlag.accessMode == OpenFlag.readWrite {  // No /proc here.
            return try holder.hold(DescriptorCalls.duplicate(descriptors[index], above: holder.floor), what)
        }
        return try holder.hold(again, what)
    }
}

/// A segment of System V shared memory.
enum SystemVSegment {
    static let isToBeRemoved: UInt32 = 0o1000  // SHM_DEST

    /// The one that the program has left behind, or a new one. Its id is in the program's memory, unless it was removed already (then it
    /// lives as long as it is attached, and nobody asks for it any more).
    static func make(_ object: SharedObject, _ options: RestartOptions) throws(RestartFailure) -> Int64 {
        let wanted = Int64(object.inode), isRemoved = object.mode & isToBeRemoved != 0
        if !isRemoved, let now = status(of: wanted), now.key == object.key, now.byteCount == object.byteCount, now.attachCount == 0 { return wanted }
        // Kernel: the next segment gets this id, if it is free; for that one needs CAP_CHECKPOINT_RESTORE (ipc/ipc_sysctl.c).
        if !isRemoved { _ = SmallFile.write("\(wanted)", to: "/proc/sys/kernel/shm_next_id") }
        let made = ProcessCalls.perform(29, Int64(object.key), Int64(clamping: object.byteCount), Int64(object.mode & 0o777) | 0o3000)  // shmget
        if made < 0 { throw failure(object, Errno(rawValue: CInt(-made)).description, "remove what has its key: ipcrm -M 0x\(String(object.key, radix: 16))") }
        if made != wanted && !isRemoved && !options.allowMissing {
            _ = ProcessCalls.perform(31, made, 0, 0)  // IPC_RMID
            throw failure(object, "its id is another here, and the program knows the old one", "restart as root, or with --allow-missing")
        }
        return made
    }

    /// When it is attached: it was removed already.
    static func finish(_ id: Int64, _ object: SharedObject) {
        if object.mode & isToBeRemoved != 0 { _ = ProcessCalls.perform(31, id, 0, 0) }
    }

    private static func failure(_ object: SharedObject, _ why: String, _ remedy: String) -> RestartFailure {
        RestartFailure(kind: .missing, what: "the System V segment \(object.inode) can not be made: \(why)", remedy: remedy)
    }

    /// Kernel: struct shmid64_ds (asm-generic/shmbuf.h).
    private static func status(of id: Int64) -> (key: UInt32, byteCount: UInt64, attachCount: UInt64)? {
        var bytes = [UInt8](repeating: 0, count: 112)
        guard ProcessCalls.perform(31, [id, 2, 0], bytes: &bytes, at: 2) == 0 else { return nil }  // IPC_STAT
        return (bytes.word32(at: 0), bytes.word64(at: 48), bytes.word64(at: 88))
    }
}

/// A file without a name.
enum UnnamedFile {
    /// Where the old one was, when that is possible. A descriptor, or a negative errno.
    static func make(_ path: [UInt8]) -> Int64 {
        let folder = Array(path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)])
        let flags = OpenFlag.temporary | OpenFlag.directory | OpenFlag.readWrite
        for place in [folder.isEmpty ? Array("/".utf8) : folder, Array("/tmp".utf8), Array("/dev/shm".utf8)] {
            let made = DescriptorCalls.open(place, flags, mode: 0o600)
            if made >= 0 { return made }
        }
        return ProcessCalls.perform(319, [0, 1], text: "ckpt-file", at: 0)  // memfd_create
    }
}

/// Shared objects in the memory of the program.
extension ProgramMemory {
    /// Where the content of an object is read to, before it is shown where the program has it.
    func mapContent(_ holder: PlaceHolder, of index: Int) throws(RestartFailure) {
        // A file is changed at the very last: until then it is put together beside it.
        let isFile = shared.objects[index].kind == .file, descriptor = isFile ? -1 : shared.descriptors[index]
        if shared.segments[index] >= 0 { return try attach(holder, shared.segments[index]) }
        let flags = (isFile ? Memory.isPrivate : Memory.shared) | (descriptor < 0 ? Memory.anonymous : 0) | (holder.mapping.byteCount > 4 << 30 ? Memory.noReserve : 0)
        do throws(Errno) {
            try Kernel.map(
                at: holder.staged.start, byteCount: holder.staged.byteCount, protection: Memory.read | Memory.write, flags: flags, descriptor: descriptor)
        } catch { throw ProgramMemory.failure(error, holder.mapping) }
    }

    private func attach(_ holder: PlaceHolder, _ segment: Int64) throws(RestartFailure) {
        do throws(Errno) {
            let got = try Kernel.call(.shmat, UInt64(segment), holder.staged.start, 0)
            guard got == holder.staged.start else { throw Errno.fileExists }
        } catch { throw ProgramMemory.failure(error, holder.mapping) }
    }

    /// Every mapping of an object, when its content is there.
    func showObjects() throws(RestartFailure) {
        for content in holders {
            guard case .content(let index) = content.source else { continue }
            let isAnonymous = shared.descriptors[index] < 0, isReadOnly = shared.isReadOnly(index), isFile = shared.objects[index].kind == .file
            if !isAnonymous && !isFile { try unmap(content) }
            if isReadOnly { try shared.finish(index) }
            for holder in holders where holder.source == .object(index) {
                do throws(Errno) {
                    if isAnonymous { try show(holder, of: content) } else { try show(holder, of: shared.descriptors[index], isReadOnly: isReadOnly) }
                } catch { throw ProgramMemory.failure(error, holder.mapping) }
            }
            if isAnonymous { try unmap(content) }
            if !isReadOnly { try shared.finish(index) }
        }
    }

    /// The last thing before the point of no return: what is mapped of files is as it was at the checkpoint.
    func bringBackFiles() throws(RestartFailure) {
        for content in holders {
            guard case .content(let index) = content.source, shared.objects[index].kind == .file else { continue }
            try shared.bringBack(index, from: content.staged.start, ranges: holders.filter { $0.source == .object(index) }.map {
                $0.mapping.fileOffset..<$0.mapping.fileOffset + $0.mapping.byteCount
            })
            try unmap(content)
        }
    }

    private func unmap(_ content: PlaceHolder) throws(RestartFailure) {
        do throws(Errno) { try Kernel.call(.munmap, content.staged.start, content.staged.byteCount) } catch {
            throw ProgramMemory.failure(error, content.mapping)
        }
    }

    /// Kernel: mremap of no bytes of a shared mapping shows the same object once more (mremap(2)): nothing else does without a descriptor.
    private func show(_ holder: PlaceHolder, of content: PlaceHolder) throws(Errno) {
        let source = content.staged.start + holder.mapping.fileOffset
        let got = try Kernel.call(.mremap, source, 0, holder.staged.byteCount, Memory.moveFixed, holder.staged.start)
        guard got == holder.staged.start else { throw Errno.fileExists }
        let protection = UInt64(holder.mapping.protection.rawValue)
        if protection != Memory.read | Memory.write { try Kernel.protect(holder.staged, protection) }
    }

    private func show(_ holder: PlaceHolder, of descriptor: Int32, isReadOnly: Bool) throws(Errno) {
        var number = descriptor
        if isReadOnly {  // Kernel: before 6.7 a sealed memfd can be mapped so only through a description that can not write.
            let again = DescriptorCalls.openAgain(descriptor, OpenFlag.readOnly)
            if again < 0 { throw Errno(rawValue: CInt(-again)) }
            number = Int32(truncatingIfNeeded: again)
        }
        defer { if isReadOnly { DescriptorCalls.close(number) } }
        try Kernel.map(
            at: holder.staged.start, byteCount: holder.staged.byteCount, protection: UInt64(holder.mapping.protection.rawValue),
            flags: Memory.shared, descriptor: number, offset: holder.mapping.fileOffset)
    }
}
