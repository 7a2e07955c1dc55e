// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Every open descriptor of the program, at its number.
///
/// `restore` opens and checks everything and changes nothing; what it opens is held above the highest number of the image.
/// `commit`, the last thing before the point of no return, puts it in place and cuts files back.
struct Descriptors {
    /// The image's file, above every number of the program.
    let image: Int32
    private let states: [DescriptorState]
    private let entries: [EpollEntry]
    private let options: RestartOptions
    private let umask: UInt32
    /// Lowest number that no descriptor of the program has.
    private let floor: Int32
    /// By the first number of each open description.
    private var held: [Int32: Int32] = [:]
    private var placeholders: Set<Int32> = []
    private var streams = StandardStreams()
    private var cuts: [FileCut] = []
    private var directory: Int32 = -1
    /// Which their mappings show too.
    let shared: SharedObjects

    static func restore(image: Image, options: RestartOptions, reserved: Int32) throws(RestartFailure) -> Descriptors {
        try Descriptors(image: image, options: options, reserved: reserved)
    }

    private init(image: Image, options: RestartOptions, reserved: Int32) throws(RestartFailure) {
        states = image.descriptors
        entries = image.epollEntries
        umask = image.process.umask
        self.options = options
        floor = max(2, states.map(\.number).max() ?? 2) + 1
        DescriptorLimit.raise(toHold: Int(floor) + states.count + 64)
        self.image = try DescriptorHolder(floor: floor).hold(Int64(reserved), "the image", keepsOriginal: true)
        streams = try StandardStreams.held(DescriptorHolder(floor: floor))
        shared = try SharedObjects(image: image, options: options, holder: DescriptorHolder(floor: floor))
        try open(image)
        directory = try WorkingDirectory.open(image: image, options: options, holder: DescriptorHolder(floor: floor))
    }

    private mutating func open(_ image: Image) throws(RestartFailure) {
        let holder = DescriptorHolder(floor: floor)
        var files = FileOpener(image: image, options: options, holder: holder, shared: shared)
        var pipes = PipeMaker(image: image, holder: holder)
        for state in states where state.inherited < 0 && state.sharedWith == state.number {
            do throws(RestartFailure) {
                let opened: Int32
                switch state.kind {
                case .file, .memfd: opened = try files.open(state)
                case .directory: opened = try NamedObject.openDirectory(state, files.path(of: state), holder)
                case .fifo: opened = try NamedObject.openFifo(state, files.path(of: state), holder)
                case .device: opened = try NamedObject.openDevice(state, files.path(of: state), holder)
                case .pipe: opened = try pipes.open(state)
                case .eventfd: opened = try Eventfd.make(state, image.eventfds, holder)
                case .timerfd: opened = try Timerfd.make(state, image, holder)
                case .signalfd: opened = try Signalfd.make(state, image.signalfds, holder)
                case .epoll: opened = try Epoll.make(state, holder)
                case .socket: opened = try Socket.make(state, holder)
                case .terminal, .inotify, .pidfd, .other:
                    throw RestartFailure(
                        kind: .missing, what: "descriptor \(state.number) (\(state.path)) is of a kind that can not be restored",
                        remedy: "close it before the checkpoint, or use --allow-missing")
                }
                held[state.number] = opened
            } catch {
                guard error.kind == .missing && options.allowMissing else { throw error }
                held[state.number] = try holder.hold(DescriptorCalls.placeholder(), "a placeholder")
                placeholders.insert(state.number)
            }
        }
        cuts = files.cuts
    }

    /// The last thing before the point of no return: afterwards this process has the program's descriptors, and `kept`.
    func commit(keeping kept: [Int32]) throws(RestartFailure) {
        do throws(RestartFailure) {
            try place()
            try Epoll.fill(entries, states: states, placeholders: placeholders, options: options)
            for cut in cuts { try cut.apply() }
        } catch {
            // The one line goes where the user looks.
            _ = DescriptorCalls.duplicate(streams.numbers[2], to: 2, closeOnExec: false)
            throw error
        }
        _ = ProcessCalls.perform(81, Int64(directory))  // fchdir
        _ = ProcessCalls.perform(95, Int64(umask))
        DescriptorTable.closeAll(except: states.map(\.number) + kept)
    }

    /// For the restorer, when everything is in its place.
    func startTimers(_ image: Image, _ block: inout RestartBlock) -> [Operation] {
        var operations: [Operation] = []
        for state in states where state.kind == .timerfd && state.inherited < 0 && state.sharedWith == state.number {
            if !placeholders.contains(state.number) { operations += Timerfd.start(state, image, &block) }
        }
        return operations
    }

    private func place() throws(RestartFailure) {
        for state in states {
            guard let source = state.inherited >= 0 ? streams.source(for: state) : held[state.sharedWith] else {
                throw RestartFailure(
                    kind: .damaged, what: "descriptor \(state.number) shares with \(state.sharedWith), which is not there",
                    remedy: "use an older image")
            }
            let result = DescriptorCalls.duplicate(source, to: state.number, closeOnExec: state.closeOnExec)
            if result < 0 {
                throw RestartFailure(
                    kind: .io, what: "descriptor \(state.number) can not be placed (\(Errno(rawValue: CInt(-result)).description))",
                    remedy: "raise the limit of open files (ulimit -n)")
            }
        }
    }
}

/// Keeps what is opened out of the way of the program's numbers.
struct DescriptorHolder {
    let floor: Int32

    /// Moves a fresh descriptor (or turns a negative errno into a failure).
    func hold(_ result: Int64, _ what: String, keepsOriginal: Bool = false) throws(RestartFailure) -> Int32 {
        if result < 0 { throw DescriptorHolder.failure(result, what) }
        let descriptor = Int32(truncatingIfNeeded: result)
        if descriptor >= floor && !keepsOriginal { return descriptor }
        let high = DescriptorCalls.duplicate(descriptor, above: floor)
        if !keepsOriginal { DescriptorCalls.close(descriptor) }
        if high < 0 { throw DescriptorHolder.failure(high, what) }
        return Int32(truncatingIfNeeded: high)
    }

    /// The failure that an errno of a call on `what` means to the user.
    static func failure(_ result: Int64, _ what: String) -> RestartFailure {
        let error = Errno(rawValue: CInt(-result))
        switch error {
        case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels, .noSuchAddressOrDevice:
            return RestartFailure(
                kind: .missing, what: "\(what) is not there", remedy: "bring it back, name its new place with --map-path, or use --allow-missing")
        case .permissionDenied, .notPermitted, .readOnlyFileSystem:
            return RestartFailure(
                kind: .permission, what: "\(what) can not be opened (\(error.description))", remedy: "restart as a user who may open it")
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .invalidArgument:
            return RestartFailure(
                kind: .io, what: "\(what) can not be opened (\(error.description))", remedy: "raise the limit of open files (ulimit -n)")
        default:
            return RestartFailure(kind: .io, what: "\(what) can not be opened (\(error.description))", remedy: "look after it and try again")
        }
    }
}

/// The soft limit of open files, raised as far as it takes while descriptors are held. The numbers stay valid under a lower one.
enum DescriptorLimit {
    static var soft: UInt64 {
        var limits = [UInt8](repeating: 0, count: 16)
        return ProcessCalls.perform(302, [0, 7, 0, 0], bytes: &limits, at: 3) == 0 ? limits.word64(at: 0) : 0
    }

    static func raise(toHold count: Int) {
        var limits = [UInt8](repeating: 0, count: 16)
        guard ProcessCalls.perform(302, [0, 7, 0, 0], bytes: &limits, at: 3) == 0 else { return }  // prlimit, RLIMIT_NOFILE
        let soft = limits.word64(at: 0), hard = limits.word64(at: 8)
        if soft >= UInt64(count) || soft >= hard { return }
        var raised: [UInt8] = []
        for word in [min(UInt64(count), hard), hard] { for index in 0..<8 { raised.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) } }
        _ = ProcessCalls.perform(302, [0, 7, 0, 0], bytes: &raised, at: 2)
    }
}
