// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointCompression
import CheckpointImage
import SystemPackage

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what is in an image: chain, threads, mappings, descriptors, sizes.",
        discussion: "Nothing is run, and page contents are not read: see `ckpt verify`.")

    @Argument(help: "The image.", completion: .file(extensions: ["img"]))
    var image: String

    @Flag(help: "Print everything as JSON.")
    var json = false

    @Flag(help: "Print the head only.")
    var quiet = false

    func run() throws {
        do throws(ImageError) {
            let opened = try Image.open(FilePath(image), decompressor: SystemDecompressor())
            var findings = Judgement.judge(opened, host: HostFacts.current())
            var chain = [opened]
            do throws(ImageError) { chain = try ImageChain(opened).images } catch {
                findings.append(Finding(class: error.restartClass, what: "the chain", why: error.what, remedy: error.remedy))
            }
            let inspected = InspectedImage(image: opened, chain: chain, findings: findings)
            tell(json ? inspected.json.text : inspected.text(headOnly: quiet))
        } catch {
            throw failure(image, error)
        }
    }
}

/// An image in the words of `ckpt inspect`.
struct InspectedImage {
    let image: Image
    /// With all that it builds on; alone when that could not be opened.
    let chain: [Image]
    let findings: [Finding]

    func text(headOnly: Bool) -> String {
        var parts = [head]
        if !headOnly {
            if chain.count > 1 { parts.append(chainTable) }
            parts += [threads, mappings]
            if !image.descriptors.isEmpty { parts.append(descriptors) }
            if !image.limits.isEmpty { parts.append(limits) }
            if !image.attributes.isEmpty { parts.append(attributes) }
            if !image.timers.isEmpty || !image.itimers.isEmpty { parts.append(timers) }
        }
        if !findings.isEmpty {
            parts.append("Not restored on this host\n" + findings.map { "  \($0.class.rawValue): \($0.line.inOneLine)" }.joined(separator: "\n"))
        }
        return parts.joined(separator: "\n\n")
    }

    private var head: String {
        let ident = image.ident, process = image.process
        let zero = image.runs.filter { $0.kind == .zero }.reduce(0) { $0 + $1.byteCount }
        let parents = ident.parent == 0 ? "full image: needs no other file"
            : "increment \(ident.depth), builds on \(Identity.name(of: ident.parent))"
        let parent = image.runs.filter { $0.kind == .parent }.reduce(0) { $0 + $1.byteCount }
        let elsewhere = parent == 0 ? "" : "\(parent.inUnits) in the parent, "
        let buildId = process.buildId.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
        var lines = [
            ("Image", image.path.string),
            ("Identifier", "\(ident.name), checkpoint \(ident.sequence) of run \(String(ident.run, radix: 16))"),
            ("Chain", parents),
            ("Taken", ident.createdRealtimeNs.asDate + (ident.flags.contains(.exit) ? ", then the program ended" : "")),
            ("Format", "\(ident.major).\(ident.minor)"),
            ("Size", "\(ident.fileByteCount.inUnits) (\(ident.fileByteCount) bytes)"),
            ("Pages", "\(image.contentByteCount.inUnits) here, \(elsewhere)\(zero.inUnits) of zeros, in \(image.runs.count) runs"),
            ("Memory", "\(image.mappings.reduce(0) { $0 + ($1.kind == .object ? 0 : $1.byteCount) }.inUnits) in \(image.mappings.count - image.shared.count) mappings"),
            ("Program", process.executable.string),
            ("Build id", buildId.isEmpty ? "none" : buildId),
            ("Process", "\(process.pid), user \(process.uid), group \(process.gid), umask \(process.umask.octal)"),
            ("Directory", process.directory.string),
            ("Kernel", process.kernelRelease),
            ("Processor", "x86-64-v\(process.cpuLevel), \(image.processor.map { $0.level > 0 ? "promises x86-64-v\($0.level), " : "" } ?? "")\(process.xsaveByteCount) bytes of vector state"),
        ]
        if let stored = image.storedByteCount {
            let size = image.uncompressedByteCount
            let ratio = stored > 0 ? (Double(size) / Double(stored)).withOneDigit : "-"
            lines.insert(("Compressed", "\(image.compressionName), \(size.inUnits) stored in \(stored.inUnits) (\(ratio) : 1), \(image.chunks.count) chunks"), at: 6)
        }
        if process.pauseNs > 0 { lines.insert(("Pause", process.pauseNs.inMilliseconds), at: 4) }
        let width = lines.map { $0.0.count }.max() ?? 0
        return lines.map { $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1.inOneLine }.joined(separator: "\n")
    }

    private var chainTable: String {
        var columns = Columns(titles: ["DEPTH", "IDENTIFIER", "SIZE", "PAGES", "FILE"], rightAligned: [0, 2, 3])
        for image in chain {
            columns.rows.append([
                "\(image.ident.depth)", image.ident.name, image.ident.fileByteCount.inUnits, image.contentByteCount.inUnits, image.path.string.inOneLine,
            ])
        }
        return "Chain (\(chain.count))\n" + columns.text
    }

    private var threads: String {
        var columns = Columns(titles: ["ID", "NAME", "PC", "SP", "BLOCKED", "RUNS AS", "WHERE"], rightAligned: [0])
        for thread in image.threads {
            let pc = thread.registers?.instructionPointer
            columns.rows.append([
                "\(thread.tid)", thread.name.inOneLine, pc?.hex ?? "-", thread.registers?.stackPointer.hex ?? "-",
                thread.signalMask.hex, image.schedulings.first { $0.tid == thread.tid }?.line ?? "-", pc.map(place) ?? "ended",
            ])
        }
        return "Threads (\(image.threads.count))\n" + columns.text
    }

    /// A mapping's name and the distance to its file's start: what a symbolizer wants.
    func place(of address: UInt64) -> String {
        guard let mapping = image.mappings.holding(address) else { return "?" }
        let name = mapping.name.lastComponent?.string ?? mapping.kind.word
        return "\(name.inOneLine)+\((address - mapping.start + mapping.fileOffset).hex)"
    }

    private var mappings: String {
        var columns = Columns(titles: ["START", "END", "PROT", "KIND", "SIZE", "HERE", "NAME"], rightAligned: [4, 5])
        for mapping in image.mappings {
            columns.rows.append([
                mapping.start.hex, mapping.end.hex, mapping.permissions, mapping.kind.word, mapping.byteCount.inUnits,
                image.contentByteCount(of: mapping).inUnits, mapping.name.string.inOneLine + (mapping.flags.contains(.deleted) ? " (deleted)" : ""),
            ])
        }
        return "Mappings (\(image.mappings.count))\n" + columns.text
    }

    private var descriptors: String {
        var columns = Columns(titles: ["FD", "KIND", "MODE", "POSITION", "STATE", "PATH"], rightAligned: [0, 3])
        for descriptor in image.descriptors {
            columns.rows.append([
                "\(descriptor.number)", descriptor.kind.word, descriptor.access, "\(descriptor.position)", state(of: descriptor),
                descriptor.path.string.inOneLine + (descriptor.flags.contains(.deleted) ? " (deleted)" : ""),
            ])
        }
        return "Descriptors (\(image.descriptors.count))\n" + columns.text
    }

    private var limits: String {
        var columns = Columns(titles: ["LIMIT", "SOFT", "HARD"], rightAligned: [1, 2])
        for limit in image.limits { columns.rows.append([limit.name, LimitState.text(limit.soft), LimitState.text(limit.hard)]) }
        return "Limits (\(image.limits.count))\n" + columns.text
    }

    /// Those that are not as nearly every process has them.
    private var attributes: String {
        let special = image.attributes.filter(\.isSpecial)
        var columns = Columns(titles: ["ATTRIBUTE", "VALUE", "THREAD"], rightAligned: [1])
        for attribute in special { columns.rows.append([attribute.word, attribute.text, attribute.tid == 0 ? "all" : "\(attribute.tid)"]) }
        return special.isEmpty ? "Attributes: all ordinary" : "Attributes (\(special.count) not ordinary)\n" + columns.text
    }

    private var timers: String {
        var columns = Columns(titles: ["TIMER", "CLOCK", "SIGNAL", "THREAD", "IN", "EVERY"], rightAligned: [0, 1, 2, 3, 4, 5])
        for timer in image.timers {
            columns.rows.append([
                "\(timer.id)", "\(timer.clock)", timer.notify == 1 ? "-" : "\(timer.signal)", timer.isBound ? "\(timer.tid)" : "-",
                timer.valueNs.inMilliseconds, timer.intervalNs.inMilliseconds,
            ])
        }
        for timer in image.itimers {
            columns.rows.append([timer.word, "-", "-", "-", timer.valueNs.inMilliseconds, timer.intervalNs.inMilliseconds])
        }
        return "Timers (\(columns.rows.count))\n" + columns.text
    }

    private func state(of descriptor: DescriptorState) -> String {
        if descriptor.inherited >= 0 { return "standard stream \(descriptor.inherited)" }
        if descriptor.sharedWith != descriptor.number { return "duplicate of \(descriptor.sharedWith)" }
        let detail = descriptor.detail
        switch descriptor.kind {
        case .file: return "\(descriptor.byteCount) bytes" + (descriptor.flags.contains(.embedded) ? ", embedded" : "")
        case .pipe:
            let held = detail.flatMap { image.pipes[$0].blob }.map { image.blobs[$0].byteCount } ?? 0
            return "holds \(held) bytes"
        case .eventfd: return detail.map { "count \(image.eventfds[$0].count)" } ?? "-"
        case .timerfd: return detail.map { "clock \(image.timerfds[$0].clock), in \(image.timerfds[$0].valueNs.inMilliseconds)" } ?? "-"
        case .signalfd: return detail.map { "signals \(image.signalfds[$0].mask.hex)" } ?? "-"
        case .epoll: return "\(image.epollEntries.filter { $0.epoll == descriptor.number }.count) entries"
        default: return "-"
        }
    }
}
