// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CCheckpointProbe
import CheckpointImage
import SystemPackage

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what this kernel and processor can do, what each enables, and how to get what is missing.",
        discussion: "Everything is found by trying. Exit status 69 when something is missing that checkpoints cannot do without.")

    @Flag(help: "Print the result as JSON.")
    var json = false

    @Flag(help: "Print only what is missing.")
    var quiet = false

    @Option(
        help: ArgumentHelp(
            "Print the environment in which a program uses no more than x86-64, x86-64-v2, -v3 or -v4, so that its images travel: env $(ckpt check --cpu x86-64-v2) PROGRAM.",
            valueName: "LEVEL"))
    var cpu: String?

    func validate() throws {
        guard let cpu, ProcessorLevel(cpu) == nil else { return }
        throw ValidationError("--cpu \(cpu): x86-64, x86-64-v2, x86-64-v3 or x86-64-v4 is needed")
    }

    func run() throws {
        if let level = cpu.flatMap(ProcessorLevel.init) {
            tell("\(level.tunables) CKPT_CPU=\(level.name)")
            return
        }
        let features = Feature.all()
        let missing = features.filter { $0.error != nil && $0.isNeeded }
        if json {
            tell(Json.array(features.map(\.json)).text)
        } else {
            let shown = quiet ? features.filter { $0.error != nil } : features
            let width = shown.map { $0.name.count }.max() ?? 0
            for feature in shown { tell(feature.text(width)) }
        }
        guard missing.isEmpty else {
            complain("ckpt: unsupported: this host lacks \(missing.map(\.name).joined(separator: ", ")); \(missing[0].remedy)")
            throw ExitCode(Status.unsupported)
        }
    }
}

/// One thing that a kernel or a processor may have.
struct Feature {
    let name: String
    let enables: String
    let remedy: String
    var isNeeded = false
    /// nil: it is there.
    var error: String?

    /// Tries them all; takes a few milliseconds.
    static func all() -> [Feature] {
        let host = HostFacts.current()
        var features = [
            Feature(
                name: "SSE4.2", enables: "checksums of images (this processor: x86-64-v\(host.cpuLevel))",
                remedy: "use a processor of 2009 or later", isNeeded: true, error: host.canComputeCRC32C ? nil : "not in this processor"),
        ]
        for (probe, feature) in probes {
            var feature = feature
            let result = ckpt_probe(probe)
            if result != 0 { feature.error = Errno(rawValue: -result).description }
            features.append(feature)
        }
        return features
    }

    private static let probes: [(ckpt_probe, Feature)] = [
        (CKPT_PROBE_PROC, Feature(
            name: "/proc", enables: "checkpoints: mappings and descriptors are read there", remedy: "mount it: mount -t proc proc /proc", isNeeded: true)),
        (CKPT_PROBE_CLONE3, Feature(
            name: "clone3", enables: "restarts: threads with their own ids", remedy: "use Linux 5.5 or newer; in a container, allow it in the seccomp profile",
            isNeeded: true)),
        (CKPT_PROBE_MM_MAP, Feature(
            name: "PR_SET_MM_MAP", enables: "restarts: the heap grows on where it was", remedy: "use a kernel with CONFIG_CHECKPOINT_RESTORE", isNeeded: true)),
        (CKPT_PROBE_TMPFILE, Feature(
            name: "O_TMPFILE here", enables: "images in this directory leave nothing behind when writing fails",
            remedy: "write to ext4, xfs, btrfs or tmpfs, and to a directory where you may")),
        (CKPT_PROBE_USER_NAMESPACE, Feature(
            name: "user namespaces", enables: "restarts with the same process and thread ids, without root",
            remedy: "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns; not possible in a chroot; else --identity new")),
        (CKPT_PROBE_OWN_PROC, Feature(
            name: "own /proc", enables: "checkpoints of a program restarted in a namespace",
            remedy: "in a container, unmask /proc (docker: --security-opt systempaths=unconfined)")),
        (CKPT_PROBE_SET_TID, Feature(
            name: "set_tid", enables: "restarts with the same ids without a namespace, when they are free",
            remedy: "run as root or with CAP_CHECKPOINT_RESTORE; not needed where user namespaces work")),
        (CKPT_PROBE_TIME_NAMESPACE, Feature(
            name: "time namespaces", enables: "restarts on a host with another uptime: timers stay exact",
            remedy: "use Linux 5.6 or newer with CONFIG_TIME_NS and user namespaces")),
        (CKPT_PROBE_PIDFD, Feature(
            name: "pidfd", enables: "`ckpt save` sees at once when the program ends", remedy: "use Linux 5.3 or newer")),
        (CKPT_PROBE_UFFD_ASYNC, Feature(
            name: "userfaultfd, asynchronous", enables: "increments: tracking of written pages at 1 µs each",
            remedy: "use Linux 6.7 or newer with CONFIG_USERFAULTFD; else full images")),
        (CKPT_PROBE_PAGEMAP_SCAN, Feature(
            name: "PAGEMAP_SCAN", enables: "increments: finding the written pages in one call", remedy: "use Linux 6.7 or newer; else full images")),
    ]

    func text(_ width: Int) -> String {
        let padding = String(repeating: " ", count: width - name.count)
        guard let error else { return "\(name)\(padding)  yes  \(enables)" }
        return "\(name)\(padding)  no   \(enables)\n\(String(repeating: " ", count: width + 7))\(error); \(remedy)"
    }

    var json: Json {
        .object([
            ("name", .string(name)), ("present", .bool(error == nil)), ("needed", .bool(isNeeded)), ("enables", .string(enables)),
            ("error", error.map(Json.string) ?? .null), ("remedy", .string(remedy)),
        ])
    }
}
