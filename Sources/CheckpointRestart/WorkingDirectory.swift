// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Where the program was, after `--cwd` and `--map-path`.
enum WorkingDirectory {
    /// Held open; entered at the end (`fchdir`), because paths of this command line count from where the user is.
    static func open(image: Image, options: RestartOptions, holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        let path = options.directory.map { Array($0.utf8) } ?? options.mappedBytes(image.process.directory)
        let flags = OpenFlag.path | OpenFlag.directory
        let result = DescriptorCalls.open(path, flags)
        if result == -2 || result == -20 {
            throw RestartFailure(
                kind: .missing, what: "the working directory \(String(decoding: path, as: UTF8.self)) is not there",
                remedy: "create it, or name another one with --cwd or --map-path")
        }
        return try holder.hold(result, "the working directory \(String(decoding: path, as: UTF8.self))")
    }
}

extension RestartOptions {
    /// The path on this host, byte for byte when no `--map-path` speaks of it.
    func mappedBytes(_ path: FilePath) -> [UInt8] {
        let bytes = path.pathBytes
        guard !mappedPaths.isEmpty, let text = String(validating: bytes, as: UTF8.self) else { return bytes }
        return Array(mapped(text).utf8)
    }
}
