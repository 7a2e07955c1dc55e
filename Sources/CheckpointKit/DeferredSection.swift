// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// One run of the async `deferring`. Tasks made inside inherit it and may outlive it, so it knows when it is over.
final class DeferredSection: Sendable {
    @TaskLocal static var current: DeferredSection?

    private let outer: DeferredSection?
    private let isOpen = Atomic(true)

    init(within outer: DeferredSection?) { self.outer = outer }

    func close() { isOpen.store(false, ordering: .sequentiallyConsistent) }

    private var isInside: Bool { isOpen.load(ordering: .sequentiallyConsistent) || outer?.isInside ?? false }
    static var isInside: Bool { current?.isInside ?? false }
}
