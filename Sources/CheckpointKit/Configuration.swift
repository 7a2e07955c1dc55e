// SPDX-License-Identifier: Apache-2.0

/// What ``Checkpoint/enable(_:)`` is told.
///
/// The environment wins over what is set here, so that an operator can steer a program that he cannot change. The
/// variables are read by `enable()` only; an empty variable counts as not set. In a process that was restarted they come
/// from `ckpt-restart --env`, because the program's own environment is as old as its memory.
///
/// In a variable, a duration is a number of seconds, or a number with `ms`, `s`, `m` or `h`: `600`, `0.5`, `10m`, `250ms`.
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
    /// `CKPT_EVERY` (`none`, a duration, or `auto:MTBF`, for example `auto:24h`). Periodic checkpoints. Default: none.
    ///
    /// A POSIX timer (timer_create(2)) of the process that sends it `signal`; a restarted program has it again. Costs nothing
    /// between checkpoints.
    public var interval: Interval?
    /// `CKPT_MIN_INTERVAL`. A request sooner than this after the last durable image is refused: `now()` returns
    /// ``Outcome/tooSoon``. Requests that end the program are never too soon, nor is the `interval`. Default: 0, nothing is
    /// refused.
    public var minimumInterval: Duration
    /// `CKPT_TRACKER`. How written pages are found. Default: `auto`.
    public var tracker: Tracker
    /// `CKPT_PAUSE`. How long the program may stand still: pages are copied in rounds while it runs, until what is left fits
    /// into this. A smaller one costs more rounds. Default: 5 ms.
    public var pauseBudget: Duration
    /// `CKPT_CHAIN`, 0 to 4000. Increments before the next full image; 0: every image is full. More of them cost disk space
    /// and time at a restart. Default: 16.
    public var chainLength: Int
    /// `CKPT_COMPRESS` (`none`, `lz4`, `zstd`, `zstd:LEVEL`). Costs time of other cores, and a restart that decompresses. Needs
    /// the program `ckpt`: `CKPT_SINK`, or beside the executable, in `PATH`, or installed with the library. Default: none.
    public var compression: Compression
    /// `CKPT_DISK_LIMIT`: bytes, or with `K`, `M`, `G`, `T` (powers of 1024); `none`. What all images of this program together
    /// may take on disk. Default: none.
    public var diskLimit: UInt64?
    /// `CKPT_TRIM_HEAP`, yes or no. Gives free heap back to the kernel before each checkpoint (malloc_trim(3)), so that it is in
    /// no image. Costs a thread, and a page fault for each page that is used again. Default: no.
    public var trimsHeap: Bool

    public init(
        image: String? = nil, signal: CheckpointSignal = .usr1, exitSignal: CheckpointSignal? = nil,
        exitStatus: Int = 85, generations: Int = 1, isVerbose: Bool = false, interval: Interval? = nil,
        minimumInterval: Duration = .zero, tracker: Tracker = .auto, pauseBudget: Duration = .milliseconds(5),
        chainLength: Int = 16, compression: Compression = .none, diskLimit: UInt64? = nil, trimsHeap: Bool = false
    ) {
        self.image = image
        self.signal = signal
        self.exitSignal = exitSignal
        self.exitStatus = exitStatus
        self.generations = generations
        self.isVerbose = isVerbose
        self.interval = interval
        self.minimumInterval = minimumInterval
        self.tracker = tracker
        self.pauseBudget = pauseBudget
        self.chainLength = chainLength
        self.compression = compression
        self.diskLimit = diskLimit
        self.trimsHeap = trimsHeap
    }
}
