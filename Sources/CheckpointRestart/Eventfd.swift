// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// man 2 eventfd
enum Eventfd {
    static func make(_ state: DescriptorState, _ eventfds: [EventfdState], _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        guard let detail = state.detail, eventfds.indices.contains(detail) else { throw .undescribed(state) }
        let eventfd = eventfds[detail]
        let flags = Int64(OpenFlag.closeOnExec | state.statusFlags & OpenFlag.nonBlocking) | (eventfd.semaphore ? 1 : 0)  // EFD_SEMAPHORE
        let descriptor = try holder.hold(ProcessCalls.perform(290, 0, flags), "an eventfd")
        // Kernel: the initial value of eventfd2 has 32 bits only.
        if eventfd.count > 0 {
            var bytes = (0..<8).map { UInt8(truncatingIfNeeded: eventfd.count >> UInt64(8 * $0)) }
            guard ProcessCalls.perform(1, [Int64(descriptor), 0, 8], bytes: &bytes, at: 1) == 8 else { throw .undescribed(state) }
        }
        return descriptor
    }
}

extension RestartFailure {
    /// The image says nothing, or nonsense, of this descriptor.
    static func undescribed(_ state: DescriptorState) -> RestartFailure {
        RestartFailure(
            kind: .damaged, what: "descriptor \(state.number) (\(state.kind)) is not described as such", remedy: "use an older image")
    }
}
