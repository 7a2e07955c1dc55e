// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI

extension HostFacts {
    /// The processor that this runs on; no system call.
    package static func current() -> HostFacts {
        var words: [UInt32] = Array(repeating: 0, count: 8)
        // Safety: the C function writes exactly eight words, which the array has.
        unsafe words.withUnsafeMutableBufferPointer { unsafe ckpt_cpu_words($0.baseAddress!) }
        let xfeatures = ckpt_cpu_xfeatures()
        // Safety: the C function reads eight words.
        let level = unsafe words.withUnsafeBufferPointer { unsafe ckpt_cpu_level($0.baseAddress!, xfeatures) }
        return HostFacts(cpuid: words, xfeatures: xfeatures, xsaveByteCount: ckpt_cpu_xsave_byte_count(), cpuLevel: level)
    }
}
