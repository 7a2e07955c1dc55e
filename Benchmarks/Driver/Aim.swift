// SPDX-License-Identifier: Apache-2.0

/// What a row should reach.
struct Aim: Codable {
    enum Kind: String, Codable { case below = "<", atMost = "≤", atLeast = "≥" }
    let kind: Kind
    let value: Double

    static func below(_ value: Double) -> Aim { Aim(kind: .below, value: value) }
    static func atMost(_ value: Double) -> Aim { Aim(kind: .atMost, value: value) }
    static func atLeast(_ value: Double) -> Aim { Aim(kind: .atLeast, value: value) }

    func isReached(by figure: Double) -> Bool {
        switch kind {
        case .below: figure < value
        case .atMost: figure <= value
        case .atLeast: figure >= value
        }
    }
    /// Reached by the whole interval, or by none of it, or not to be told.
    func verdict(_ estimate: Estimate) -> Verdict {
        switch (isReached(by: estimate.low), isReached(by: estimate.high)) {
        case (true, true): .reached
        case (false, false): .notReached
        default: .notShown
        }
    }
}

enum Verdict: String, Codable {
    case reached = "reached"
    case notReached = "not reached"
    /// The interval encloses the aim.
    case notShown = "not shown"
    /// What it would measure does not exist in this version, or this machine cannot show it.
    case notThere = "not there"
    case none = ""
}
