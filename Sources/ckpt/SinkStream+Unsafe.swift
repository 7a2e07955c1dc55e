// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointCompression
import CheckpointImage
import SystemPackage

/// The frames of ckpt/sink.h: pages become chunks, tail and header are kept.
struct SinkStream: ChunkSource {
    private let descriptor: FileDescriptor
    /// A frame whose payload has not been read: it is the next chunk's.
    private var waiting: ckpt_sink_frame?
    private var tail: [UInt8] = []
    private var tailOffset: UInt64 = 0
    private var header: [UInt8] = []

    init(descriptor: Int32) { self.descriptor = FileDescriptor(rawValue: descriptor) }

    var imageTail: ImageTail { ImageTail(header: header, tail: tail, offset: tailOffset) }

    /// Frames that follow one another become one chunk, but no frame is cut: so a page run lies in few chunks.
    mutating func next(into buffer: inout [UInt8]) throws(CompressionFailure) -> (imageOffset: UInt64, byteCount: Int)? {
        var imageOffset: UInt64 = 0
        var byteCount = 0
        while true {
            let frame: ckpt_sink_frame
            if let waiting { frame = waiting } else { frame = try readFrame() }
            waiting = nil
            switch ckpt_sink_frame_kind(frame.kind) {
            case CKPT_SINK_PAGES:
                let length = Int(frame.byte_count)
                if byteCount > 0 {
                    let end = imageOffset + UInt64(byteCount)
                    guard frame.offset >= end, frame.offset - end <= CompressedOutput.gapMax,
                        byteCount + Int(frame.offset - end) + length <= buffer.count
                    else {
                        waiting = frame
                        return (imageOffset, byteCount)
                    }
                    for index in byteCount..<byteCount + Int(frame.offset - end) { buffer[index] = 0 }
                    byteCount += Int(frame.offset - end)
                } else {
                    imageOffset = frame.offset
                }
                try fill(&buffer, byteCount..<byteCount + length)
                byteCount += length
            case CKPT_SINK_TAIL:
                if tail.isEmpty { tailOffset = frame.offset }
                guard frame.offset == tailOffset + UInt64(tail.count) else { throw .input("a tail with gaps") }
                tail += try payload(frame)
            case CKPT_SINK_HEADER:
                header = try payload(frame)
            default:
                // END, for this call and any that comes after it.
                waiting = frame
                return byteCount > 0 ? (imageOffset, byteCount) : nil
            }
        }
    }

    private func readFrame() throws(CompressionFailure) -> ckpt_sink_frame {
        var head = [UInt8](repeating: 0, count: MemoryLayout<ckpt_sink_frame>.size)
        try fill(&head, 0..<head.count)
        let frame = ckpt_sink_frame(kind: head.span.uint32(at: 0), byte_count: head.span.uint32(at: 4), offset: head.span.uint64(at: 8))
        guard frame.byte_count <= CKPT_SINK_FRAME_BYTES_MAX, frame.byte_count % 4096 == 0, frame.offset % 4096 == 0, frame.offset <= 1 << 61 else {
            throw .input("a frame of \(frame.byte_count) bytes at \(frame.offset)")
        }
        switch ckpt_sink_frame_kind(frame.kind) {
        case CKPT_SINK_PAGES, CKPT_SINK_TAIL, CKPT_SINK_HEADER: guard frame.byte_count > 0 else { throw .input("an empty frame") }
        case CKPT_SINK_END: guard frame.byte_count == 0 else { throw .input("an end with bytes") }
        default: throw .input("a frame of kind \(frame.kind)")
        }
        return frame
    }

    private func payload(_ frame: ckpt_sink_frame) throws(CompressionFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(frame.byte_count))
        try fill(&bytes, 0..<bytes.count)
        return bytes
    }

    private func fill(_ buffer: inout [UInt8], _ range: Range<Int>) throws(CompressionFailure) {
        var done = range.lowerBound
        while done < range.upperBound {
            let got: Int
            do {
                // Safety: the range is inside the buffer, which nobody else touches during the call.
                got = try unsafe buffer.withUnsafeMutableBytes { raw in
                    try unsafe descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: raw[done..<range.upperBound]))
                }
            } catch let errno as Errno {
                throw errno == .connectionReset ? .closed : .read(errno)
            } catch {
                throw .read(.ioError)
            }
            if got == 0 { throw .closed }
            done += got
        }
    }

    static func send(_ answer: ckpt_sink_answer, to descriptor: Int32) {
        // Safety: the struct has no padding and is held for the call.
        unsafe withUnsafeBytes(of: answer) { bytes in _ = try? unsafe FileDescriptor(rawValue: descriptor).writeAll(bytes) }
    }
}
