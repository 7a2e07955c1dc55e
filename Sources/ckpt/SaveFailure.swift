// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A checkpoint that did not come about: the one line, and the exit status.
struct SaveFailure: Error, Sendable {
    enum Status: Int32, Sendable {
        case usage = 64
        /// There is no such process, it is not enabled, or it could not take a checkpoint.
        case unavailable = 69
        case io = 74
        case permission = 77
        case interrupted = 130
    }
    let status: Status
    let what: String
    let remedy: String

    init(_ status: Status, _ what: String, _ remedy: String) {
        self.status = status
        self.what = what
        self.remedy = remedy
    }

    init(of error: Errno, _ what: String, _ remedy: String) {
        self.init(error == .permissionDenied || error == .notPermitted ? .permission : .io, what, remedy)
    }

    var line: String { "\(what); \(remedy)" }
}
