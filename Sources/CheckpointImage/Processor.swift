// SPDX-License-Identifier: Apache-2.0

/// The names of what a processor can do, for the words of `ProcessState.cpuid`. Only what a program can feel: an
/// instruction that it may have chosen because the processor offered it.
package enum Processor {
    static let features: [(word: Int, bit: UInt32, name: String)] = [
        (0, 0, "sse3"), (0, 1, "pclmulqdq"), (0, 9, "ssse3"), (0, 12, "fma"), (0, 13, "cx16"), (0, 19, "sse4_1"), (0, 20, "sse4_2"),
        (0, 22, "movbe"), (0, 23, "popcnt"), (0, 25, "aes"), (0, 26, "xsave"), (0, 27, "osxsave"), (0, 28, "avx"), (0, 29, "f16c"),
        (0, 30, "rdrand"),
        (1, 8, "cx8"), (1, 15, "cmov"), (1, 19, "clflush"), (1, 23, "mmx"), (1, 24, "fxsr"), (1, 25, "sse"), (1, 26, "sse2"),
        (2, 0, "fsgsbase"), (2, 3, "bmi1"), (2, 5, "avx2"), (2, 8, "bmi2"), (2, 11, "rtm"), (2, 16, "avx512f"), (2, 17, "avx512dq"),
        (2, 18, "rdseed"), (2, 19, "adx"), (2, 21, "avx512ifma"), (2, 23, "clflushopt"), (2, 24, "clwb"), (2, 26, "avx512pf"),
        (2, 27, "avx512er"), (2, 28, "avx512cd"), (2, 29, "sha_ni"), (2, 30, "avx512bw"), (2, 31, "avx512vl"),
        (3, 1, "avx512vbmi"), (3, 4, "ospke"), (3, 5, "waitpkg"), (3, 6, "avx512_vbmi2"), (3, 8, "gfni"), (3, 9, "vaes"),
        (3, 10, "vpclmulqdq"), (3, 11, "avx512_vnni"), (3, 12, "avx512_bitalg"), (3, 14, "avx512_vpopcntdq"), (3, 22, "rdpid"),
        (3, 25, "cldemote"), (3, 27, "movdiri"), (3, 28, "movdir64b"), (3, 29, "enqcmd"),
        (4, 2, "avx512_4vnniw"), (4, 3, "avx512_4fmaps"), (4, 5, "uintr"), (4, 8, "avx512_vp2intersect"), (4, 14, "serialize"),
        (4, 16, "tsxldtrk"), (4, 22, "amx_bf16"), (4, 23, "avx512_fp16"), (4, 24, "amx_tile"), (4, 25, "amx_int8"),
        (5, 0, "sha512"), (5, 1, "sm3"), (5, 2, "sm4"), (5, 4, "avx_vnni"), (5, 5, "avx512_bf16"), (5, 7, "cmpccxadd"),
        (5, 21, "amx_fp16"), (5, 23, "avx_ifma"),
        (6, 0, "lahf_lm"), (6, 5, "lzcnt"), (6, 6, "sse4a"), (6, 8, "prefetchw"), (6, 11, "xop"), (6, 16, "fma4"), (6, 21, "tbm"),
        (7, 11, "syscall"), (7, 22, "mmxext"), (7, 27, "rdtscp"), (7, 29, "lm"), (7, 30, "3dnowext"), (7, 31, "3dnow"),
        // Those of ProcessorState.
        (8, 0, "xsaveopt"), (8, 1, "xsavec"), (8, 2, "xgetbv1"),
        (9, 4, "avx_vnni_int8"), (9, 5, "avx_ne_convert"), (9, 8, "amx_complex"), (9, 10, "avx_vnni_int16"), (9, 19, "avx10"), (9, 21, "apx_f"),
        (10, 0, "clzero"), (10, 9, "wbnoinvd"),
    ]

    /// What x86-64-v1 to v4 add to one another (the psABI's table), and what the kernel must save for it.
    private static let levels: [(features: Set<String>, states: UInt64)] = [
        (["cx8", "cmov", "clflush", "mmx", "fxsr", "sse", "sse2", "syscall", "lm"], 0x3),
        (["sse3", "ssse3", "cx16", "sse4_1", "sse4_2", "popcnt", "lahf_lm"], 0x3),
        (["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave", "osxsave"], 0x7),
        (["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"], 0xe7),
    ]

    /// State components without which the processor does not execute a feature's instructions, whatever CPUID says.
    private static func states(of name: String) -> UInt64 {
        if name.hasPrefix("avx512") { return 0xe6 }
        if name.hasPrefix("amx") { return 0x6_0000 }
        if name.hasPrefix("apx") { return 0x8_0000 }
        let onVectors: Set = ["f16c", "fma", "vaes", "vpclmulqdq", "xop", "fma4", "sha512", "sm3", "sm4"]
        return name.hasPrefix("avx") || onVectors.contains(name) ? 0x6 : 0
    }

    /// All eleven words, without what the operating system does not enable.
    private static func usable(_ words: [UInt32], _ more: [UInt32], states: UInt64) -> [UInt32] {
        var usable = (words + Array(repeating: 0, count: 8)).prefix(8) + more
        for feature in features where feature.word < usable.count {
            if Processor.states(of: feature.name) & ~states != 0 { usable[feature.word] &= ~(1 << feature.bit) }
        }
        return Array(usable)
    }

    /// What the program may have chosen: all that its processor and kernel offered, or what it promised to use (CKPT_CPU).
    static func wanted(_ process: ProcessState, _ processor: ProcessorState?) -> [UInt32] {
        var words = usable(process.cpuid, processor?.cpuid ?? [0, 0, 0], states: process.xfeatures & (processor?.permitted ?? .max))
        guard let processor, processor.level > 0 else { return words }
        let promised = levels.prefix(Int(processor.level)).reduce(into: Set<String>()) { $0.formUnion($1.features) }
        for feature in features where !promised.contains(feature.name) { words[feature.word] &= ~(1 << feature.bit) }
        return words
    }

    static func offered(_ host: HostFacts) -> [UInt32] { usable(host.cpuid, host.moreCpuid, states: host.xfeatures) }

    /// State that the program may use. Bounds registers and protection keys are found in use or not, in the frames.
    static func wantedStates(_ process: ProcessState, _ processor: ProcessorState?) -> UInt64 {
        guard let processor else { return process.xfeatures }
        let promised = processor.level > 0 ? levels[Int(min(processor.level, 4)) - 1].states : UInt64.max
        return process.xfeatures & processor.permitted & promised & ~0x218
    }

    /// A component's name for messages.
    package static func stateName(_ bit: Int) -> String { states.first { $0.bit == UInt64(bit) }?.name ?? "state component \(bit)" }

    /// State components of XCR0, which the kernel must save and restore.
    static let states: [(bit: UInt64, name: String)] = [
        (0, "x87"), (1, "sse"), (2, "avx"), (3, "mpx_bndregs"), (4, "mpx_bndcsr"), (5, "avx512_opmask"), (6, "avx512_zmm_hi256"),
        (7, "avx512_hi16_zmm"), (9, "pkru"), (17, "amx_tilecfg"), (18, "amx_tiledata"), (19, "apx"),
    ]

    /// Features that `wanted` has and `host` lacks.
    static func missing(_ wanted: [UInt32], on host: [UInt32]) -> [String] {
        features.compactMap { feature in
            guard feature.word < wanted.count, feature.word < host.count else { return nil }
            return wanted[feature.word] & ~host[feature.word] & 1 << feature.bit != 0 ? feature.name : nil
        }
    }

    static func missingStates(_ wanted: UInt64, on host: UInt64) -> [String] {
        let gone = wanted & ~host
        return (0..<64).filter { gone & 1 << $0 != 0 }.map { bit in
            stateName(Int(bit))
        }
    }

    /// Names of the features in these words, for `ckpt inspect` and `ckpt check`.
    static func names(_ words: [UInt32]) -> [String] { missing(words, on: Array(repeating: 0, count: 8)) }
}
