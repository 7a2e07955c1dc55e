// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import Foundation
import Testing

/// Images of other processors and kernels: forged, because those are not at hand.
@Suite struct ProcessorTests {
    /// What of glibc's choice goes beyond x86-64-v3 is off, and the program says so.
    private func asV3(_ run: Run) throws {
        let answer = try run.ckpt("check", "--cpu", "x86-64-v3")
        #expect(answer.ending == .exited(0) && answer.errors == "", "\(answer)")
        for pair in answer.output.split(whereSeparator: \.isWhitespace) {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            run.environment[parts[0]] = parts[1]
        }
        #expect(run.environment["CKPT_CPU"] == "x86-64-v3" && run.environment["GLIBC_TUNABLES"]?.contains("-AVX512F") == true, "\(answer)")
    }

    /// A fixture's image, changed, and a directory in which it may be restarted.
    private func forged(_ run: Run, _ change: (inout Forge) throws -> Void) throws {
        try run.start()
        try run.checkpoint(.save)
        try run.kill()
        var forge = try Forge(Array(try #require(FileManager.default.contents(atPath: run.image))))
        try change(&forge)
        try Data(forge.bytes).write(to: URL(fileURLWithPath: run.image))
        setOwner(run.image, 65534)
    }

    private func expectTheSame(_ run: Run, as flavour: Flavour.User = .nobody) throws {
        let ending = try run.release(), reference = try Reference.of(run.fixture, as: flavour)
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    private var hasAVX512: Bool { text(of: "/proc/cpuinfo").contains(" avx512f ") }

    @Test func `an image of a processor with AVX alone goes on here with all its vector registers`() throws {
        let run = try Run(Fixture("processor", "ymm"), as: .nobody)
        try run.explain {
            try asV3(run)
            try forged(run) { forge in
                // Two threads in loops and below a handler; there may be stale frames.
                let count = try forge.setLayout(.avx)
                #expect(count >= 4)
            }
            run.environment = ["PATH": Workshop.path, "FIXTURE_GIVEN": "by the driver"]
            try run.restart(["--load", "lazy"])
            try run.waitUntilAlive()
            // And once more, from frames that a restart has moved.
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test(arguments: ["ymm", "zmm"])
    func `an image of a processor with protection keys and another layout goes on here`(registers: String) throws {
        guard hasAVX512 else { return }
        let run = try Run(Fixture("processor", registers), as: .nobody)
        try run.explain {
            try forged(run) { forge in
                let count = try forge.setLayout(.keys)
                #expect(count >= 4)
            }
            try run.restart()
            try run.waitUntilAlive()
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `vector state in use that this processor lacks is refused by name, and forced it is gone`() throws {
        guard hasAVX512, !text(of: "/proc/cpuinfo").contains(" ospke ") else { return }
        let run = try Run(Fixture("processor", "ymm"), as: .nobody)
        try run.explain {
            try forged(run) { forge in _ = try forge.setLayout(.keys, keys: 0x5555_5550) }
            let answer = try run.tryRestart(run.image)
            #expect(answer.ending == .exited(125) && answer.errors.hasPrefix("ckpt-restart: \(run.image): unsupported: ") && answer.errors.contains("pkru"), "\(answer)")
            #expect(answer.errors.filter { $0 == "\n" }.count == 1, "\(answer)")
            try run.restart(["--force"])
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `missing features are named, one and all`() throws {
        let run = try Run(Fixture("processor", "ymm"), as: .nobody)
        try run.explain {
            try forged(run) { forge in try forge.demand(word: 2, bit: 26, more: 4) }  // avx512pf, avx_vnni_int8
            let answer = try run.tryRestart(run.image)
            #expect(answer.ending == .exited(125), "\(answer)")
            #expect(answer.errors.hasPrefix("ckpt-restart: \(run.image): unsupported: the processor: lacks avx512pf, avx_vnni_int8; "), "\(answer)")
            try run.restart(["--force"])
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `an image with CKPT_CPU asks for that level and not for all that its processor had`() throws {
        let run = try Run(Fixture("processor", "ymm"), as: .nobody)
        try run.explain {
            try asV3(run)
            try forged(run) { forge in try forge.demand(word: 2, bit: 26, more: 4) }
            let inspected = try run.ckpt("inspect", run.image)
            #expect(inspected.output.contains("promises x86-64-v3"), "\(inspected)")
            try run.restart()
            try run.waitUntilAlive()
            // The promise is kept by what the restarted program saves.
            try run.checkpoint(.save)
            let again = try run.ckpt("inspect", run.image)
            #expect(again.output.contains("promises x86-64-v3"), "\(again)")
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test(arguments: ["x86-64-v3", "x86-64-v2", "x86-64", "x86-64-v9"])
    func `CKPT_CPU is refused when glibc was not started so`(level: String) throws {
        let run = try Run(Fixture("processor", "ymm"), as: .nobody)
        run.environment["CKPT_CPU"] = level
        try run.explain {
            guard level != "x86-64-v9" else {
                let answer = try run.ckpt("check", "--cpu", level)
                #expect(answer.ending == .exited(64) && answer.output == "", "\(answer)")
                try run.start(Workshop.shared.program("processor"), ["ymm"])
                #expect(try run.child?.wait() == .exited(97) && run.output.contains("not valid"), "\(run.story)")
                run.finish()
                return
            }
            guard hasAVX512 || level != "x86-64-v3" else { return }
            try run.start(Workshop.shared.program("processor"), ["ymm"])
            #expect(try run.child?.wait() == .exited(97) && run.output.contains("not valid"), "\(run.story)")
            // As ckpt check says it is taken.
            let answer = try run.ckpt("check", "--cpu", level)
            let pair = try #require(answer.output.split(separator: " ").first)
            run.environment["GLIBC_TUNABLES"] = String(pair.dropFirst("GLIBC_TUNABLES=".count))
            try run.start(Workshop.shared.program("heap"), [])
            try run.waitUntilAlive()
            #expect(try run.release() == .exited(0), "\(run.story)")
            run.finish()
        }
    }
}

/// Another kernel, another vdso, more levels of page tables.
@Suite struct KernelTests {
    static let fixtures = [Fixture("vdso"), Fixture("mapping_droppable"), Fixture("timed_wait", needsItsIds: true), Fixture("SwiftTasks", needsItsIds: true)]

    private func otherRelease(_ text: inout [UInt8]) { text[0] = text[0] == UInt8(ascii: "5") ? UInt8(ascii: "6") : UInt8(ascii: "5") }

    private func forged(_ run: Run, _ change: (inout Forge) throws -> Void) throws {
        try run.checkpoint(.save)
        try run.kill()
        var forge = try Forge(Array(try #require(FileManager.default.contents(atPath: run.image))))
        try change(&forge)
        try Data(forge.bytes).write(to: URL(fileURLWithPath: run.image))
        setOwner(run.image, 65534)
    }

    private func expectTheSame(_ run: Run) throws {
        let ending = try run.release(), reference = try Reference.of(run.fixture, as: .nobody)
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    @Test(arguments: fixtures) func `an image of another kernel release with the same vdso goes on`(fixture: Fixture) throws {
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            try forged(run) { try $0.setKernelRelease(otherRelease) }
            try run.restart()
            try run.waitUntilAlive()
            #expect(text(of: run.path("err.2")).isEmpty, "\(run.story)")
            try expectTheSame(run)
        }
    }

    /// Twice: the second time the program's vdso is where the first restart has left that of this host.
    @Test(arguments: fixtures) func `a program keeps its own vdso where the host has another one, and it leads to the host's`(fixture: Fixture) throws {
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            for _ in 1 ... 2 {
                try forged(run) { forge in
                    try forge.setKernelRelease(otherRelease)
                    try forge.changeVdso()
                }
                try run.restart()
                try run.waitUntilAlive()
            }
            // And then on this kernel.
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `a vdso that is not understood is refused`() throws {
        let run = try Run(Fixture("vdso"), as: .nobody)
        try run.explain {
            try run.start()
            try forged(run) { forge in
                try forge.setKernelRelease(otherRelease)
                try forge.changeVdso(at: 1)  // of the ELF magic
            }
            let answer = try run.tryRestart(run.image)
            #expect(answer.ending == .exited(125) && answer.errors.hasPrefix("ckpt-restart: \(run.image): unsupported: the vdso "), "\(answer)")
            #expect(answer.errors.filter { $0 == "\n" }.count == 1, "\(answer)")
            run.finish()
        }
    }

    @Test func `memory above the addresses of four levels of page tables is refused as unsupported`() throws {
        let specimen = try Specimen.shared.get()
        var forge = try Forge(specimen.bytes)
        try forge.changeMapping(CKPT_MAPPING_STACK) { start, _ in (start, 0x80_0000_0000_0000) }
        let image = try specimen.write(forge.bytes, as: "levels.img")
        try specimen.expectRefusal(image, "unsupported", "five levels")
    }
}
