// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CCheckpointABI
import CCheckpointProcess
import CheckpointCompression
import CheckpointImage
import SystemPackage

/// Started by the scribe of a program: receives an image as a stream (ckpt/sink.h) and writes it compressed.
struct Sink: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes the compressed image of a program that is being checkpointed; the program's scribe starts it.",
        shouldDisplay: false)

    @Option(help: "none, lz4 or zstd[:LEVEL].")
    var compress: String

    func run() throws {
        guard let codec = Codec(parsing: compress) else {
            throw ValidationError("--compress \(compress.inOneLine): none, lz4 or zstd[:LEVEL] with a level of \(Codec.zstdLevels)")
        }
        let threads = Int(ckpt_process_make_humble())
        var answer = ckpt_sink_answer()
        answer.magic = CKPT_SINK_ANSWER
        do throws(CompressionFailure) {
            let output = CompressedOutput(descriptor: CKPT_SINK_OUTPUT, codec: codec)
            let (stream, chunks, end) = try output.write(SinkStream(descriptor: CKPT_SINK_SOCKET), threads: threads)
            answer.file_byte_count = try output.finish(stream.imageTail, chunks: chunks, end: end)
            answer.stored_byte_count = end - Image.pageSize
        } catch {
            // The scribe has gone: nobody is left to be told.
            if error == .closed { throw ExitCode(1) }
            answer.error = -error.errno.rawValue
        }
        SinkStream.send(answer, to: CKPT_SINK_SOCKET)
        if answer.error != 0 { throw ExitCode(1) }
    }
}

extension CompressionFailure {
    fileprivate var errno: Errno {
        switch self {
        case .input, .image: .invalidArgument
        case .read(let errno), .write(let errno): errno
        case .closed: .brokenPipe
        }
    }
}
