// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI
internal import CCheckpointEngine
internal import CCheckpointProcess
import Glibc

extension Checkpoint {
    /// Why memory need not be saved.
    public enum Exclusion: Sendable, Hashable {
        /// What is in it does not matter any more: it is in no image, and zero after a restart.
        case dead
        /// It will not be written: saved in the next image once more, and from then on as in that one.
        case readOnly
    }

    /// Leaves memory out of every image, exact to the byte, until it is included again. Where ranges overlap, the later call
    /// wins. Possible before `enable()`, and kept by `disable()` and restarts.
    ///
    /// Only pages that are excluded as a whole make an image smaller. Include memory before it is freed: what is put there next
    /// would be left out too. Of its own, the library only notices that pages were unmapped, and only where written pages are
    /// tracked. Takes some tenths of a millisecond, more with many mappings and threads, because it looks whether that is a
    /// stack; to include takes a microsecond.
    ///
    /// After Plank, Beck, Kingsley, Li, "Libckpt: Transparent checkpointing under Unix" (USENIX 1995): its `exclude_bytes`.
    /// - Throws: ``CheckpointError/invalidExclusion(reason:)`` for a range that is empty, not mapped, the library's own, or a
    ///   stack in use; ``CheckpointError/tooManyExclusions`` when there are 4096 apart.
    // Safety: the caller promises that a restarted program does well with zeros there, or with what the last image has. The
    // memory is not touched here.
    @unsafe public static func exclude(_ bytes: UnsafeRawBufferPointer, as exclusion: Exclusion) throws(CheckpointError) {
        let kind = switch exclusion {
        case .dead: CKPT_EXCLUDE_DEAD
        case .readOnly: CKPT_EXCLUDE_READ_ONLY
        }
        guard unsafe !ckpt_is_stack(bytes.baseAddress, bytes.count) else { throw .invalidExclusion(reason: "it is a stack in use") }
        try check(unsafe ckpt_engine_exclude(bytes.baseAddress, UInt64(bytes.count), kind.rawValue))
    }

    /// Saves memory again that was excluded, or a part of it; what was never excluded is as it was.
    /// - Throws: ``CheckpointError/invalidExclusion(reason:)`` for an empty range; ``CheckpointError/tooManyExclusions`` when it
    ///   cuts a range in two and there is no room for both.
    @unsafe public static func include(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        // Safety: the address is a number here.
        try check(unsafe ckpt_engine_include(bytes.baseAddress, UInt64(bytes.count)))
    }

    /// The same for memory that holds values. They must be such that all bytes zero is one of them, when it is excluded as dead.
    @unsafe public static func exclude<Element: BitwiseCopyable>(_ values: UnsafeBufferPointer<Element>, as exclusion: Exclusion) throws(CheckpointError) {
        unsafe try exclude(UnsafeRawBufferPointer(values), as: exclusion)
    }
    @unsafe public static func exclude<Element: BitwiseCopyable>(_ values: UnsafeMutableBufferPointer<Element>, as exclusion: Exclusion) throws(CheckpointError) {
        unsafe try exclude(UnsafeRawBufferPointer(values), as: exclusion)
    }
    @unsafe public static func exclude(_ bytes: UnsafeMutableRawBufferPointer, as exclusion: Exclusion) throws(CheckpointError) {
        unsafe try exclude(UnsafeRawBufferPointer(bytes), as: exclusion)
    }
    @unsafe public static func include<Element>(_ values: UnsafeBufferPointer<Element>) throws(CheckpointError) {
        unsafe try include(UnsafeRawBufferPointer(values))
    }
    @unsafe public static func include<Element>(_ values: UnsafeMutableBufferPointer<Element>) throws(CheckpointError) {
        unsafe try include(UnsafeRawBufferPointer(values))
    }
    @unsafe public static func include(_ bytes: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        unsafe try include(UnsafeRawBufferPointer(bytes))
    }

    private static func check(_ result: Int32) throws(CheckpointError) {
        switch -result {
        case 0: return
        case ENOSPC: throw .tooManyExclusions
        case EPERM: throw .invalidExclusion(reason: "it is the library's own")
        case EFAULT: throw .invalidExclusion(reason: "not all of it is mapped")
        default: throw .invalidExclusion(reason: "it is empty, or no range of addresses")
        }
    }
}
