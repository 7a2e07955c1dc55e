// SPDX-License-Identifier: Apache-2.0

/// What a fixture prints when it is left alone, found out once for each user.
struct Reference: Sendable {
    var facts: String
    var errors: String
    var ending: Ending

    private struct Key: Hashable { var fixture: Fixture, user: Flavour.User }
    private static let known = Guarded<[Key: Reference]>([:])

    static func of(_ fixture: Fixture, as user: Flavour.User) throws -> Reference {
        let key = Key(fixture: fixture, user: user)
        if let reference = known.withLock({ $0[key] }) { return reference }
        let run = try Run(fixture, as: user)
        let reference = try run.explain {
            try run.start()
            let ending = try run.release()
            guard run.facts.contains("\n") || ending != .exited(0) else { throw Broken("\(fixture) printed nothing") }
            return Reference(facts: run.facts, errors: run.errors, ending: ending)
        }
        run.finish()
        known.withLock { $0[key] = reference }
        return reference
    }
}
