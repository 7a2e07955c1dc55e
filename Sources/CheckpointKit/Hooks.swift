// SPDX-License-Identifier: Apache-2.0

/// A hook that is held until it is cancelled; to drop this value cancels nothing.
public struct Registration: Sendable, Hashable {
    private let coordinator: Coordinator
    package let number: Int64

    init(coordinator: Coordinator, number: Int64) {
        self.coordinator = coordinator
        self.number = number
    }

    /// Removes the hook. A run of it that has begun is not waited for.
    public func cancel() { coordinator.cancelHook(number) }

    public static func == (one: Registration, other: Registration) -> Bool { one.number == other.number }
    public func hash(into hasher: inout Hasher) { hasher.combine(number) }
}

/// The hooks of a process, in the order of their registration.
struct Hooks: Sendable {
    enum Action: Sendable {
        case before(@Sendable () throws -> Void)
        case after(@Sendable (HookOutcome) -> Void)
        case restart(@Sendable (RestartContext) -> Void)
    }
    private struct Hook: Sendable {
        let number: Int64
        let name: String
        let action: Action
    }
    private var hooks: [Hook] = []
    private var lastNumber: Int64 = 0

    var isEmpty: Bool { hooks.isEmpty }
    /// Hooks that the scribe must wait for.
    var countAroundFreeze: Int { hooks.count { if case .restart = $0.action { false } else { true } } }

    mutating func add(_ name: String, _ action: Action) -> Int64 {
        lastNumber += 1
        hooks.append(Hook(number: lastNumber, name: name, action: action))
        return lastNumber
    }

    /// False: no such hook.
    mutating func remove(_ number: Int64) -> Bool {
        guard let index = hooks.firstIndex(where: { $0.number == number }) else { return false }
        hooks.remove(at: index)
        return true
    }

    /// Runs every before-hook, the last registered first; returns what those said that threw, each with its name. All
    /// run, so that each after-hook has had its before-hook.
    func runBefore() -> [String] {
        var refusals: [String] = []
        for hook in hooks.reversed() {
            guard case .before(let body) = hook.action else { continue }
            do { try body() } catch { refusals.append("\(hook.name): \(error)") }
        }
        return refusals
    }

    func runAfter(_ outcome: HookOutcome) {
        for hook in hooks { if case .after(let body) = hook.action { body(outcome) } }
    }

    func runRestart(_ context: RestartContext) {
        for hook in hooks { if case .restart(let body) = hook.action { body(context) } }
    }
}
