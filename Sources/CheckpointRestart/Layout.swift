// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// Where the kernel believes code, data, heap, stack, arguments and environment to be (prctl PR_SET_MM_MAP).
enum Layout {
    private static let setMM: UInt64 = 35, map: UInt64 = 14, mapSize: UInt64 = 15

    static func operation(image: Image, block: inout RestartBlock) throws(RestartFailure) -> Operation {
        let process = image.process
        try check(process, auxiliaryByteCount: image.auxiliaryVector.count)
        var bytes: [UInt8] = []
        for address in [
            process.startCode, process.endCode, process.startData, process.endData, process.startBrk, process.brk, process.startStack,
            process.argStart, process.argEnd, process.envStart, process.envEnd,
        ] { bytes.append(integer: address) }
        bytes.append(integer: block.place(image.auxiliaryVector))
        bytes.append(integer: UInt32(image.auxiliaryVector.count))
        bytes.append(integer: UInt32.max)  // exe_fd -1: the link of the executable stays
        let size = UInt64(bytes.count)
        return Operation(CKPT_RESTART_STEP_LAYOUT, .prctl, [setMM, map, block.place(bytes), size])
    }

    /// What the kernel would refuse behind the point of no return: prctl_set_mm in kernel/sys.c.
    private static func check(_ process: ProcessState, auxiliaryByteCount: Int) throws(RestartFailure) {
        do throws(Errno) {
            var size = [UInt8](repeating: 0, count: 8)
            _ = try Kernel.withBytes(&size) { address throws(Errno) in try Kernel.call(.prctl, setMM, mapSize, address) }
        } catch {
            throw RestartFailure(kind: .unsupported, what: "this kernel can not set the layout of memory (CONFIG_CHECKPOINT_RESTORE)",
                remedy: "use a kernel that has it; see ckpt check")
        }
        let isOrdered = process.startCode < process.endCode && process.startData <= process.endData
            && process.startBrk <= process.brk && process.argStart <= process.argEnd && process.envStart <= process.envEnd
        let addresses = [
            process.startCode, process.endCode, process.startData, process.endData, process.startBrk, process.brk, process.startStack,
            process.argStart, process.argEnd, process.envStart, process.envEnd,
        ]
        guard isOrdered, addresses.allSatisfy({ $0 >= 65536 && $0 < Memory.end }) else {
            throw RestartFailure(kind: .damaged, what: "the layout of memory contradicts itself", remedy: "use an older image")
        }
        // Kernel: AT_VECTOR_SIZE words, 52 in older kernels; a vector that another kernel made may be longer than this one's.
        let own = Kernel.file("/proc/self/auxv")?.count ?? 0
        if auxiliaryByteCount > max(416, own) {
            throw RestartFailure(kind: .unsupported, what: "this kernel keeps no auxiliary vector of \(auxiliaryByteCount) bytes",
                remedy: "restart on a kernel as new as the one then")
        }
        let dataLimit = limit(2)
        if process.brk - process.startBrk + process.endData - process.startData > dataLimit {
            throw RestartFailure(kind: .permission, what: "the program's data is larger than the limit of \(dataLimit) bytes",
                remedy: "raise it: ulimit -d")
        }
    }

    /// The soft limit of this resource.
    private static func limit(_ resource: UInt64) -> UInt64 {
        var bytes = [UInt8](repeating: 0xff, count: 16)
        _ = try? Kernel.withBytes(&bytes) { address throws(Errno) in try Kernel.call(.prlimit, 0, resource, 0, address) }
        var reader = ByteReader(bytes)
        return reader.next()
    }
}
