// SPDX-License-Identifier: Apache-2.0

/// What the user chose on the command line of `ckpt-restart`.
package struct RestartOptions: Sendable {
    package enum Load: String, Sendable, CaseIterable { case auto, eager, lazy }
    package enum Identity: String, Sendable, CaseIterable { case auto, keep, new }
    package enum FilePolicy: String, Sendable, CaseIterable { case auto, keep, embed, refuse }
    package struct MappedPath: Sendable {
        package var old, new: String
        package init(old: String, new: String) { (self.old, self.new) = (old, new) }
    }
    package struct Variable: Sendable {
        package var name, value: String
        package init(name: String, value: String) { (self.name, self.value) = (name, value) }
    }

    /// `N` (0 the newest, 1 its parent, …) or an identifier; nil: the image that was named.
    package var at: String?
    package var load = Load.auto
    package var identity = Identity.auto
    package var mappedPaths: [MappedPath] = []
    package var files = FilePolicy.auto
    /// Absolute; nil: the image's working directory.
    package var directory: String?
    package var environment: [Variable] = []
    package var allowMissing = false
    package var force = false
    package var statusFile: String?
    package var isQuiet = false

    package init() {}

    /// The path as it is on this host: the longest `--map-path OLD=NEW` that fits at a border of components wins.
    package func mapped(_ path: String) -> String {
        var best: MappedPath?
        for pair in mappedPaths where path == pair.old || path.hasPrefix(pair.old.hasSuffix("/") ? pair.old : pair.old + "/") {
            if pair.old.utf8.count > (best?.old.utf8.count ?? -1) { best = pair }
        }
        guard let best else { return path }
        return best.new + path.dropFirst(best.old.count)
    }
}
