// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// Descriptors 0–2 as `ckpt-restart` was given them: the program's standard streams.
package struct StandardStreams {
    /// Held duplicates of 0, 1 and 2.
    let numbers: [Int32]
    init() { numbers = [-1, -1, -1] }
    private init(numbers: [Int32]) { self.numbers = numbers }

    /// First of all: nothing that is opened later may come to lie at the number of a stream that is closed here.
    package static func occupyClosed() {
        for number: Int32 in 0...2 where !DescriptorCalls.isOpen(number) {
            // Kernel: the lowest free number, which is this one.
            _ = ProcessCalls.perform(2, [0, Int64(OpenFlag.path)], text: "/", at: 0)
        }
    }

    static func held(_ holder: DescriptorHolder) throws(RestartFailure) -> StandardStreams {
        var numbers: [Int32] = []
        for number: Int32 in 0...2 {
            let source = DescriptorCalls.isOpen(number) ? Int64(number) : DescriptorCalls.placeholder()
            numbers.append(try holder.hold(source, "a standard stream", keepsOriginal: true))
        }
        return StandardStreams(numbers: numbers)
    }

    func source(for state: DescriptorState) -> Int32? {
        guard state.inherited <= 2 else { return nil }
        let number = numbers[Int(state.inherited)]
        setBlocking(number, as: state)
        continueInput(number, state)
        return number
    }

    /// The program goes on to expect what it had set: EAGAIN, or to wait.
    private func setBlocking(_ number: Int32, as state: DescriptorState) {
        let flags = DescriptorCalls.statusFlags(number)
        if flags & OpenFlag.path != 0 || (flags ^ state.statusFlags) & OpenFlag.nonBlocking == 0 { return }
        DescriptorCalls.setStatusFlags(number, flags ^ OpenFlag.nonBlocking)
    }

    /// Given the very file that it was reading (`ckpt-restart IMAGE < input`), the program goes on where it was in it.
    private func continueInput(_ number: Int32, _ state: DescriptorState) {
        guard state.kind == .file, state.statusFlags & OpenFlag.accessMode == OpenFlag.readOnly, let status = FileStatus(number),
            status.device == state.device, status.inode == state.inode, status.byteCount >= state.position,
            DescriptorCalls.position(number) == 0 else { return }
        _ = DescriptorCalls.seek(number, to: state.position)
    }
}
