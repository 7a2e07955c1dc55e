// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage
import Testing

@Suite struct JudgementTests {
    private let host = HostFacts.current()

    private func judge(_ process: ProcessState = ProcessState(), _ mappings: [Mapping] = [], _ descriptors: [DescriptorState] = []) -> [Finding] {
        Judgement.judge(process: process, mappings: mappings, descriptors: descriptors, host: host)
    }

    private func descriptor(_ kind: DescriptorKind, inherited: Int32 = -1, path: FilePath = "/x") -> DescriptorState {
        var descriptor = DescriptorState()
        descriptor.number = 5
        descriptor.kind = kind
        descriptor.inherited = inherited
        descriptor.path = path
        return descriptor
    }

    @Test func `this host's own processor lacks nothing`() {
        var process = ProcessState()
        process.cpuid = host.cpuid
        process.xfeatures = host.xfeatures
        process.xsaveByteCount = host.xsaveByteCount
        process.cpuLevel = host.cpuLevel
        #expect(judge(process) == [])
        #expect(host.canComputeCRC32C && 2...4 ~= host.cpuLevel && host.xfeatures & 3 == 3)
    }

    @Test func `a missing processor feature is named`() {
        var process = ProcessState()
        process.cpuid[2] = 1 << 16
        process.cpuid[3] = 1 << 5
        process.cpuLevel = 4
        process.xfeatures = 0xe7
        let old = HostFacts(cpuid: Array(repeating: 0, count: 8), xfeatures: 0xe7, xsaveByteCount: 2696, cpuLevel: 2)
        let findings = Judgement.judge(process: process, mappings: [], descriptors: [], host: old)
        #expect(findings.map(\.class) == [.unsupported])
        #expect(findings.first?.why == "lacks avx512f, waitpkg (x86-64-v4, this is v2)")
    }

    @Test func `features that no program can feel are not asked for`() {
        var process = ProcessState()
        process.cpuid[0] = 1 << 31 | 1 << 5 | 1 << 3  // hypervisor, vmx, monitor
        let old = HostFacts(cpuid: Array(repeating: 0, count: 8), xfeatures: 3, xsaveByteCount: 576, cpuLevel: 1)
        #expect(Judgement.judge(process: process, mappings: [], descriptors: [], host: old) == [])
    }

    @Test func `a feature that the operating system did not enable is not asked for`() {
        var process = ProcessState()
        process.cpuid[0] = 1 << 28  // avx
        process.cpuid[2] = 1 << 16  // avx512f
        process.cpuid[4] = 1 << 24  // amx_tile
        process.xfeatures = 0x7
        let old = HostFacts(cpuid: Array(repeating: 0, count: 8), xfeatures: 7, xsaveByteCount: 832, cpuLevel: 2)
        #expect(Judgement.judge(process: process, processor: ProcessorState(), mappings: [], descriptors: [], host: old) == [])
        var processor = ProcessorState()
        processor.permitted = 0x7
        #expect(Judgement.judge(process: process, processor: processor, mappings: [], descriptors: [], host: old).first?.why == "lacks avx")
        process.xfeatures = 0x6_00e7
        processor.permitted = 0xe7  // the program did not ask for AMX
        let findings = Judgement.judge(process: process, processor: processor, mappings: [], descriptors: [], host: old)
        #expect(findings.map(\.why) == ["lacks avx, avx512f", "lacks avx512_opmask, avx512_zmm_hi256, avx512_hi16_zmm"])
        // And a host whose operating system does not enable it does not have it.
        let offered = HostFacts(cpuid: process.cpuid, xfeatures: 3, xsaveByteCount: 576, cpuLevel: 1)
        processor.permitted = 0x7
        #expect(Judgement.judge(process: process, processor: processor, mappings: [], descriptors: [], host: offered).first?.why == "lacks avx")
    }

    @Test func `a promised level is all that is asked for`() {
        var process = ProcessState(), processor = ProcessorState()
        process.cpuid = Array(repeating: .max, count: 8)
        process.xfeatures = 0x2e7
        process.cpuLevel = 4
        processor.permitted = 0x2e7
        processor.cpuid = [.max, .max, .max]
        processor.level = 2
        let v2: [UInt32] = [1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23, 1 << 8 | 1 << 15 | 1 << 19 | 0x700_0000 | 1 << 23, 0, 0, 0, 0, 1, 1 << 11 | 1 << 29]
        let old = HostFacts(cpuid: v2, xfeatures: 3, xsaveByteCount: 576, cpuLevel: 2)
        #expect(Judgement.judge(process: process, processor: processor, mappings: [], descriptors: [], host: old) == [])
        processor.level = 3
        #expect(Judgement.judge(process: process, processor: processor, mappings: [], descriptors: [], host: old).first?.why
            == "lacks fma, movbe, xsave, osxsave, avx, f16c, bmi1, avx2, bmi2, lzcnt (x86-64-v3, this is v2)")
    }

    @Test(arguments: 1...4) func `each level switches off what glibc would choose beyond it`(_ number: UInt32) throws {
        let level = try #require(ProcessorLevel(number == 1 ? "x86-64" : "x86-64-v\(number)"))
        #expect(level.number == number && ProcessorLevel(level.name) == level && ProcessorLevel("x86-64-v5") == nil)
        let all = Set(ProcessorLevel.switches.map(\.name))
        let off = Set(level.tunables.dropFirst("GLIBC_TUNABLES=glibc.cpu.hwcaps=".count).split(separator: ",").map { String($0.dropFirst()) })
        #expect(Set(level.excess(all)) == off && level.excess(all.subtracting(off)) == [])
        #expect(off.contains("AVX2") == (number < 3) && off.contains("AVX512F") == (number < 4) && off.contains("XSAVEC"))
    }

    @Test func `vector state that this host does not have is named`() {
        var process = ProcessState()
        process.xfeatures = 1 << 62
        #expect(judge(process).first?.why == "lacks state component 62")
        process.xfeatures = 0
        process.xsaveByteCount = 1 << 20
        #expect(judge(process).first?.why.hasPrefix("has 1048576 bytes") == true)
    }

    @Test(arguments: [DescriptorKind.socket, .signalfd, .inotify, .pidfd, .memfd, .other, .terminal])
    func `a descriptor of a kind that is not restored is missing`(_ kind: DescriptorKind) {
        let findings = judge(ProcessState(), [], [descriptor(kind)])
        #expect(findings.map(\.class) == [.missing])
        #expect(findings.first?.what == "descriptor 5 (/x)")
        #expect(findings.first?.remedy.contains("--allow-missing") == true)
    }

    @Test(arguments: [DescriptorKind.socket, .terminal, .pipe, .file, .other])
    func `a stream that the program was given is never missing`(_ kind: DescriptorKind) {
        #expect(judge(ProcessState(), [], [descriptor(kind, inherited: 1)]) == [])
    }

    @Test(arguments: [DescriptorKind.file, .directory, .pipe, .fifo, .eventfd, .epoll, .timerfd, .device])
    func `a descriptor of a restored kind is fine`(_ kind: DescriptorKind) { #expect(judge(ProcessState(), [], [descriptor(kind)]) == []) }

    @Test func `a deleted file is fine when its content is in the image`() {
        var file = descriptor(.file)
        file.flags = .deleted
        #expect(judge(ProcessState(), [], [file]).count == 1)
        file.flags = [.deleted, .embedded]
        #expect(judge(ProcessState(), [], [file]) == [])
    }

    @Test func `a GPU is called a GPU`() {
        #expect(judge(ProcessState(), [], [descriptor(.other, path: "/dev/nvidia0")]).first?.why == "a GPU context is not saved")
    }

    @Test(arguments: [MappingKind.sharedAnonymous, .sharedFile, .other]) func `shared and foreign memory is unsupported`(_ kind: MappingKind) {
        var mapping = Mapping()
        (mapping.start, mapping.end, mapping.kind, mapping.name) = (0x1000, 0x2000, kind, "/dev/shm/x")
        let findings = judge(ProcessState(), [mapping])
        #expect(findings.map(\.class) == [.unsupported])
        #expect(findings.first?.what == "the mapping at 0x1000 (/dev/shm/x)")
    }

    private func filters(_ count: UInt64, thread: Int32 = 0, inherited: UInt64) -> [AttributeState] {
        [(AttributeKind.seccompFilters, thread, count), (.inheritedFilters, 0, inherited), (.seccompMode, 0, 2)].map { kind, tid, value in
            var attribute = AttributeState()
            (attribute.rawKind, attribute.tid, attribute.value) = (kind.rawValue, tid, value)
            return attribute
        }
    }

    @Test func `a filter that the program was started with is nobody's, one of its own is unsupported`() {
        func judge(_ attributes: [AttributeState]) -> [Finding] {
            Judgement.judge(process: ProcessState(), mappings: [], descriptors: [], attributes: attributes, host: nil)
        }
        #expect(judge(filters(0, inherited: 0)) == [] && judge(filters(2, inherited: 2)) == [] && judge([]) == [])
        #expect(judge(filters(1, inherited: 0)).map(\.class) == [.unsupported])
        #expect(judge(filters(2, thread: 7, inherited: 1)).map(\.what) == ["the program's seccomp filters (1)"])
    }

    @Test func `a survey is read like an image, without threads' registers`() throws {
        var builder = ImageBuilder.small()
        builder.statuses = []
        builder.addDescriptor(20, CKPT_DESCRIPTOR_SOCKET, path: "socket:[1]")
        builder.leftOut = [CKPT_NOTE_RUNS.rawValue]
        let survey = try Survey.parse(builder.notes)
        #expect(survey.descriptors.count == 8 && survey.threads.count == 2)
        #expect(survey.judge(host: nil).map(\.what) == ["descriptor 20 (socket:[1])"])
    }

    @Test func `a survey that was cut off is refused`() {
        let notes = ImageBuilder.small().notes
        #expect(throws: ImageError.self) { try Survey.parse(Array(notes[..<(notes.count - 20)])) }
        #expect(throws: ImageError.self) { try Survey.parse([]) }
    }
}
