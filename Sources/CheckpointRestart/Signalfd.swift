// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// man 2 signalfd. What it would read is pending in the program, see `Signals`.
enum Signalfd {
    static func make(_ state: DescriptorState, _ signalfds: [SignalfdState], _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        guard let detail = state.detail, signalfds.indices.contains(detail) else { throw .undescribed(state) }
        var mask: [UInt8] = []
        mask.append(integer: signalfds[detail].mask)
        let flags = Int64(OpenFlag.closeOnExec | state.statusFlags & OpenFlag.nonBlocking)
        return try holder.hold(ProcessCalls.perform(289, [-1, 0, 8, flags], bytes: &mask, at: 1), "a signalfd")
    }
}
