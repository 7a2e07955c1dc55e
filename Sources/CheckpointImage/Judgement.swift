// SPDX-License-Identifier: Apache-2.0

/// Something that a restart could not bring back, and what to do about it.
package struct Finding: Sendable, Equatable {
    package var `class`: ImageError.Class
    package var what: String
    package var why: String
    package var remedy: String

    package init(class: ImageError.Class, what: String, why: String, remedy: String) {
        self.class = `class`
        self.what = what
        self.why = why
        self.remedy = remedy
    }

    /// `what: why; remedy`, in one line.
    package var line: String { "\(what): \(why); \(remedy)" }
}

/// What is known of the host that is to run the program.
package struct HostFacts: Sendable, Equatable {
    /// The words of `ProcessState.cpuid`.
    package var cpuid: [UInt32]
    package var xfeatures: UInt64
    package var xsaveByteCount: UInt32
    package var cpuLevel: UInt32

    package init(cpuid: [UInt32], xfeatures: UInt64, xsaveByteCount: UInt32, cpuLevel: UInt32) {
        self.cpuid = cpuid
        self.xfeatures = xfeatures
        self.xsaveByteCount = xsaveByteCount
        self.cpuLevel = cpuLevel
    }

    /// Whether the instruction for checksums is there: without it no image can be read.
    package var canComputeCRC32C: Bool { cpuid.first.map { $0 & 1 << 20 != 0 } ?? false }
}

package enum Judgement {
    /// What a restart on this host would refuse. Empty: nothing that is known from the tables.
    package static func judge(
        process: ProcessState, mappings: [Mapping], descriptors: [DescriptorState], host: HostFacts?
    ) -> [Finding] {
        []
    }
}
