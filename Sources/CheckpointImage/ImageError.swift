// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// Why an image could not be read. One case for each thing that a user can act on.
package enum ImageError: Error, Sendable, Equatable {
    /// A checksum, a size or a cross reference is wrong. `offset`: where in the file, when that is known.
    case damaged(what: String, offset: UInt64?)
    /// Not an ELF core file at all, or not for this architecture.
    case notAnImage(what: String)
    /// A core file, but not one of ours.
    case foreignCore
    /// Written by a later major version of the format.
    case futureVersion(what: String)
    /// This host cannot read images at all.
    case unsupported(what: String)
    case missing(FilePath)
    case permission(what: String)
    case io(what: String, errno: Errno)
    /// What was asked for is not done.
    case usage(what: String, remedy: String)
    /// A file that the image builds on.
    indirect case inParent(FilePath, ImageError)

    /// The classes that scripts may rely on; see `ckpt-restart`.
    package enum Class: String, Sendable {
        case usage, damaged, unsupported, missing, changed, io, permission
    }

    package var restartClass: Class {
        switch self {
        case .damaged, .notAnImage, .foreignCore: .damaged
        case .futureVersion, .unsupported: .unsupported
        case .missing: .missing
        case .permission: .permission
        case .io: .io
        case .inParent(_, let error): error.restartClass
        case .usage: .usage
        }
    }

    /// What happened, for a person.
    package var what: String {
        switch self {
        case .damaged(let what, let offset?): "\(what) (at byte \(offset))"
        case .damaged(let what, nil): what
        case .notAnImage(let what): what
        case .foreignCore: "a core file, but not one of CheckpointKit"
        case .futureVersion(let what), .unsupported(let what): what
        case .missing: "no such file"
        case .permission(let what): "\(what): permission denied"
        case .io(let what, let errno): "\(what): \(errno.description)"
        case .usage(let what, _): what
        case .inParent(let path, let error): "the parent \(path): \(error.what)"
        }
    }

    /// What to do about it.
    package var remedy: String {
        switch self {
        case .damaged: "use an older image"
        case .notAnImage: "name the image that a checkpoint wrote"
        case .foreignCore: "open it with a debugger"
        case .futureVersion: "use a later version of CheckpointKit"
        case .missing(let path): "check the path \(path)"
        case .unsupported: "use another host"
        case .permission: "run as the user who owns it"
        case .io: "check the disk and try again"
        case .usage(_, let remedy): remedy
        case .inParent(_, .missing): "bring it back, or use an older image"
        case .inParent(_, .damaged), .inParent(_, .notAnImage), .inParent(_, .foreignCore): "use an older image"
        case .inParent(_, let error): error.remedy
        }
    }

    /// `what; what to do`, in one line.
    package var line: String { "\(what); \(remedy)" }
}
