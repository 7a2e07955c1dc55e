// SPDX-License-Identifier: Apache-2.0
internal import CheckpointImage

/// One thing in this process that could not be restored.
public struct Finding: Sendable, Equatable, CustomStringConvertible {
    /// Which descriptor, mapping or thread.
    public var what: String
    public var why: String
    /// What to do about it.
    public var remedy: String

    public var description: String { "\(what): \(why); \(remedy)" }
}

extension Checkpoint {
    /// What in this process could not be restored, one finding each; none: a checkpoint of this moment could.
    ///
    /// The same capture that a checkpoint makes, without a freeze and without pages, judged by the same rules that
    /// `ckpt-restart` goes by. Costs some milliseconds, more with many mappings and descriptors.
    /// Waits for a checkpoint that is under way.
    /// - Throws: ``CheckpointError/systemFailure(step:errno:)`` when /proc of this process cannot be read;
    ///   ``CheckpointError/insideHook`` and ``CheckpointError/insideDeferring`` where it would wait for itself.
    public static func preflight() throws(CheckpointError) -> [Finding] {
        let (notes, errno) = try Coordinator.own.survey()
        guard errno == 0 else { throw .systemFailure(step: "looking at this process", errno: -errno) }
        do {
            let survey = try Survey.parse(notes)
            return survey.judge(host: HostFacts.current()).map { Finding(what: $0.what, why: $0.why, remedy: $0.remedy) }
        } catch {
            throw .unsupported("a survey that this library cannot read (\(error.line))")
        }
    }
}
