// SPDX-License-Identifier: Apache-2.0

/// Capabilities of this process, as /proc shows them and capset takes them.
enum Capability {
    static let checkpointRestore = 40
    /// For capset: header (version 3, this thread) and two sets without any capability.
    static let header: [UInt8] = [0x22, 0x05, 0x08, 0x20, 0, 0, 0, 0]
    static let nothing = [UInt8](repeating: 0, count: 24)

    /// In a user namespace of our own the process has every capability. Here it loses all but the one that making
    /// threads with given ids takes; that one each thread gives back itself, at the end (`EnteredIdentity.dropCapabilities`).
    static func keepOnlyCheckpointRestore() {
        for capability in 0..<64 { _ = ProcessCalls.perform(157, 24, Int64(capability)) }  // PR_CAPBSET_DROP
        _ = ProcessCalls.perform(157, 47, 4)  // PR_CAP_AMBIENT, CLEAR_ALL
        set(permitted: 1 << UInt64(checkpointRestore))
    }

    private static func set(permitted: UInt64) {
        var sets: [UInt8] = []
        for half in 0..<2 {
            let word = Int32(truncatingIfNeeded: permitted >> UInt64(32 * half))
            ProcessCalls.append(word, to: &sets)  // effective
            ProcessCalls.append(word, to: &sets)  // permitted
            ProcessCalls.append(0, to: &sets)  // inheritable
        }
        _ = ProcessCalls.setCapabilities(header: header, sets: sets)
    }

    /// Whether this process owes capabilities to the file of `ckpt-restart`: the program never had those.
    static var comeFromFile: Bool {
        guard ProcessCalls.perform(107) != 0, let status = SmallFile.read("/proc/self/status").map(KeyedLines.init),
            let permitted = status.hexadecimal(of: "CapPrm"), let ambient = status.hexadecimal(of: "CapAmb")
        else { return false }
        return permitted & ~ambient != 0
    }
}
