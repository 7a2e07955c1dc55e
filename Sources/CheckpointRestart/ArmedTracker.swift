// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// A tracker of written pages (userfaultfd, asynchronous write-protection) that the program finds armed: its next checkpoint
/// writes what has changed since the image.
///
/// It belongs to the memory of the process that makes it, so it is made in the one that becomes the program. A kernel or a
/// rule that does not have it is no failure: then the next checkpoint is a full image.
struct ArmedTracker {
    /// Of the descriptor, which the program has from now on.
    let number: Int32
    /// What fstat says of it.
    let device: UInt64, inode: UInt64
    /// /proc/self/pagemap, until the program runs.
    let pageMap: Int32

    // Kernel: linux/userfaultfd.h and linux/fs.h of 6.7.
    private static let userModeOnly: UInt64 = 1, flags: UInt64 = 0o2004000  // O_CLOEXEC, O_NONBLOCK
    private static let unpopulatedAndAsync: UInt64 = 1 << 13 | 1 << 15
    private static let ioAPI: UInt64 = 0xc018_aa3f, ioRegister: UInt64 = 0xc020_aa00, ioProtect: UInt64 = 0xc018_aa06
    private static let ioScan: UInt64 = 0xc060_6610

    /// nil: there is none. `floor`: above every number of the program.
    static func make(for image: Image, above floor: Int32) -> ArmedTracker? {
        guard let made = try? Kernel.call(.userfaultfd, flags | userModeOnly) else { return nil }
        defer { _ = try? Kernel.call(.close, made) }
        var api: [UInt8] = []
        for word in [0xaa, unpopulatedAndAsync, 0] { api.append(integer: word) }
        guard (try? Kernel.withBytes(&api) { address throws(Errno) in try Kernel.call(.ioctl, made, ioAPI, address) }) != nil,
            let map = try? FileDescriptor.openPageMap()
        else { return nil }
        defer { try? map.close() }
        let pageMap = DescriptorCalls.duplicate(map.rawValue, above: floor)
        guard pageMap >= 0, let number = place(Int32(truncatingIfNeeded: made), in: image), let status = FileStatus(number) else { return nil }
        return ArmedTracker(number: number, device: status.device, inode: status.inode, pageMap: Int32(truncatingIfNeeded: pageMap))
    }

    /// A duplicate at a high number, where no program looks and no descriptor of this one is.
    private static func place(_ descriptor: Int32, in image: Image) -> Int32? {
        let taken = Set(image.descriptors.map(\.number))
        var floor = Int32(clamping: max(3, min(Int64(clamping: DescriptorLimit.soft) - 24, 1000)))
        while true {
            let number = Int32(clamping: DescriptorCalls.duplicate(descriptor, above: floor))
            if number < 0 { return nil }
            if !taken.contains(number) { return number }
            DescriptorCalls.close(number)
            floor = number + 1
        }
    }

    /// For the restorer, when every mapping is in its place: mremap would take the registration away. None of it may fail the
    /// restart: memory that is not registered counts as written.
    func operations(_ memory: ProgramMemory, block: inout RestartBlock) -> [Operation] {
        let placed = memory.holders.filter { !$0.waits }.map { ($0.mapping, $0.isView) }
        return operations(placed + memory.direct.map { ($0, false) }, block: &block)
    }

    func operations(_ mappings: [(mapping: Mapping, isView: Bool)], block: inout RestartBlock) -> [Operation] {
        var operations: [Operation] = []
        for (mapping, isView) in mappings {
            guard ArmedTracker.tracks(mapping) else { continue }
            let registration = block.place(words: [mapping.start, mapping.byteCount, 2, 0])
            operations.append(call(number, ArmedTracker.ioRegister, registration))
            if isView {
                operations.append(call(number, ArmedTracker.ioProtect, block.place(words: [mapping.start, mapping.byteCount, 1])))
            } else {
                // Only what is populated (PAGE_IS_PRESENT or PAGE_IS_SWAPPED). Kernel: single pages that are not, beside others
                // that are, get markers all the same; but a reservation of terabytes costs nothing.
                let scan: [UInt64] = [96, 1, mapping.start, mapping.end, 0, 0, 0, 0, 0, 0, 1 << 3 | 1 << 4, 0]
                operations.append(call(pageMap, ArmedTracker.ioScan, block.place(words: scan)))
            }
        }
        return operations
    }

    private func call(_ descriptor: Int32, _ request: UInt64, _ argument: UInt64) -> Operation {
        Operation(CKPT_RESTART_STEP_NONE, .ioctl, [UInt64(descriptor), request, argument], check: .any)
    }

    private static func tracks(_ mapping: Mapping) -> Bool {
        guard !mapping.flags.contains(.shared) else { return false }
        return switch mapping.kind {
        case .anonymous, .heap, .stack, .file: true
        default: false
        }
    }
}

extension FileDescriptor {
    static func openPageMap() throws(Errno) -> FileDescriptor {
        do { return try open(FilePath("/proc/self/pagemap"), .readOnly, options: .closeOnExec) } catch { throw error as? Errno ?? .ioError }
    }
}

extension PlaceHolder {
    fileprivate var isView: Bool { if case .view = source { true } else { false } }
}

extension RestartBlock {
    fileprivate mutating func place(words: [UInt64]) -> UInt64 {
        var bytes: [UInt8] = []
        for word in words { bytes.append(integer: word) }
        return place(bytes)
    }
}
