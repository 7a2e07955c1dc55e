// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage

/// What happened to a file since the checkpoint, as far as its size, times and fingerprint tell.
enum FileChange: Equatable {
    case unchanged, grown, shrunk, overwritten, replaced

    /// How much of the file the fingerprint covers at each end.
    private static let fingerprintByteCount = UInt64(CKPT_FINGERPRINT_BYTES)

    /// - Parameters:
    ///   - reader: a descriptor that can be read, if there is one.
    ///   - onlyEnd: the program only adds at the end; what lies between the fingerprints is not its own concern.
    init(since state: DescriptorState, now status: FileStatus, reader: Int32?, onlyEnd: Bool) {
        let isSameFile = status.inode == state.inode
        if isSameFile && status.byteCount == state.byteCount && status.modifiedNs == state.modifiedNs { self = .unchanged; return }
        if status.byteCount < state.byteCount { self = .shrunk; return }
        let isGrown = status.byteCount > state.byteCount
        switch FileChange.hasFingerprint(of: state, reader) {
        case false?: self = isSameFile ? .overwritten : .replaced
        case true? where isGrown: self = .grown
        case true?:
            // Touched, or written between the fingerprints: nobody can tell. A copy of the file has another inode.
            let isCovered = state.byteCount <= 2 * FileChange.fingerprintByteCount
            self = isCovered || !isSameFile || onlyEnd ? .unchanged : .overwritten
        case nil where !isSameFile: self = .replaced
        case nil where isGrown: self = .grown
        case nil: self = onlyEnd ? .unchanged : .overwritten
        }
    }

    /// nil: the image has none, or the file can not be read.
    private static func hasFingerprint(of state: DescriptorState, _ reader: Int32?) -> Bool? {
        guard state.flags.contains(.fingerprint), let reader else { return nil }
        let part = min(state.byteCount, fingerprintByteCount)
        guard let head = DescriptorCalls.read(reader, byteCount: Int(part), at: 0),
            let tail = DescriptorCalls.read(reader, byteCount: Int(part), at: state.byteCount - part) else { return nil }
        return head.span.crc32c() == state.headCRC && tail.span.crc32c() == state.tailCRC
    }

    /// In words, for the one line.
    func text(of name: String, _ state: DescriptorState, _ status: FileStatus) -> String {
        switch self {
        case .unchanged: "\(name) is as it was"
        case .grown: "\(name) has grown since the checkpoint (from \(state.byteCount) to \(status.byteCount) bytes)"
        case .shrunk: "\(name) has shrunk since the checkpoint (from \(state.byteCount) to \(status.byteCount) bytes)"
        case .overwritten: "\(name) was written to since the checkpoint"
        case .replaced: "\(name) is another file than at the checkpoint"
        }
    }
}
