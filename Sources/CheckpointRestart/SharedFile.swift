// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// A file that the program has mapped shared and writable. What is mapped of it is memory of the program: in the image, and brought back
/// as it was. What the file had become since is kept beside it, so nothing is ever lost.
enum SharedFile {
    static func open(_ object: SharedObject, _ options: RestartOptions, _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        let path = options.mappedBytes(object.name), what = "the mapped file \(String(decoding: path, as: UTF8.self))"
        let descriptor = try holder.hold(DescriptorCalls.open(path, OpenFlag.readWrite | OpenFlag.nonBlocking), what)
        guard let status = FileStatus(descriptor), status.isA(.file) else {
            throw RestartFailure(kind: .changed, what: "\(what) is no regular file any more", remedy: "bring it back, or name its new place with --map-path")
        }
        if status.byteCount < object.byteCount {
            guard options.force else {
                throw RestartFailure(
                    kind: .changed, what: "\(what) has shrunk since the checkpoint (from \(object.byteCount) to \(status.byteCount) bytes)",
                    remedy: "bring it back as it was, or go on with --force")
            }
            _ = ProcessCalls.perform(77, Int64(descriptor), Int64(clamping: object.byteCount))  // ftruncate
        }
        return descriptor
    }
}

extension SharedObjects {
    private static let pieceByteCount: UInt64 = 1 << 20

    /// Whether every byte of it is mapped.
    func isWhole(_ index: Int, in image: Image) -> Bool {
        var reached: UInt64 = 0
        for mapping in image.mappings.filter({ $0.object == index }).sorted(by: { $0.fileOffset < $1.fileOffset }) where mapping.fileOffset <= reached {
            reached = max(reached, mapping.fileOffset + mapping.byteCount)
        }
        return reached >= objects[index].byteCount
    }

    /// Writes what differs from `memory`, which holds the file from its offset 0 on, in these ranges.
    func bringBack(_ index: Int, from memory: UInt64, ranges: [Range<UInt64>]) throws(RestartFailure) {
        if options.files == .keep { return }
        let object = objects[index], descriptor = descriptors[index], name = String(decoding: options.mappedBytes(object.name), as: UTF8.self)
        var isKept = false, reached: UInt64 = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            var offset = max(range.lowerBound, reached)
            let end = min(range.upperBound, object.byteCount)
            reached = max(reached, range.upperBound)
            while offset < end {
                let count = min(end - offset, SharedObjects.pieceByteCount)
                guard let now = DescriptorCalls.read(descriptor, byteCount: Int(count), at: offset) else {
                    throw RestartFailure(kind: .io, what: "the mapped file \(name) can not be read", remedy: "check the disk and try again")
                }
                let then = Kernel.bytes(at: memory + offset, count: Int(count))
                if now != then {
                    if options.files == .refuse && !options.force {
                        throw RestartFailure(
                            kind: .changed, what: "the mapped file \(name) was written to since the checkpoint", remedy: "bring it back as it was, or go on with --force")
                    }
                    if !isKept { try keep(descriptor, path: options.mappedBytes(object.name), name: name, mode: object.mode) }
                    isKept = true
                    let wrote = SharedObjects.write(descriptor, then, at: offset)
                    if wrote < 0 { throw DescriptorHolder.failure(wrote, "the mapped file \(name)") }
                }
                offset += count
            }
        }
    }

    /// What the file has become, in `FILE.ckpt-newer`, or `FILE.ckpt-newer.2` and so on.
    private func keep(_ descriptor: Int32, path: [UInt8], name: String, mode: UInt32) throws(RestartFailure) {
        var made: Int64 = -17, number = 1
        while made == -17 && number < 1000 {  // EEXIST
            let ending = number == 1 ? ".ckpt-newer" : ".ckpt-newer.\(number)"
            made = DescriptorCalls.open(
                path + Array(ending.utf8), OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: mode & 0o777)
            number += 1
        }
        if made < 0 { throw DescriptorHolder.failure(made, "\(name).ckpt-newer, for what the file has become,") }
        let copy = Int32(truncatingIfNeeded: made)
        defer { DescriptorCalls.close(copy) }
        guard let status = FileStatus(descriptor) else { return }
        var offset: UInt64 = 0
        while offset < status.byteCount {
            let count = min(status.byteCount - offset, SharedObjects.pieceByteCount)
            guard let piece = DescriptorCalls.read(descriptor, byteCount: Int(count), at: offset) else {
                throw RestartFailure(kind: .io, what: "the mapped file \(name) can not be read", remedy: "check the disk and try again")
            }
            let wrote = SharedObjects.write(copy, piece, at: offset)
            if wrote < 0 { throw DescriptorHolder.failure(wrote, "\(name).ckpt-newer") }
            offset += count
        }
    }

    /// 0 or a negative errno.
    private static func write(_ descriptor: Int32, _ bytes: [UInt8], at offset: UInt64) -> Int64 {
        var done = 0
        while done < bytes.count {
            var rest = Array(bytes[done...])
            let wrote = ProcessCalls.perform(18, [Int64(descriptor), 0, Int64(rest.count), Int64(clamping: offset) + Int64(done)], bytes: &rest, at: 1)
            if wrote == -4 { continue }
            if wrote <= 0 { return wrote < 0 ? wrote : -28 }
            done += Int(wrote)
        }
        return 0
    }
}
