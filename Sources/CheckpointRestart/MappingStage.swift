// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// Putting the memory together: place-holders, content, protection.
extension ProgramMemory {
    /// Maps the place-holders and brings their content in, each page run checked; returns what is to be loaded later.
    func stage() throws(RestartFailure) -> Load {
        var load = Load(chain: chain), later = Load(chain: chain)
        for holder in holders {
            switch holder.source {
            case .view(let image, let fileOffset):
                if try mapView(holder, of: image, fileOffset: fileOffset) { load.check(holder, in: image) } else { try mapMemory(holder, &load) }
            case .memory where holder.waits: try mapMemory(holder, &later)
            case .memory: try mapMemory(holder, &load)
            case .beacon: try mapBeacon(holder)
            case .content(let index):
                try mapContent(holder, of: index)
                load.read(holder)
            case .object: break
            }
        }
        try load.run()
        // Order: behind their content, because a mapping that can write would forbid seals.
        try showObjects()
        return later
    }

    /// False when the file can not be mapped there (a file system without execution): then it is read.
    private func mapView(_ holder: PlaceHolder, of image: Int, fileOffset: UInt64) throws(RestartFailure) -> Bool {
        do throws(Errno) {
            try Kernel.map(
                at: holder.staged.start, byteCount: holder.staged.byteCount,
                protection: staged(holder),
                flags: Memory.isPrivate | Memory.populate, descriptor: chain.images[image].descriptor, offset: fileOffset)
            return true
        } catch {
            switch error {
            case .notPermitted, .permissionDenied, .operationNotSupportedByDevice: return false
            default: throw ProgramMemory.failure(error, holder.mapping)
            }
        }
    }

    private func mapMemory(_ holder: PlaceHolder, _ load: inout Load) throws(RestartFailure) {
        if holder.mapping.flags.contains(.droppable) { return try mapDroppable(holder) }
        // Only 64 GiB at once are ever accounted for: what is bigger was reserved by the program, never filled.
        let isReserve = holder.mapping.byteCount > 4 << 30
        do throws(Errno) {
            try Kernel.map(
                at: holder.staged.start, byteCount: holder.staged.byteCount,
                protection: staged(holder),
                flags: ProgramMemory.flags(of: holder.mapping) | (isReserve ? Memory.noReserve : 0))
        } catch { throw ProgramMemory.failure(error, holder.mapping) }
        load.read(holder)
    }

    /// Empty, whatever an image may have of it: so two programs from one image do not draw the same random numbers from the state
    /// that vDSO getrandom keeps there. Kernel: since 6.11; an older one has no such vDSO, and memory that fork empties is the nearest.
    private func mapDroppable(_ holder: PlaceHolder) throws(RestartFailure) {
        let range = holder.staged, protection = UInt64(holder.mapping.protection.rawValue)
        do throws(Errno) {
            do throws(Errno) {
                try Kernel.map(at: range.start, byteCount: range.byteCount, protection: protection, flags: ProgramMemory.flags(of: holder.mapping))
            } catch Errno.invalidArgument {
                try Kernel.map(at: range.start, byteCount: range.byteCount, protection: protection, flags: Memory.isPrivate | Memory.anonymous)
            }
        } catch { throw ProgramMemory.failure(error, holder.mapping) }
    }

    /// An enabled process shows a mapping of a memfd with this name; one page.
    private func mapBeacon(_ holder: PlaceHolder) throws(RestartFailure) {
        var pages: [(offset: UInt64, content: [UInt8])] = []
        do throws(ImageError) {
            var reader = PageReader(chain)
            for piece in chain.pieces(in: holder.mapping) where piece.isHere {
                pages.append((piece.address - holder.mapping.start, Array(try reader.read(piece))))
            }
        } catch { throw RestartFailure(error) }
        do throws(Errno) {
            var name = Array(chain.newest.process.beaconName.utf8) + [0]
            let file = try Kernel.withBytes(&name) { address throws(Errno) in try Kernel.call(.memfdCreate, address, 1) }
            defer { _ = try? Kernel.call(.close, file) }
            try Kernel.call(.ftruncate, file, holder.staged.byteCount)
            for (offset, content) in pages {
                var bytes = content
                _ = try Kernel.withBytes(&bytes) { address throws(Errno) in
                    try Kernel.call(.pwrite, file, address, UInt64(content.count), offset)
                }
            }
            try Kernel.map(
                at: holder.staged.start, byteCount: holder.staged.byteCount, protection: Memory.read, flags: Memory.shared,
                descriptor: Int32(truncatingIfNeeded: file))
        } catch { throw ProgramMemory.failure(error, holder.mapping) }
    }

    /// The protection that a place-holder has until all is in it: what is to be read or checked must be reachable, and what
    /// stays empty is never more than the program asked for (reserved memory without access costs nothing).
    private func staged(_ holder: PlaceHolder) -> UInt64 {
        let final = UInt64(holder.mapping.protection.rawValue)
        return switch holder.source {
        case .view: final | Memory.read
        case .beacon: Memory.read
        case .content: Memory.read | Memory.write
        case .object: final
        case .memory: holder.mapping.flags.contains(.droppable) || chain.pieces(in: holder.mapping).isEmpty ? final : Memory.read | Memory.write
        }
    }

    /// Gives every mapping the protection and the advice that it had. From now on nothing is written any more.
    func protect() throws(RestartFailure) {
        try checkSeals()
        for holder in holders where !holder.isContent {
            let mapping = holder.mapping, range = holder.staged
            do throws(Errno) {
                if mapping.flags.contains(.dontFork) || mapping.kind == .beacon { try Kernel.advise(range, .dontFork) }
                if mapping.flags.contains(.wipeOnFork) { try Kernel.advise(range, .wipeOnFork) }
                if mapping.flags.contains(.dontDump) { try Kernel.advise(range, .dontDump) }
                // Kernel: EINVAL without transparent huge pages; then there is nothing to say.
                if mapping.flags.contains(.huge), !holder.waits { try? Kernel.advise(range, .huge) }
                if mapping.flags.contains(.noHuge) { try? Kernel.advise(range, .noHuge) }
                let wanted = UInt64(mapping.protection.rawValue)
                if wanted != staged(holder) { try Kernel.protect(range, wanted) }
            } catch { throw ProgramMemory.failure(error, mapping) }
            // Order: before the lock, which forbids it.
            for pages in guardPages(in: mapping) { try makeGuard(holder.place(of: pages.start), pages.byteCount) }
            if mapping.flags.contains(.locked) {
                do throws(Errno) { try Kernel.call(.mlock2, range.start, range.byteCount, 1) } catch {
                    throw RestartFailure(kind: .permission,
                        what: "the program keeps memory locked, and this host does not let it (\(error.description))",
                        remedy: "raise the limit: ulimit -l")
                }
            }
        }
    }

    private func makeGuard(_ address: UInt64, _ byteCount: UInt64) throws(RestartFailure) {
        do throws(Errno) { try Kernel.advise(AddressRange(start: address, end: address + byteCount), .installGuard) } catch {
            throw RestartFailure(kind: .unsupported, what: "this kernel does not make guard pages (MADV_GUARD_INSTALL, since Linux 6.13): \(error.description)",
                remedy: "restart on a kernel as new as the one then")
        }
    }

    /// Whether this kernel has mseal (since 6.10): sealing nothing succeeds there.
    private func checkSeals() throws(RestartFailure) {
        guard !seals().isEmpty else { return }
        do throws(Errno) { try Kernel.call(.mseal, 0, 0, 0) } catch {
            throw RestartFailure(kind: .unsupported, what: "this kernel does not seal mappings (mseal, since Linux 6.10): \(error.description)",
                remedy: "restart on a kernel as new as the one then")
        }
    }

    static func failure(_ error: Errno, _ mapping: Mapping) -> RestartFailure {
        RestartFailure(
            kind: error == .noMemory ? .io : .unsupported,
            what: "\(mapping.byteCount) bytes of memory for the mapping at 0x\(String(mapping.start, radix: 16)): \(error.description)",
            remedy: error == .noMemory ? "free memory or raise the limit (ulimit -v)" : "see ckpt check")
    }
}
