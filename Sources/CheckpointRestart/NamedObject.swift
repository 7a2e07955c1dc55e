// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

/// What is opened by its path and has no content of its own to check: directories, FIFOs, devices.
enum NamedObject {
    static func openDirectory(_ state: DescriptorState, _ path: [UInt8], _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        let what = "the directory \(String(decoding: path, as: UTF8.self))"
        let flags = state.statusFlags & ~OpenFlag.making | OpenFlag.directory
        let descriptor = try holder.hold(DescriptorCalls.open(path, flags), what)
        if state.statusFlags & OpenFlag.path == 0 && state.position != 0 { _ = DescriptorCalls.seek(descriptor, to: state.position) }
        return descriptor
    }

    /// Kernel: opening one end waits for the other; opening both never does (man 7 fifo).
    static func openFifo(_ state: DescriptorState, _ path: [UInt8], _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        let what = "the FIFO \(String(decoding: path, as: UTF8.self))"
        let both = DescriptorCalls.open(path, OpenFlag.readWrite | OpenFlag.nonBlocking)
        defer { if both >= 0 { DescriptorCalls.close(Int32(both)) } }
        let flags = state.statusFlags & ~OpenFlag.making
        let descriptor = try holder.hold(DescriptorCalls.open(path, flags | OpenFlag.nonBlocking), what)
        guard FileStatus(descriptor)?.isA(.fifo) == true else {
            throw RestartFailure(kind: .changed, what: "\(what) is no FIFO any more", remedy: "bring it back, or name its new place with --map-path")
        }
        DescriptorCalls.setStatusFlags(descriptor, flags)
        return descriptor
    }

    static func openDevice(_ state: DescriptorState, _ path: [UInt8], _ holder: DescriptorHolder) throws(RestartFailure) -> Int32 {
        let what = "the device \(String(decoding: path, as: UTF8.self))"
        let flags = state.statusFlags & ~OpenFlag.making | OpenFlag.noTerminal
        let descriptor = try holder.hold(DescriptorCalls.open(path, flags), what)
        guard let status = FileStatus(descriptor), status.isA(.device), status.rdev == state.rdev else {
            throw RestartFailure(kind: .changed, what: "\(what) is another one now", remedy: "bring it back, or name its new place with --map-path")
        }
        return descriptor
    }
}
