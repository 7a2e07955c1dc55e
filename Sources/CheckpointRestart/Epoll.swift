// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// man 7 epoll. An entry belongs to an open description *and* a number: entries are added when every descriptor is in place.
enum Epoll {
    private static let oneShot: UInt32 = 1 << 30, always: UInt32 = 0x18  // EPOLLERR | EPOLLHUP
    private static let readOrWrite: UInt32 = 1 | 4
    private static let add: Int64 = 1, modify: Int64 = 3

    static func make(_ state: DescriptorState, _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        try holder.hold(ProcessCalls.perform(291, Int64(OpenFlag.closeOnExec)), "an epoll")
    }

    static func fill(
        _ entries: [EpollEntry], states: [DescriptorState], placeholders: Set<Int32>, options: RestartOptions
    ) throws(RestartFailure) {
        // Order: spent entries first, while nothing else in their set can be ready.
        for entry in entries where isSpent(entry) { try add(entry, states, placeholders, options) }
        for entry in entries where !isSpent(entry) { try add(entry, states, placeholders, options) }
    }

    /// Kernel: an armed entry always has EPOLLERR and EPOLLHUP; a one-shot entry that was delivered keeps only its own flags.
    private static func isSpent(_ entry: EpollEntry) -> Bool { entry.events & oneShot != 0 && entry.events & always == 0 }

    private static func add(
        _ entry: EpollEntry, _ states: [DescriptorState], _ placeholders: Set<Int32>, _ options: RestartOptions
    ) throws(RestartFailure) {
        func isMissing(_ number: Int32) -> Bool {
            states.contains { $0.number == number && placeholders.contains($0.sharedWith) }
        }
        if isMissing(entry.target) || isMissing(entry.epoll) { return }
        guard let source = target(of: entry, states) else {
            if options.allowMissing { return }
            throw RestartFailure(
                kind: .missing, what: "an epoll waits for descriptor \(entry.target), which is closed in the program",
                remedy: "remove it from the epoll before the checkpoint, or use --allow-missing")
        }
        let result = source == entry.target
            ? addInPlace(entry) : withDescriptor(source, at: entry.target) { addInPlace(entry) }
        if result == -1 && options.force { return }  // EPERM: a file or device that is always ready, where a stream was.
        if result < 0 {
            throw RestartFailure(
                kind: .unsupported, what: "an epoll can not wait for descriptor \(entry.target) (\(Errno(rawValue: CInt(-result)).description))",
                remedy: entry.target <= 2 ? "give the program a terminal or a pipe there" : "use --force to leave it out")
        }
    }

    /// The descriptor that leads to the entry's file: mostly its own number; another duplicate when that was closed or used again.
    private static func target(of entry: EpollEntry, _ states: [DescriptorState]) -> Int32? {
        func leadsThere(_ state: DescriptorState) -> Bool {
            entry.inode == 0 || state.inherited >= 0 || state.inode == entry.inode && state.device == entry.device
        }
        if let own = states.first(where: { $0.number == entry.target }), leadsThere(own) { return own.number }
        // Anonymous files (eventfd, timerfd, epoll) all share one inode: nothing tells which it was.
        let named: [DescriptorKind] = [.pipe, .fifo, .terminal, .device, .socket]
        return states.first { $0.inherited < 0 && named.contains($0.kind) && $0.inode == entry.inode && $0.device == entry.device }?.number
    }

    private static func withDescriptor(_ source: Int32, at number: Int32, _ body: () -> Int64) -> Int64 {
        let wasClosing = DescriptorCalls.control(number, 1)
        let saved = wasClosing >= 0 ? DescriptorCalls.duplicate(number, above: number + 1) : -1
        _ = DescriptorCalls.duplicate(source, to: number, closeOnExec: true)
        let result = body()
        if saved >= 0 {
            _ = DescriptorCalls.duplicate(Int32(saved), to: number, closeOnExec: wasClosing & 1 != 0)
            DescriptorCalls.close(Int32(saved))
        } else {
            DescriptorCalls.close(number)
        }
        return result
    }

    private static func addInPlace(_ entry: EpollEntry) -> Int64 {
        if !isSpent(entry) { return control(add, entry, entry.events) }
        // There is no call that adds a spent entry: it is added ready to be delivered, and delivered here.
        let result = control(add, entry, entry.events | readOrWrite)
        if result < 0 { return result }
        var event = [UInt8](repeating: 0, count: 12)
        if ProcessCalls.perform(232, [Int64(entry.epoll), 0, 1, 0], bytes: &event, at: 1) == 1 { return 0 }
        return control(modify, entry, entry.events)
    }

    private static func control(_ operation: Int64, _ entry: EpollEntry, _ events: UInt32) -> Int64 {
        var event: [UInt8] = []  // struct epoll_event: packed
        for index in 0..<4 { event.append(UInt8(truncatingIfNeeded: events >> UInt32(8 * index))) }
        for index in 0..<8 { event.append(UInt8(truncatingIfNeeded: entry.data >> UInt64(8 * index))) }
        return ProcessCalls.perform(233, [Int64(entry.epoll), operation, Int64(entry.target), 0], bytes: &event, at: 3)
    }
}
