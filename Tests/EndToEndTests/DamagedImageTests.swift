// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Images on a bad day: one line, the right class, status 125; never a crash or another program.
@Suite(.serialized) struct DamagedImageTests {
    let specimen: Specimen
    init() throws { specimen = try Specimen.shared.get() }

    @Test func `the image as it is restarts`() throws {
        let image = try specimen.write(specimen.bytes, as: "whole.img")
        let answer = try specimen.restart(image)
        #expect(answer.ending == specimen.reference.ending && answer.output == specimen.reference.facts, "\(answer)")
        let verified = try specimen.ckpt("verify", image)
        #expect(verified.ending == .exited(0) && verified.errors == "", "\(verified)")
    }

    @Test func `an image truncated at any place is refused as damaged`() throws {
        var random = SplitMix(seed: UInt64.random(in: 0 ... .max))
        let seed = random.state
        for turn in 0 ..< 20 {
            let byteCount = turn == 0 ? specimen.bytes.count - 1 : turn == 1 ? 63 : Int(random.next(below: UInt64(specimen.bytes.count)))
            let image = try specimen.write(Array(specimen.bytes.prefix(byteCount)), as: "short.img")
            try specimen.expectRefusal(image, "damaged", "cut to \(byteCount) bytes (seed \(seed))")
        }
    }

    @Test func `an image with a flipped bit is refused as damaged, or it was a bit that nothing reads`() throws {
        var random = SplitMix(seed: UInt64.random(in: 0 ... .max))
        let seed = random.state
        let tables = try Forge(specimen.bytes).tables
        var refused = 0
        for turn in 0 ..< 200 {
            // A quarter of them in the tables, some in the headers, the rest anywhere.
            let offset = switch turn % 8 {
            case 0: Int(random.next(below: 64))
            case 1, 2: tables.lowerBound + Int(random.next(below: UInt64(tables.count)))
            default: Int(random.next(below: UInt64(specimen.bytes.count)))
            }
            var bytes = specimen.bytes
            bytes[offset] ^= 1 << UInt8(random.next(below: 8))
            let what = "byte \(offset) of \(bytes.count) (seed \(seed), turn \(turn))"
            let image = try specimen.write(bytes, as: "flipped.img")
            let answer = try specimen.restart(image)
            if answer.ending == .exited(125) {
                refused += 1
                #expect(specimen.isOneLine(answer.errors, image, "damaged") && answer.output == "", "\(what): \(answer)")
                if turn < 24 {
                    let verified = try specimen.ckpt("verify", image)
                    #expect(verified.ending == .exited(65) && verified.errors.hasPrefix("ckpt: \(image): damaged: "), "\(what): \(verified)")
                }
            } else {
                #expect(offset >= 64 && !tables.contains(offset), "accepted with a change in the tables: \(what)")
                #expect(answer.ending == specimen.reference.ending && answer.output == specimen.reference.facts && answer.errors == "", "\(what): \(answer)")
            }
        }
        #expect(refused >= 100, "only \(refused) of 200 were found (seed \(seed))")
    }

    @Test func `what is no image at all is refused in one line`() throws {
        try specimen.expectRefusal(specimen.write([], as: "empty.img"), "damaged", "empty")
        try specimen.expectRefusal(specimen.write(Array("#!/bin/sh\necho no image\n".utf8), as: "text.img"), "damaged", "text")
        let directory = specimen.directory + "/directory.img", fifo = specimen.directory + "/fifo.img", none = specimen.directory + "/none.img"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        makeFifo(fifo)
        try specimen.expectRefusal(directory, "damaged", "directory")
        try specimen.expectRefusal(fifo, "damaged", "FIFO")
        try specimen.expectRefusal(none, "missing", "no file")
        try specimen.expectRefusal(Workshop.shared.program("stack"), "damaged", "an executable")
    }

    @Test func `another program's core file is refused`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        try run.explain {
            try run.start()
            guard let child = run.child else { return }
            let cored = try run.tool("gcore", ["-o", run.path("core"), "\(child.id)"])
            #expect(cored.ending == .exited(0), "\(cored)")
            let answer = try run.tryRestart(run.path("core.\(child.id)"))
            #expect(answer.ending == .exited(125) && specimen.isOneLine(answer.errors, run.path("core.\(child.id)"), "damaged"), "\(answer)")
            run.finish()
        }
    }

    @Test func `an image of a future version is refused as unsupported`() throws {
        var forge = try Forge(specimen.bytes)
        forge.setMajor(9)
        let image = try specimen.write(forge.bytes, as: "future.img")
        try specimen.expectRefusal(image, "unsupported", "version 9")
        let inspected = try specimen.ckpt("inspect", image)
        #expect(inspected.ending == .exited(69) && inspected.errors.hasPrefix("ckpt: \(image): unsupported: "), "\(inspected)")
    }

    @Test func `an image that needs a processor feature that is not here is refused as unsupported`() throws {
        var forge = try Forge(specimen.bytes)
        try forge.demandAllProcessorFeatures()
        let image = try specimen.write(forge.bytes, as: "processor.img")
        try specimen.expectRefusal(image, "unsupported", "all features")
        // The user may know better.
        let forced = try specimen.restart(image, ["--force"])
        #expect(forced.ending == specimen.reference.ending && forced.output == specimen.reference.facts, "\(forced)")
    }

    @Test func `an image that may not be read is refused as permission`() throws {
        let image = try specimen.write(specimen.bytes, as: "secret.img")
        setMode(image, 0)
        try specimen.expectRefusal(image, "permission", "mode 0")
    }

    @Test func `an image is for its owner alone`() throws {
        let mode = fileStatus(specimen.directory + "/stack.img").map { $0.st_mode & 0o777 }
        #expect(mode == 0o600)
    }
}

/// A small generator with a seed that a failure can name.
struct SplitMix {
    private(set) var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
    mutating func next(below bound: UInt64) -> UInt64 { next() % bound }
}
