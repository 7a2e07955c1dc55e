// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Regular files, by the policy that was chosen (`--files`). Opens and checks; changes nothing.
struct FileOpener {
    let image: Image
    let options: RestartOptions
    let holder: DescriptorHolder
    /// What is to be cut back when every check has passed.
    private(set) var cuts: [FileCut] = []
    private var unnamed: [UnnamedKey: Int32] = [:]
    private let shared: SharedObjects

    init(image: Image, options: RestartOptions, holder: DescriptorHolder, shared: SharedObjects) {
        self.image = image
        self.shared = shared
        self.options = options
        self.holder = holder
    }

    private struct UnnamedKey: Hashable { let device: UInt64, inode: UInt64 }

    /// The path on this host. The program's own directory in /proc, and that of each of its threads, is that of the process
    /// it becomes: the other threads are not there yet.
    func path(of state: DescriptorState) -> [UInt8] {
        let path = options.mappedBytes(state.path)
        for id in [image.process.pid] + image.threads.map(\.tid) {
            let own = Array("/proc/\(id)/".utf8)
            if path.starts(with: own) { return Array("/proc/self/".utf8) + path.dropFirst(own.count) }
        }
        return path
    }

    mutating func open(_ state: DescriptorState) throws(RestartFailure) -> Int32 {
        let isUnnamed = state.flags.contains(.deleted) || state.kind == .memfd
        let descriptor = try isUnnamed ? openUnnamed(state) : openNamed(state)
        if state.statusFlags & OpenFlag.path != 0 { return descriptor }
        DescriptorCalls.setStatusFlags(descriptor, state.statusFlags)
        if DescriptorCalls.seek(descriptor, to: state.position) < 0 {
            throw RestartFailure(kind: .io, what: "\(name(of: state)) can not be positioned", remedy: "look after it and try again")
        }
        return descriptor
    }

    private func name(of state: DescriptorState) -> String { "the file \(String(decoding: path(of: state), as: UTF8.self))" }

    private mutating func openNamed(_ state: DescriptorState) throws(RestartFailure) -> Int32 {
        let path = path(of: state), name = name(of: state)
        let flags = state.statusFlags & ~OpenFlag.making
        // Not waiting: a FIFO may be there now.
        var result = DescriptorCalls.open(path, flags | OpenFlag.nonBlocking)
        if result == -1 && flags & OpenFlag.noAccessTime != 0 {
            result = DescriptorCalls.open(path, flags & ~OpenFlag.noAccessTime | OpenFlag.nonBlocking)
        }
        let descriptor = try holder.hold(result, name)
        guard let status = FileStatus(descriptor), status.isA(.file) else {
            throw RestartFailure(kind: .changed, what: "\(name) is no regular file any more", remedy: "bring it back, or name its new place with --map-path")
        }
        if flags & OpenFlag.path != 0 || options.files == .keep { return descriptor }
        // All of it is mapped shared, and brought back as it was.
        if state.flags.contains(.object), let index = state.detail, shared.isWhole(index, in: image) { return descriptor }
        try check(state, descriptor, status, path, name)
        return descriptor
    }

    private mutating func check(
        _ state: DescriptorState, _ descriptor: Int32, _ status: FileStatus, _ path: [UInt8], _ name: String
    ) throws(RestartFailure) {
        let mode = state.statusFlags & OpenFlag.accessMode
        let isWriter = mode != OpenFlag.readOnly
        let isAtEnd = isWriter && (state.statusFlags & OpenFlag.append != 0 || state.position >= state.byteCount)
        var reader: Int32? = descriptor
        if mode == OpenFlag.writeOnly || state.statusFlags & OpenFlag.direct != 0 {
            reader = try? holder.hold(DescriptorCalls.open(path, OpenFlag.readOnly | OpenFlag.nonBlocking), name)
        }
        let change = FileChange(since: state, now: status, reader: reader, onlyEnd: isAtEnd)
        switch change {
        case .unchanged: return
        case .grown where options.files != .refuse && !isWriter: return
        case .grown where options.files != .refuse && isAtEnd:
            guard let reader else {
                throw RestartFailure(
                    kind: .permission, what: "\(name) can not be read, to keep what would be cut off",
                    remedy: "make it readable, or use --files keep")
            }
            if cuts.contains(where: { $0.inode == status.inode && $0.device == status.device }) { return }
            cuts.append(FileCut(
                name: name, path: absolute(path), writer: descriptor, reader: reader, inode: status.inode, device: status.device,
                mode: status.mode, byteCount: state.byteCount, modifiedNs: state.modifiedNs))
        default:
            if options.force { return }
            throw RestartFailure(
                kind: .changed, what: change.text(of: name, state, status),
                remedy: "bring it back as it was, or go on with --force or --files keep")
        }
    }

    private func absolute(_ path: [UInt8]) -> [UInt8] {
        path.first == UInt8(ascii: "/") ? path : DirectoryNames.current().pathBytes + [UInt8(ascii: "/")] + path
    }

    // MARK: Files that no name leads to

    private mutating func openUnnamed(_ state: DescriptorState) throws(RestartFailure) -> Int32 {
        if state.flags.contains(.object), let index = state.detail {
            return try shared.open(index, flags: state.statusFlags, holder: holder, what: name(of: state))
        }
        guard state.flags.contains(.embedded), let blob = state.detail else {
            throw RestartFailure(
                kind: .missing, what: "the content of \(name(of: state)), which was deleted, is not in the image",
                remedy: "close it before the checkpoint, or use --allow-missing")
        }
        let key = UnnamedKey(device: state.device, inode: state.inode)
        let first: Int32
        if let known = unnamed[key] { first = known } else {
            first = try make(state, content: BlobContent.read(image, blob))
            unnamed[key] = first
        }
        let again = DescriptorCalls.openAgain(first, state.statusFlags)
        if again == -2 && state.statusFlags & OpenFlag.accessMode == OpenFlag.readWrite {  // No /proc here.
            return try holder.hold(DescriptorCalls.duplicate(first, above: holder.floor), name(of: state))
        }
        return try holder.hold(again, name(of: state))
    }

    private func make(_ state: DescriptorState, content: [UInt8]) throws(RestartFailure) -> Int32 {
        let descriptor = try holder.hold(UnnamedFile.make(path(of: state)), name(of: state))
        let written = DescriptorCalls.write(descriptor, content)
        if written < 0 { throw DescriptorHolder.failure(written, "the content of \(name(of: state))") }
        _ = ProcessCalls.perform(91, Int64(descriptor), Int64(state.mode & 0o7777))  // fchmod
        return descriptor
    }
}
