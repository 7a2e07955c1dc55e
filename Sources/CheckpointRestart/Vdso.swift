// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// The kernel's own pages in a process: [vdso], [vvar], [vvar_vclock].
///
/// libc has kept addresses inside the program's vdso. Where the host's is the same, it is moved there. Where it is another one, the
/// program keeps its own as plain memory, in which each function jumps to the host's, or makes the system call: its code cannot be
/// used, because it reads data whose layout only its own kernel knows. The host's then stays beside the restorer's code.
struct Vdso {
    private struct Part { let host: AddressRange, target: UInt64 }
    private let parts: [Part]
    /// The program's own, with jumps in it, and where it is put together.
    private var replacement: (target: UInt64, bytes: [UInt8], staged: UInt64)?

    /// `parking`: where the host's parts are kept while everything else is taken away, and for ever when they are not the program's.
    init(_ chain: ImageChain, host: [HostMapping], options: RestartOptions, parking: UInt64) throws(RestartFailure) {
        let image = chain.newest
        let wanted = image.mappings.filter { $0.kind == .vdso || $0.kind == .vvar }
        guard let vdso = wanted.first(where: { $0.kind == .vdso }) else {
            parts = []
            return
        }
        let present = host.filter { $0.name == "[vdso]" || $0.name.hasPrefix("[vvar") }
        if Vdso.isSealed(present.map(\.range)) {
            throw RestartFailure(kind: .unsupported, what: "this kernel seals its system mappings, so the vdso can not be moved",
                remedy: "start the kernel without sealed system mappings")
        }
        let same = Vdso.same(wanted, present)
        if let same, Vdso.isThisKernel(image) {
            parts = same
            return
        }
        let old = ImageMemory(chain).read(vdso.start, byteCount: Int(vdso.byteCount))
        let own = present.first { $0.name == "[vdso]" }.map { Kernel.bytes(at: $0.range.start, count: Int($0.range.byteCount)) } ?? []
        if let same, old == own {
            parts = same
            return
        }
        guard let old, let symbols = VdsoSymbols(old) else {
            throw Vdso.failure("the vdso of its kernel (\(image.process.kernelRelease)) is not understood")
        }
        try Vdso.check(image, vdso, force: options.force)
        // Order in memory as it is here: the code finds its data at a fixed distance.
        let base = present.map(\.range.start).min() ?? 0
        parts = present.map { Part(host: $0.range, target: parking + ($0.range.start - base)) }
        let hostVdso = present.first { $0.name == "[vdso]" }.map { parking + ($0.range.start - base) }
        let bytes = try Vdso.redirected(old, symbols, to: VdsoSymbols(own), at: hostVdso ?? 0)
        replacement = (vdso.start, bytes, parking + Vdso.stagingOffset)
    }

    /// Where the replacement is put together, behind the parts of the host.
    private static let stagingOffset: UInt64 = 8 << 20

    /// The host's parts where the program has its own, when there are the same ones at the same distances.
    private static func same(_ wanted: [Mapping], _ present: [HostMapping]) -> [Part]? {
        var parts: [Part] = []
        for mapping in wanted {
            guard let own = present.first(where: { FilePath($0.name) == mapping.name }), own.range.byteCount == mapping.byteCount else { return nil }
            parts.append(Part(host: own.range, target: mapping.start))
        }
        return Set(parts.map { $0.target &- $0.host.start }).count == 1 ? parts : nil
    }

    private static func isThisKernel(_ image: Image) -> Bool {
        let release = Kernel.file("/proc/sys/kernel/osrelease").map { String(decoding: $0.prefix { $0 > 32 }, as: UTF8.self) } ?? ""
        return release == image.process.kernelRelease && !release.isEmpty
    }

    private static func failure(_ what: String) -> RestartFailure {
        RestartFailure(kind: .unsupported, what: what, remedy: "restart on a host with the same kernel")
    }

    /// Nobody may be inside the code that changes.
    private static func check(_ image: Image, _ vdso: Mapping, force: Bool) throws(RestartFailure) {
        guard !force, let inside = image.threads.first(where: { $0.registers.map { vdso.addresses.contains($0.instructionPointer) } ?? false }) else { return }
        throw RestartFailure(kind: .unsupported, what: "thread \(inside.tid) was inside the vdso, which is another one here",
            remedy: "restart on a host with the same kernel, or use another checkpoint")
    }

    /// The program's vdso with every function replaced.
    private static func redirected(_ old: [UInt8], _ symbols: VdsoSymbols, to host: VdsoSymbols?, at start: UInt64) throws(RestartFailure) -> [UInt8] {
        var bytes = old
        let offsets = symbols.functions.map(\.offset)
        for (name, offset) in symbols.functions {
            var code: [UInt8] = []
            if let target = host?.offset(of: name) {
                code = [0x48, 0xb8]  // movabs $target, %rax
                code.append(integer: start + UInt64(target))
                code += [0xff, 0xe0]  // jmp *%rax
            } else if let number = calls[name.hasPrefix("__vdso_") ? String(name.dropFirst("__vdso_".count)) : name] {
                code = [0xb8]  // mov $number, %eax
                code.append(integer: number)
                code += [0x0f, 0x05, 0xc3]  // syscall; ret
            } else if name.contains("sgx") {
                continue  // needs no data of the kernel's
            } else {
                throw failure("this kernel's vdso has no \(name)")
            }
            let next = offsets.first { $0 > offset } ?? old.count
            guard offset + code.count <= next else { throw failure("the vdso's \(name) leaves no room for a jump") }
            bytes.replaceSubrange(offset..<offset + code.count, with: code)
        }
        return bytes
    }

    private static let calls: [String: UInt32] = [
        "clock_gettime": 228, "gettimeofday": 96, "time": 201, "getcpu": 309, "clock_getres": 229, "getrandom": 318,
    ]

    /// Kernel: since 6.16, where so configured, every change of a sealed mapping is EPERM; one that changes nothing is enough to know.
    private static func isSealed(_ ranges: [AddressRange]) -> Bool {
        ranges.contains { range in
            do throws(Errno) { try Kernel.protect(range, Memory.read | 4) } catch { return error == .notPermitted }
            return false
        }
    }

    /// Puts the program's own together, while a failure can still be told.
    func stage() throws(RestartFailure) {
        guard let replacement else { return }
        let range = AddressRange(start: replacement.staged, end: replacement.staged + UInt64(replacement.bytes.count))
        do throws(Errno) {
            try Kernel.map(at: range.start, byteCount: range.byteCount, protection: Memory.read | Memory.write, flags: Memory.isPrivate | Memory.anonymous)
            Kernel.write(replacement.bytes, at: range.start)
            try Kernel.protect(range, Memory.read | 4)
        } catch {
            throw RestartFailure(kind: .io, what: "no memory for the vdso: \(error.description)", remedy: "free memory")
        }
    }

    /// Out of the way, before everything else is unmapped.
    func park(at address: UInt64) -> [Operation] {
        zip(parts, parked(at: address)).map { .move(CKPT_RESTART_STEP_VDSO_PARK, from: $0.host, to: $1) }
    }

    /// Where the program knows them; or what replaces them.
    func place(from address: UInt64) -> [Operation] {
        if let replacement {
            let from = AddressRange(start: replacement.staged, end: replacement.staged + UInt64(replacement.bytes.count))
            return [.move(CKPT_RESTART_STEP_VDSO_PLACE, from: from, to: replacement.target)]
        }
        return zip(parts, parked(at: address)).map { part, start in
            .move(CKPT_RESTART_STEP_VDSO_PLACE, from: AddressRange(start: start, end: start + part.host.byteCount), to: part.target)
        }
    }

    private func parked(at address: UInt64) -> [UInt64] {
        if replacement != nil { return parts.map(\.target) }
        var next = address
        return parts.map { part in
            defer { next += part.host.byteCount + Memory.pageByteCount }
            return next
        }
    }
}
