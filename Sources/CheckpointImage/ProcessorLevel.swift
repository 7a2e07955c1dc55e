// SPDX-License-Identifier: Apache-2.0

/// x86-64-v1 to v4 of the psABI, as `CKPT_CPU` names them: what a program promises to use at most.
package struct ProcessorLevel: Sendable, Equatable {
    /// 1 to 4.
    package let number: UInt32

    package init?(_ text: String) {
        switch text.lowercased() {
        case "x86-64", "x86-64-v1": number = 1
        case "x86-64-v2": number = 2
        case "x86-64-v3": number = 3
        case "x86-64-v4": number = 4
        default: return nil
        }
    }

    package var name: String { number == 1 ? "x86-64" : "x86-64-v\(number)" }

    /// What glibc chooses code by and its tunable switches off, as the tunable names it (glibc 2.33 to 2.41:
    /// sysdeps/x86/cpu-tunables.c), with the level that has it; 5: none.
    package static let switches: [(name: String, level: UInt32)] = [
        ("SSSE3", 2), ("SSE4_1", 2), ("SSE4_2", 2), ("POPCNT", 2),
        ("AVX", 3), ("AVX2", 3), ("BMI1", 3), ("BMI2", 3), ("FMA", 3), ("LZCNT", 3), ("MOVBE", 3), ("XSAVE", 3), ("OSXSAVE", 3), (preference, 3),
        ("AVX512F", 4), ("AVX512BW", 4), ("AVX512CD", 4), ("AVX512DQ", 4), ("AVX512VL", 4),
        ("AVX512ER", 5), ("AVX512PF", 5), ("FMA4", 5), ("RTM", 5), ("XSAVEC", 5),
    ]

    /// No feature, but what glibc has drawn from AVX2 before the tunable takes that away: with it memcpy still uses AVX.
    package static let preference = "AVX_Fast_Unaligned_Load"

    /// What makes glibc choose nothing beyond this level, for the environment of a program that is to be started. A name that a
    /// glibc does not know is ignored.
    package var tunables: String {
        "GLIBC_TUNABLES=glibc.cpu.hwcaps=" + ProcessorLevel.switches.filter { $0.level > number }.map { "-" + $0.name }.joined(separator: ",")
    }

    /// What glibc may have chosen by beyond this level, of the names that are active; empty: nothing.
    package func excess(_ active: Set<String>) -> [String] {
        ProcessorLevel.switches.filter { $0.level > number && active.contains($0.name) }.map(\.name)
    }
}
