// SPDX-License-Identifier: Apache-2.0
// The records of image.h, with strings resolved. Numbers are those of the file, checked where they refer to something.
package import SystemPackage

package struct Identity: Sendable, Equatable {
    package var major: UInt16 = 1, minor: UInt16 = 0
    package var flags: IdentFlags = []
    /// 48 random bits; written as 12 hex digits.
    package var identifier: UInt64 = 0
    /// 0: a full image.
    package var parent: UInt64 = 0
    /// Increments from the last full image to this one; 0: a full image.
    package var depth: UInt32 = 0
    package var run: UInt64 = 0
    package var sequence: UInt64 = 0
    package var createdRealtimeNs: UInt64 = 0
    package var fileByteCount: UInt64 = 0
    package var programHeadersOffset: UInt64 = 0
    package var notesOffset: UInt64 = 0
    package var notesByteCount: UInt64 = 0
    package var programHeaderCount: UInt32 = 0
    package init() {}

    package var name: String { Identity.name(of: identifier) }
    /// An identifier as users see it: 12 hex digits.
    package static func name(of identifier: UInt64) -> String {
        let digits = String(identifier, radix: 16)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}

package struct ProcessState: Sendable, Equatable {
    package var pid: Int32 = 0, parentPid: Int32 = 0, group: Int32 = 0, session: Int32 = 0
    package var uid: UInt32 = 0, gid: UInt32 = 0
    package var umask: UInt32 = 0
    package var threadCount: UInt32 = 0
    package var pendingSignals: UInt64 = 0
    package var startCode: UInt64 = 0, endCode: UInt64 = 0, startData: UInt64 = 0, endData: UInt64 = 0
    package var startBrk: UInt64 = 0, brk: UInt64 = 0, startStack: UInt64 = 0
    package var argStart: UInt64 = 0, argEnd: UInt64 = 0, envStart: UInt64 = 0, envEnd: UInt64 = 0
    package var vdsoStart: UInt64 = 0, vdsoEnd: UInt64 = 0
    package var executable = FilePath(), directory = FilePath(), root = FilePath()
    package var kernelRelease = ""
    /// Of the executable; empty: none.
    package var buildId: [UInt8] = []
    package var bootId: [UInt8] = []
    package var realtimeNs: UInt64 = 0, monotonicNs: UInt64 = 0, boottimeNs: UInt64 = 0
    package var xfeatures: UInt64 = 0
    package var xsaveByteCount: UInt32 = 0
    package var cpuLevel: UInt32 = 0
    /// Eight words, in the order of image.h.
    package var cpuid: [UInt32] = Array(repeating: 0, count: 8)
    package var restartContext: UInt64 = 0
    package var arenaStart: UInt64 = 0, arenaEnd: UInt64 = 0
    package var beaconStart: UInt64 = 0, beaconEnd: UInt64 = 0
    package var beaconName = ""
    package var pauseNs: UInt64 = 0
    package init() {}
}

/// What an image says of the processor beside `ProcessState`.
package struct ProcessorState: Sendable, Equatable {
    /// Where a state component lies in the XSAVE area of a signal frame; of size 0: it is not there.
    package struct Component: Sendable, Equatable {
        package var offset: UInt32 = 0, byteCount: UInt32 = 0
        package init(offset: UInt32 = 0, byteCount: UInt32 = 0) { (self.offset, self.byteCount) = (offset, byteCount) }
    }
    /// State components that the program may use.
    package var permitted: UInt64 = 0
    /// CKPT_CPU, 1 to 4; 0: no promise.
    package var level: UInt32 = 0
    /// Leaf 13.1 EAX, leaf 7.1 EDX, leaf 0x80000008 EBX.
    package var cpuid: [UInt32] = [0, 0, 0]
    package var components: [Component] = Array(repeating: Component(), count: 32)
    package init() {}
}

package struct Mapping: Sendable, Equatable {
    package var start: UInt64 = 0, end: UInt64 = 0
    package var kind = MappingKind.other
    package var protection: Protection = []
    package var flags: MappingFlags = []
    /// As in /proc/PID/maps, without " (deleted)"; empty: no name.
    package var name = FilePath()
    package var fileOffset: UInt64 = 0
    package var device: UInt64 = 0, inode: UInt64 = 0
    /// Index of the shared object that it shows.
    package var object: Int?
    package var protectionKey: UInt32 = 0
    package init() {}

    package var byteCount: UInt64 { end - start }
    package var addresses: Range<UInt64> { start..<end }
}

/// An object of shared memory; its content is that of the mapping of kind `object` at `address`.
package struct SharedObject: Sendable, Equatable {
    package var address: UInt64 = 0, byteCount: UInt64 = 0
    package var device: UInt64 = 0, inode: UInt64 = 0
    package var kind = SharedKind.unknown
    package var flags: SharedFlags = []
    package var seals: UInt32 = 0, mode: UInt32 = 0
    package var name = FilePath()
    package var key: UInt32 = 0
    package var modifiedNs: Int64 = 0
    package init() {}
}

/// Pages that the program has made guards (MADV_GUARD_INSTALL).
package struct GuardPages: Sendable, Equatable {
    package var start: UInt64 = 0, end: UInt64 = 0
    package init() {}
}

/// Pages that follow one another and share a kind, and a checksum when they are here.
package struct PageRun: PageSpan, Equatable {
    package var address: UInt64 = 0
    package var fileOffset: UInt64 = 0
    package var pageCount: UInt32 = 0
    package var kind = RunKind.zero
    package var crc: UInt32 = 0
    package init() {}

    package var byteCount: UInt64 { UInt64(pageCount) * Image.pageSize }
    package var end: UInt64 { address + byteCount }
}

/// A PT_LOAD program header.
package struct Segment: Sendable, Equatable {
    package var address: UInt64 = 0
    package var memoryByteCount: UInt64 = 0
    package var fileOffset: UInt64 = 0
    package var fileByteCount: UInt64 = 0
    package var protection: Protection = []
    package init() {}

    package var end: UInt64 { address + memoryByteCount }
}

package struct ThreadState: Sendable, Equatable {
    package var tid: Int32 = 0
    package var flags: ThreadFlags = []
    package var ucontext: UInt64 = 0
    package var fsBase: UInt64 = 0, gsBase: UInt64 = 0
    package var tidAddress: UInt64 = 0
    package var robustList: UInt64 = 0, robustListByteCount: UInt64 = 0
    package var rseq: UInt64 = 0
    package var rseqByteCount: UInt32 = 0, rseqSignature: UInt32 = 0
    package var signalMask: UInt64 = 0
    package var pendingSignals: UInt64 = 0
    package var alternateStack: UInt64 = 0, alternateStackByteCount: UInt64 = 0
    package var alternateStackFlags: UInt32 = 0
    package var name = ""
    /// From NT_PRSTATUS; nil for a leader that has ended, and in a survey.
    package var registers: Registers?
    package init() {}
}

/// What NT_PRSTATUS holds, in the order of the kernel's struct user_regs_struct.
package struct Registers: Sendable, Equatable {
    package static let names = [
        "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
        "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
    ]
    package var values: [UInt64] = Array(repeating: 0, count: 27)
    package init() {}
    /// All but the stack pointer of the registers that instructions compute with.
    package var general: ArraySlice<UInt64> { values[..<15] }
    package var instructionPointer: UInt64 { values[16] }
    package var stackPointer: UInt64 { values[19] }
}

package struct SignalAction: Sendable, Equatable {
    package var number: Int32 = 0
    /// 0: default, 1: ignored.
    package var handler: UInt64 = 0
    package var flags: UInt64 = 0, restorer: UInt64 = 0, mask: UInt64 = 0
    package init() {}
}

/// A pending signal with what is said of it.
package struct QueuedSignal: Sendable, Equatable {
    /// 0: for the process.
    package var tid: Int32 = 0
    /// siginfo_t.
    package var information: [UInt8] = []
    package init() {}

    package var number: Int32 { word(at: 0) }
    package var code: Int32 { word(at: 8) }
    /// Where `senderOffset` says: of what a process has sent.
    package var sender: Int32? { [0, -1, -3, -6].contains(code) ? word(at: QueuedSignal.senderOffset) : nil }  // SI_USER, QUEUE, MESGQ, TKILL
    package static let senderOffset = 16

    private func word(at offset: Int) -> Int32 { offset + 4 <= information.count ? information.span.int32(at: offset) : 0 }
}

/// A POSIX timer.
package struct TimerState: Sendable, Equatable {
    /// The kernel's.
    package var id: Int32 = 0
    package var clock: Int32 = 0
    /// SIGEV_…
    package var notify: UInt32 = 0
    package var signal: Int32 = 0
    /// Of the thread that gets the signal; 0: it has ended.
    package var tid: Int32 = 0
    package var overrun: UInt32 = 0
    package var value: UInt64 = 0
    package var valueNs: UInt64 = 0, intervalNs: UInt64 = 0
    package init() {}

    /// SIGEV_THREAD_ID: the signal is for one thread.
    package var isBound: Bool { notify & 4 != 0 }
    /// Kernel: negative clocks are CPU time (include/linux/posix-timers_types.h), or a device's when the lowest bits are 3.
    package var isOfDevice: Bool { clock < 0 && clock & 7 == 3 }
    package var isOfThread: Bool { clock < 0 && !isOfDevice && clock & 4 != 0 }
    /// Whose CPU time; 0: the process's own, or of the thread that made the timer, which nothing tells; nil: not CPU time.
    package var cpuTimeOf: Int32? { clock < 0 && !isOfDevice ? ~(clock >> 3) : nil }
}

/// An interval timer (setitimer, alarm).
package struct ItimerState: Sendable, Equatable {
    package var which: UInt32 = 0
    package var valueNs: UInt64 = 0, intervalNs: UInt64 = 0
    package init() {}
}

package struct SignalfdState: Sendable, Equatable {
    /// Bit n − 1: signal n.
    package var mask: UInt64 = 0
    package init() {}
}

package struct DescriptorState: Sendable, Equatable {
    package var number: Int32 = 0
    package var kind = DescriptorKind.other
    package var flags: DescriptorFlags = []
    package var closeOnExec = false
    /// O_…, as in fdinfo without O_CLOEXEC.
    package var statusFlags: UInt32 = 0
    /// 0, 1, 2: (a duplicate of) a standard stream that the program was given; -1: its own.
    package var inherited: Int32 = -1
    /// Lowest number with the same open file description; itself when it is the first.
    package var sharedWith: Int32 = 0
    /// Index into the kind's table (embedded: of the blob).
    package var detail: Int?
    package var position: UInt64 = 0
    package var device: UInt64 = 0, inode: UInt64 = 0, rdev: UInt64 = 0
    package var mode: UInt32 = 0
    package var path = FilePath()
    package var byteCount: UInt64 = 0
    package var modifiedNs: Int64 = 0, changedNs: Int64 = 0
    package var headCRC: UInt32 = 0, tailCRC: UInt32 = 0
    package init() {}
}

package struct PipeState: Sendable, Equatable {
    package var inode: UInt64 = 0
    package var capacity: UInt64 = 0
    /// Index of the content; nil: empty.
    package var blob: Int?
    package var ends: PipeEnds = []
    package init() {}
}

package struct EventfdState: Sendable, Equatable {
    package var count: UInt64 = 0
    package var semaphore = false
    package init() {}
}

package struct TimerfdState: Sendable, Equatable {
    package var clock: Int32 = 0
    package var settimeFlags: UInt32 = 0
    package var ticks: UInt64 = 0
    package var valueNs: UInt64 = 0, intervalNs: UInt64 = 0
    /// Of its clock when the rest was read; 0: an older image.
    package var clockNs: UInt64 = 0
    package init() {}
}

package struct EpollEntry: Sendable, Equatable {
    package var epoll: Int32 = 0, target: Int32 = 0
    package var events: UInt32 = 0
    package var data: UInt64 = 0
    package var device: UInt64 = 0, inode: UInt64 = 0
    package init() {}
}

package struct Blob: Sendable, Equatable {
    package var fileOffset: UInt64 = 0, byteCount: UInt64 = 0
    package var crc: UInt32 = 0
    package init() {}
}
