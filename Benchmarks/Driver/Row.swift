// SPDX-License-Identifier: Apache-2.0

/// One figure with its aim and its physical limit.
struct Row: Codable {
    /// Another figure that stands beside it: of the paper, of a peer.
    struct Reference: Codable { var label: String, value: Double }

    var name: String
    var unit: Unit
    var estimate: Estimate?
    var aim: Aim?
    var verdict: Verdict
    /// What else was seen in the same runs.
    var more = ""
    /// The physical limit, measured in the same run.
    var limit = ""
    var reference: Reference?
    /// Something that must not be, found on the way; the driver ends with an error.
    var complaint: String?

    init(_ name: String, _ unit: Unit, _ samples: [Double], aim: Aim? = nil, more: String = "", limit: String = "", reference: Reference? = nil,
         complaint: String? = nil) {
        self.name = name
        self.unit = unit
        let estimate = Estimate(samples)
        self.estimate = estimate
        self.aim = aim
        verdict = aim?.verdict(estimate) ?? .none
        self.more = more
        self.limit = limit
        self.reference = reference
        self.complaint = complaint
    }

    init(_ name: String, _ unit: Unit, notThere why: String, aim: Aim? = nil, reference: Reference? = nil) {
        self.name = name
        self.unit = unit
        self.aim = aim
        self.reference = reference
        verdict = .notThere
        more = why
    }

    static let head = ["", "median", "95 % interval", "aim", "verdict", "beside it", "physical limit"]
    var cells: [String] {
        let interval = estimate.map { unit.digits($0.low) + " … " + unit.text($0.high) } ?? ""
        let beside = (reference.map { ["\($0.label): \(unit.text($0.value))"] } ?? []) + (more.isEmpty ? [] : [more])
        return [name, estimate.map { unit.text($0.median) } ?? "–", interval, aim.map { "\($0.kind.rawValue) \(unit.text($0.value))" } ?? "",
                verdict.rawValue, (beside + (complaint.map { ["WRONG: " + $0] } ?? [])).joined(separator: "; "), limit]
    }
}

/// Thrown where a row cannot be measured: what is missing.
struct NotThere: Error {
    let why: String
    init(_ why: String) { self.why = why }
}
