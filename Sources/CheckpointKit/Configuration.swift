// SPDX-License-Identifier: Apache-2.0

/// What ``Checkpoint/enable(_:)`` is told.
///
/// The environment wins over what is set here, so that an operator can steer a program that he cannot change. The
/// variables are read by `enable()` only; an empty variable counts as not set. In a process that was restarted they come
/// from `ckpt-restart --env`, because the program's own environment is as old as its memory.
public struct Configuration: Sendable, Equatable {
    /// `CKPT_IMAGE`. Path of the newest image; a relative path is made absolute by `enable()`. Default: `./<program>.img`,
    /// in a restarted process the path of the image it came from.
    public var image: String?
    /// `CKPT_SIGNAL`. Takes a checkpoint, and the program goes on. Default: SIGUSR1.
    public var signal: CheckpointSignal
    /// `CKPT_EXIT_SIGNAL` (`none` for none). Takes a checkpoint and ends the program when it is durable. Default: none.
    public var exitSignal: CheckpointSignal?
    /// `CKPT_EXIT_STATUS`, 0 to 255. Status of a program that was ended by `exitSignal`. Default: 85.
    public var exitStatus: Int
    /// `CKPT_GENERATIONS`, 0 to 65535. Complete older checkpoints kept in `<image>.d/`. Default: 1.
    public var generations: Int
    /// `CKPT_VERBOSE`, yes or no. One line on standard error for each checkpoint. Costs a thread. Default: no.
    public var isVerbose: Bool

    public init(
        image: String? = nil, signal: CheckpointSignal = .usr1, exitSignal: CheckpointSignal? = nil,
        exitStatus: Int = 85, generations: Int = 1, isVerbose: Bool = false
    ) {
        self.image = image
        self.signal = signal
        self.exitSignal = exitSignal
        self.exitStatus = exitStatus
        self.generations = generations
        self.isVerbose = isVerbose
    }
}
