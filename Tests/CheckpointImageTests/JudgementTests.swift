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
        let old = HostFacts(cpuid: Array(repeating: 0, count: 8), xfeatures: 3, xsaveByteCount: 576, cpuLevel: 2)
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
