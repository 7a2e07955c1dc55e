// SPDX-License-Identifier: Apache-2.0
import Glibc
package import SystemPackage

/// The directory NAME.d beside an image: what the image builds on, and older complete checkpoints, named by identifier.
package enum ImageFolder {
    /// Where the parents of the image at this path are: in its folder, or beside it when it lies in one itself.
    package static func parents(of path: FilePath) -> FilePath {
        let parent = path.removingLastComponent()
        let folder = parent.isEmpty ? FilePath(".") : parent
        if let name = path.lastComponent?.string, identifier(name) != nil, trueName(of: folder)?.hasSuffix(".d") == true { return folder }
        return FilePath(path.string + ".d")
    }

    /// Of a directory, however it was named: "." has a name too.
    private static func trueName(of directory: FilePath) -> String? {
        // Safety: realpath allocates the text that it returns; it is copied and freed here.
        guard let text = unsafe realpath(directory.string, nil) else { return nil }
        defer { unsafe free(text) }
        return FilePath(unsafe String(cString: text)).lastComponent?.string
    }

    /// The identifier that a file's name is; nil: another name.
    package static func identifier(_ name: String) -> UInt64? {
        name.utf8.count == 12 && name.utf8.allSatisfy { 48...57 ~= $0 || 97...102 ~= $0 } ? UInt64(name, radix: 16) : nil
    }

    /// The names in a directory, without "." and ".."; nil: it can not be read.
    package static func names(in directory: FilePath) -> [String]? {
        // Safety: the stream is open until closedir, and each entry is used before the next one is read. d_name ends with a
        // zero inside the entry.
        guard let stream = unsafe opendir(directory.string) else { return nil }
        defer { unsafe _ = closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// The complete checkpoints of the image's folder but for `newest`, the newest first: those whose chain opens.
    ///
    /// Inside one run they are ordered by their number, because clocks jump; runs are ordered by their newest checkpoint.
    package static func complete(besides newest: Image) -> [ImageChain] {
        let folder = parents(of: newest.path)
        var images: [UInt64: Image] = [:]
        for name in names(in: folder) ?? [] {
            // The newest may be linked there too.
            guard let identifier = identifier(name), let image = try? Image.open(folder.appending(name)), image.ident.identifier == identifier,
                identifier != newest.ident.identifier
            else { continue }
            images[identifier] = image
        }
        let chains = images.values.compactMap { try? ImageChain($0, known: images) }
        var lastOfRun: [UInt64: UInt64] = [:]
        for ident in chains.map(\.newest.ident) { lastOfRun[ident.run] = max(lastOfRun[ident.run] ?? 0, ident.createdRealtimeNs) }
        lastOfRun[newest.ident.run] = .max
        func isNewer(_ one: Identity, _ other: Identity) -> Bool {
            if one.run == other.run { return one.sequence > other.sequence }
            let (first, second) = (lastOfRun[one.run] ?? 0, lastOfRun[other.run] ?? 0)
            return first == second ? one.run > other.run : first > second
        }
        return chains.sorted { isNewer($0.newest.ident, $1.newest.ident) }
    }
}
