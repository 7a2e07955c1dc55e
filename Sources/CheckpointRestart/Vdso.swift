// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// The kernel's own pages in a process: [vdso], [vvar], [vvar_vclock]. The host's are moved where the program knows them.
struct Vdso {
    private struct Part { let host: AddressRange, target: UInt64 }
    private let parts: [Part]

    /// Refuses when the program's own differ from this host's: libc has kept addresses inside them.
    init(image: Image, host: [HostMapping], options: RestartOptions) throws(RestartFailure) {
        let wanted = image.mappings.filter { $0.kind == .vdso || $0.kind == .vvar }
        if wanted.isEmpty {
            parts = []
            return
        }
        let release = Kernel.file("/proc/sys/kernel/osrelease").map { String(decoding: $0.prefix { $0 > 32 }, as: UTF8.self) } ?? ""
        let differs = Vdso.different(image.process.kernelRelease, release)
        let present = host.filter { $0.name == "[vdso]" || $0.name.hasPrefix("[vvar") }
        var parts: [Part] = []
        for mapping in wanted {
            guard let own = present.first(where: { FilePath($0.name) == mapping.name }), own.range.byteCount == mapping.byteCount else {
                throw Vdso.failure("this kernel has no \(mapping.name) of \(mapping.byteCount) bytes\(differs)")
            }
            parts.append(Part(host: own.range, target: mapping.start))
        }
        // The code finds its data at a fixed distance.
        guard Set(parts.map { $0.target &- $0.host.start }).count == 1 else {
            throw Vdso.failure("this kernel lays its vdso out in another way\(differs)")
        }
        if !differs.isEmpty && !options.force { throw Vdso.failure("the vdso may be another one\(differs)") }
        if Vdso.isSealed(parts.map(\.host)) {
            throw RestartFailure(kind: .unsupported, what: "this kernel seals its system mappings, so the vdso can not be moved",
                remedy: "start the kernel without sealed system mappings")
        }
        self.parts = parts
    }

    private static func different(_ then: String, _ now: String) -> String {
        then == now || then.isEmpty || now.isEmpty ? "" : " (kernel \(then) then, \(now) now)"
    }

    private static func failure(_ what: String) -> RestartFailure {
        RestartFailure(kind: .unsupported, what: what, remedy: "restart on a host with the same kernel, or try --force")
    }

    /// Kernel: since 6.16, where so configured, every change of a sealed mapping is EPERM; one that changes nothing is enough to know.
    private static func isSealed(_ ranges: [AddressRange]) -> Bool {
        ranges.contains { range in
            do throws(Errno) { try Kernel.protect(range, Memory.read | 4) } catch { return error == .notPermitted }
            return false
        }
    }

    /// Out of the way, before everything else is unmapped.
    func park(at address: UInt64) -> [Operation] {
        var next = address
        return parts.map { part in
            defer { next += part.host.byteCount + Memory.pageByteCount }
            return .move(CKPT_RESTART_STEP_VDSO_PARK, from: part.host, to: next)
        }
    }

    /// Where the program knows them.
    func place(from address: UInt64) -> [Operation] {
        var next = address
        return parts.map { part in
            defer { next += part.host.byteCount + Memory.pageByteCount }
            return .move(
                CKPT_RESTART_STEP_VDSO_PLACE, from: AddressRange(start: next, end: next + part.host.byteCount), to: part.target)
        }
    }

    var byteCount: UInt64 { parts.reduce(0) { $0 + $1.host.byteCount + Memory.pageByteCount } }
}
