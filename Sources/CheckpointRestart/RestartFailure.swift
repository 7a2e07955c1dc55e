// SPDX-License-Identifier: Apache-2.0

/// The class of a failure, as scripts see it. One word for each thing that a user can do about it.
package enum FailureClass: String, Sendable {
    case usage, damaged, unsupported, missing, changed, io, permission
}

/// A restart that did not happen: nothing was started, the status is 125.
package struct RestartFailure: Error, Sendable {
    package let kind: FailureClass
    package let what: String
    package let remedy: String

    package init(kind: FailureClass, what: String, remedy: String) {
        self.kind = kind
        self.what = what
        self.remedy = remedy
    }

    /// `CLASS: what; what to do`: what follows the image's name in the one line.
    package var line: String { "\(kind.rawValue): \(what); \(remedy)" }
}
