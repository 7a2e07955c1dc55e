// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// What the restarted program learns of its restart: struct ckpt_restart_context, written before its first instruction.
struct RestartContext {
    var image: UInt64
    var head: UInt64
    var headPath: FilePath
    var restorer: AddressRange
    var identity: UInt32
    var environment: [RestartOptions.Variable]
    /// Monotonic, when ckpt-restart was executed.
    var started: UInt64
    var tracker: ArmedTracker?
    /// nil: not known.
    var record: RestartRecord.Answer?

    /// Checks that it fits, before anything is changed.
    static func check(options: RestartOptions, headPath: FilePath) throws(RestartFailure) {
        if bytes(of: options.environment).count > Int(CKPT_ENVIRONMENT_BYTES) {
            throw RestartFailure(kind: .usage, what: "the variables of --env have more than \(CKPT_ENVIRONMENT_BYTES) bytes",
                remedy: "give fewer or shorter ones")
        }
        if headPath.string.utf8.count >= Int(CKPT_PATH_BYTES) {
            throw RestartFailure(kind: .usage, what: "the path of the image is too long", remedy: "restart it from a shorter one")
        }
    }

    private static func bytes(of environment: [RestartOptions.Variable]) -> [UInt8] {
        environment.flatMap { Array("\($0.name)=\($0.value)".utf8) + [0] }
    }

    func write(to memory: ProgramMemory, image: Image) throws(RestartFailure) {
        let address = image.process.restartContext
        guard let old = memory.bytes(at: address, count: 8) else { throw RestartContext.failure }
        var words = ByteReader(old)
        let word = words.next()
        let restartCount = UInt32(truncatingIfNeeded: word >> 32) &+ 1
        // The library in the program may be older than this.
        let isGrown = UInt32(truncatingIfNeeded: word) >= CKPT_RESTART_CONTEXT_VERSION
        let run: UInt64
        do throws(Errno) { run = try Kernel.random() } catch {
            throw RestartFailure(kind: .io, what: "no random numbers: \(error.description)", remedy: "try again")
        }
        let environment = RestartContext.bytes(of: environment)
        var bytes: [UInt8] = []
        bytes.append(integer: isGrown ? CKPT_RESTART_CONTEXT_VERSION : 1)
        bytes.append(integer: restartCount)
        bytes.append(integer: run)
        bytes.append(integer: self.image)
        bytes.append(integer: head)
        bytes.append(integer: Kernel.nanoseconds(.realtime))
        bytes.append(integer: Kernel.nanoseconds(.monotonic) &- started)
        bytes.append(integer: restorer.start)
        bytes.append(integer: restorer.end)
        bytes.append(integer: identity)
        bytes.append(integer: UInt32(environment.count))
        bytes.append(text: headPath.string.utf8, padded: Int(CKPT_PATH_BYTES))
        bytes.append(contentsOf: environment)
        bytes.append(contentsOf: repeatElement(0, count: Int(CKPT_ENVIRONMENT_BYTES) - environment.count))
        let streams = (Int32(0)...2).map { number in
            image.descriptors.contains { $0.number == number && $0.inherited == number } ? FileStatus(number) : nil
        }
        for stream in streams { bytes.append(integer: stream?.device ?? 0) }
        for stream in streams { bytes.append(integer: stream?.inode ?? 0) }
        for stream in streams { bytes.append(integer: stream?.mode ?? 0) }
        for stream in streams { bytes.append(integer: UInt32(stream == nil ? 0 : 1)) }
        bytes.append(integer: tracker?.number ?? -1)  // without one the next checkpoint is a full image
        bytes.append(integer: image.ident.depth)
        bytes.append(integer: tracker?.device ?? 0)
        bytes.append(integer: tracker?.inode ?? 0)
        // What follows is the engine's own and stays as it was.
        guard memory.write(bytes, at: address) else { throw RestartContext.failure }
        guard isGrown else { return }
        var grown: [UInt8] = []
        grown.append(integer: record?.restarts ?? -1)
        grown.append(integer: record?.siblings ?? -1)
        let offset = UInt64(MemoryLayout<ckpt_restart_context>.offset(of: \.restarts_here) ?? 0)
        guard memory.write(grown, at: address + offset) else { throw RestartContext.failure }
    }

    static let failure = RestartFailure(
        kind: .damaged, what: "the place for what the program learns of its restart is not in its memory", remedy: "use an older image")
}
