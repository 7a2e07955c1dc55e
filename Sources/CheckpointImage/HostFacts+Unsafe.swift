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
        var more: [UInt32] = [0, 0, 0]
        // Safety: the C function writes exactly three words.
        unsafe more.withUnsafeMutableBufferPointer { unsafe ckpt_cpu_more_words($0.baseAddress!) }
        let components = (0..<UInt32(CKPT_COMPONENT_COUNT)).map { number in
            var component = ProcessorState.Component()
            // Safety: the C function writes the two words that it is given.
            if xfeatures & 1 << number != 0 { unsafe ckpt_cpu_component(number, &component.offset, &component.byteCount) }
            return component
        }
        return HostFacts(
            cpuid: words, xfeatures: xfeatures, xsaveByteCount: ckpt_cpu_xsave_byte_count(), cpuLevel: level, moreCpuid: more,
            components: components)
    }
}
