// SPDX-License-Identifier: Apache-2.0
// The kinds and flags of image.h. A kind that this version does not know is `other`.

package enum MappingKind: UInt32, Sendable {
    case anonymous = 1, file = 2, stack = 3, heap = 4, vdso = 5, vvar = 6
    case sharedAnonymous = 7, sharedFile = 8, arena = 9, beacon = 10, other = 11
    /// No mapping: the content of a shared object.
    case object = 12
}

package enum RunKind: UInt32, Sendable { case here = 1, zero = 2, parent = 3 }

package enum DescriptorKind: UInt32, Sendable {
    case other = 0, file = 1, directory = 2, pipe = 3, fifo = 4, eventfd = 5, epoll = 6, timerfd = 7
    case terminal = 8, device = 9, socket = 10, signalfd = 11, inotify = 12, memfd = 13, pidfd = 14
}

package struct IdentFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Taken by checkpoint-and-exit.
    package static let exit = IdentFlags(rawValue: 1)
    /// Offsets of runs and blobs are those of the image before compression.
    package static let compressed = IdentFlags(rawValue: 2)
}

package struct Protection: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let read = Protection(rawValue: 1)
    package static let write = Protection(rawValue: 2)
    package static let execute = Protection(rawValue: 4)
}

package struct MappingFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let shared = MappingFlags(rawValue: 1)
    package static let deleted = MappingFlags(rawValue: 2)
    package static let growsDown = MappingFlags(rawValue: 4)
    package static let wipeOnFork = MappingFlags(rawValue: 8)
    package static let dontFork = MappingFlags(rawValue: 16)
    package static let locked = MappingFlags(rawValue: 32)
    package static let huge = MappingFlags(rawValue: 64)
    package static let noHuge = MappingFlags(rawValue: 128)
    package static let dontDump = MappingFlags(rawValue: 256)
    /// MAP_DROPPABLE: the kernel may empty it at any time, so its content is never saved.
    package static let droppable = MappingFlags(rawValue: 512)
    package static let sealed = MappingFlags(rawValue: 1024)
}

package struct ThreadFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let leader = ThreadFlags(rawValue: 1)
    /// A leader that called pthread_exit.
    package static let ended = ThreadFlags(rawValue: 2)
}

package struct DescriptorFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// No name leads to this file any more.
    package static let deleted = DescriptorFlags(rawValue: 1)
    /// `headCRC` and `tailCRC` are valid.
    package static let fingerprint = DescriptorFlags(rawValue: 2)
    /// `detail` is the index of the blob with the file's content.
    package static let embedded = DescriptorFlags(rawValue: 4)
    /// A Unix socket that is neither bound nor connected; `detail` is its type (SOCK_…).
    package static let unconnected = DescriptorFlags(rawValue: 8)
    /// `detail` is the index of the shared object.
    package static let object = DescriptorFlags(rawValue: 16)
}

package enum SharedKind: UInt32, Sendable { case unknown = 0, anonymous = 1, memfd = 2, deleted = 3, systemV = 4, file = 5 }

package struct SharedFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// `byteCount` is the object's size; else only what is mapped of it is known.
    package static let exact = SharedFlags(rawValue: 1)
    /// Other processes have it too.
    package static let withOthers = SharedFlags(rawValue: 2)
    /// `seals` is known.
    package static let seals = SharedFlags(rawValue: 4)
}

package struct PipeEnds: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let read = PipeEnds(rawValue: 1)
    package static let write = PipeEnds(rawValue: 2)
}
