// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// man 7 unix: sockets that are neither bound nor connected, which is all that can be brought back of sockets today.
enum Socket {
    static func make(_ state: DescriptorState, _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        guard state.flags.contains(.unconnected), let type = state.detail else {
            throw RestartFailure(
                kind: .missing, what: "descriptor \(state.number) (\(state.path)) is a socket with a state of its own",
                remedy: "close it before the checkpoint, or use --allow-missing")
        }
        // SOCK_NONBLOCK and SOCK_CLOEXEC are the flags of open.
        let flags = Int64(type) | Int64(OpenFlag.closeOnExec | state.statusFlags & OpenFlag.nonBlocking)
        return try holder.hold(ProcessCalls.perform(41, 1, flags), "a socket")  // AF_UNIX
    }
}
