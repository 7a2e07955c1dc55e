// SPDX-License-Identifier: Apache-2.0
import Glibc
package import SystemPackage

/// Removing what no checkpoint that is wanted builds on.
package enum Pruning {
    package struct Removed: Sendable {
        package let path: FilePath
        /// Given back to the disk; 0 when the file has another name.
        package let byteCount: UInt64
    }

    /// Order: the names are read before the image is opened. A program that takes checkpoints meanwhile links into the
    /// directory only what is newer, or the newest one itself, which is never removed; so whatever is there at the end finds its parents.
    package static func run(_ path: FilePath, keeping count: Int) throws(ImageError) -> [Removed] {
        let folder = FilePath(path.string + ".d"), parent = path.removingLastComponent()
        let directory = parent.isEmpty ? FilePath(".") : parent
        let names = ImageFolder.names(in: folder) ?? [], neighbours = ImageFolder.names(in: directory) ?? []
        let newest = try ImageChain.open(path)
        var needed = Set(newest.images.map(\.ident.identifier))
        for chain in count > 0 ? ImageFolder.complete(besides: newest.newest).prefix(count) : [] {
            needed.formUnion(chain.images.map(\.ident.identifier))
        }
        var removed: [Removed] = []
        for name in childrenFirst(names.filter { ImageFolder.identifier($0).map { !needed.contains($0) } ?? false }, in: folder) {
            removed.append(try remove(folder.appending(name)))
        }
        if !removed.isEmpty { try OutputFile.sync(folder) }
        let left = removed.count
        // The scribe holds a lock on the image while it writes the one that will replace it.
        if flock(newest.newest.descriptor, LOCK_SH | LOCK_NB) == 0 {
            defer { flock(newest.newest.descriptor, LOCK_UN) }
            for name in neighbours where isTemporary(name, of: path.lastComponent?.string ?? "") {
                removed.append(try remove(directory.appending(name)))
            }
        }
        if removed.count > left { try OutputFile.sync(directory) }
        return removed
    }

    /// `.NAME.` 12 hex digits `.new`
    private static func isTemporary(_ name: String, of image: String) -> Bool {
        guard name.hasPrefix(".\(image)."), name.hasSuffix(".new"), name.utf8.count == image.utf8.count + 18 else { return false }
        return ImageFolder.identifier(String(name.dropFirst(image.count + 2).dropLast(4))) != nil
    }

    /// Interrupted at any file, what is left is complete. What can not be read at all, but was ours, goes last.
    private static func childrenFirst(_ names: [String], in folder: FilePath) -> [String] {
        var found: [(name: String, depth: UInt32)] = []
        for name in names {
            do throws(ImageError) { found.append((name, try Image.open(folder.appending(name)).ident.depth)) } catch {
                if case .damaged = error { found.append((name, 0)) }
            }
        }
        return found.sorted { ($1.depth, $0.name) < ($0.depth, $1.name) }.map(\.name)
    }

    private static func remove(_ path: FilePath) throws(ImageError) -> Removed {
        var status = stat()
        // Safety: `status` and the strings outlive the calls.
        let isThere = unsafe lstat(path.string, &status) == 0
        if unsafe unlink(path.string) != 0 && errno != ENOENT {
            let error = Errno(rawValue: errno)
            let isForbidden = [.permissionDenied, .notPermitted, .readOnlyFileSystem].contains(error)
            throw isForbidden ? .permission(what: "removing \(path)") : .io(what: "removing \(path)", errno: error)
        }
        return Removed(path: path, byteCount: isThere && status.st_nlink == 1 ? UInt64(status.st_blocks) * 512 : 0)
    }
}
