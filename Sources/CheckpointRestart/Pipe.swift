// SPDX-License-Identifier: Apache-2.0
import CheckpointImage
import SystemPackage

/// Pipes with capacity, content and both ends. An end that another process had is closed: readers see the end of the data
/// behind the content, writers EPIPE.
struct PipeMaker {
    let image: Image
    let holder: DescriptorHolder
    private var pipes: [Int: Ends] = [:]

    init(image: Image, holder: DescriptorHolder) {
        self.image = image
        self.holder = holder
    }

    private struct Ends {
        let read: Int32, write: Int32
        var isReadGiven = false, isWriteGiven = false
    }

    mutating func open(_ state: DescriptorState) throws(RestartFailure) -> Int32 {
        guard let detail = state.detail, image.pipes.indices.contains(detail) else { throw .undescribed(state) }
        var ends: Ends
        if let known = pipes[detail] { ends = known } else { ends = try make(image.pipes[detail]) }
        defer { pipes[detail] = ends }
        let mode = state.statusFlags & OpenFlag.accessMode
        let descriptor: Int32
        if mode == OpenFlag.readOnly && !ends.isReadGiven {
            ends.isReadGiven = true
            descriptor = ends.read
        } else if mode == OpenFlag.writeOnly && !ends.isWriteGiven {
            ends.isWriteGiven = true
            descriptor = ends.write
        } else {  // One more description of an end, as /proc/PID/fd gives it.
            descriptor = try holder.hold(DescriptorCalls.openAgain(ends.read, mode | OpenFlag.nonBlocking), "another end of a pipe (/proc)")
        }
        DescriptorCalls.setStatusFlags(descriptor, state.statusFlags)
        return descriptor
    }

    private func make(_ pipe: PipeState) throws(RestartFailure) -> Ends {
        let made: (read: Int32, write: Int32)
        switch DescriptorCalls.pipe() {
        case .success(let pair): made = pair
        case .failure(let error): throw DescriptorHolder.failure(-Int64(error.rawValue), "a pipe")
        }
        let ends = Ends(read: try holder.hold(Int64(made.read), "a pipe"), write: try holder.hold(Int64(made.write), "a pipe"))
        let capacity = DescriptorCalls.control(ends.write, 1032)  // F_GETPIPE_SZ
        if capacity != Int64(clamping: pipe.capacity), DescriptorCalls.control(ends.write, 1031, Int64(clamping: pipe.capacity)) < 0 {
            throw RestartFailure(
                kind: .permission, what: "a pipe of \(pipe.capacity) bytes can not be made here", remedy: "raise /proc/sys/fs/pipe-max-size")
        }
        if let blob = pipe.blob {
            let content = try BlobContent.read(image, blob)
            DescriptorCalls.setStatusFlags(ends.write, OpenFlag.nonBlocking)
            let result = DescriptorCalls.write(ends.write, content)
            if result < 0 { throw RestartFailure(kind: .damaged, what: "a pipe does not hold its content", remedy: "use an older image") }
            DescriptorCalls.setStatusFlags(ends.write, 0)
        }
        return ends
    }
}

/// Bytes of the image that are no memory.
enum BlobContent {
    static func read(_ image: Image, _ index: Int) throws(RestartFailure) -> [UInt8] {
        do throws(ImageError) { return try image.readBlob(index) } catch {
            throw RestartFailure(kind: FailureClass(rawValue: error.restartClass.rawValue) ?? .damaged, what: error.what, remedy: error.remedy)
        }
    }
}
