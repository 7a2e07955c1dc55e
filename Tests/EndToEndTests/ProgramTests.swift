// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

/// Programs on a bad day: the checkpoint waits, or gives up in time and says why; the program is as if nothing had been.
@Suite struct ProgramTests {
    private func expectToGoOn(_ run: Run, _ reference: Reference? = nil) throws {
        try run.explain {
            let ending = try run.release()
            let reference = try reference ?? Reference.of(run.fixture, as: .nobody)
            #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)\nexpected \(reference.ending): \(reference.facts)")
            if run.facts == reference.facts && ending == reference.ending { run.finish() }
        }
    }

    @Test(arguments: [Fixture("condition"), Fixture("SwiftTasks")])
    func `the signal twenty times in a row gives a good image`(fixture: Fixture) throws {
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            for _ in 0 ..< 20 { run.child?.signal(SIGUSR1) }
            try run.checkpoint(.save)
            try run.kill()
            try expectVerified(run)
            try run.restart()
            try run.waitUntilAlive()
        }
        try expectToGoOn(run)
    }

    @Test func `fifty threads that start and exit are all there or the checkpoint is tried again`() throws {
        let run = try Run(Fixture("unruly_threads"), as: .nobody)
        try run.explain {
            try run.start()
            for _ in 0 ..< 10 { try run.checkpoint(.save) }
            for _ in 0 ..< 3 {
                try run.kill()
                try run.restart()
                try run.waitUntilAlive()
                try run.checkpoint(.signal)
            }
        }
        let ending = try run.release()
        #expect(ending == .exited(0) && run.facts == "all have ended, many had started: 1\n", "\(run.story)")
        if ending == .exited(0) { run.finish() }
    }

    @Test(arguments: ["fork", "exec", "exit", "kill"])
    func `a program may do anything right after the signal`(kind: String) throws {
        for turn in 0 ..< 12 {
            let run = try Run(Fixture("unruly_end", kind, "\(turn * turn * 200)"), as: .nobody)
            try run.explain {
                try run.start(Workshop.shared.program("unruly_end"), run.fixture.arguments)
                let ending = try run.child?.wait()
                switch kind {
                case "fork": #expect(ending == .exited(4) && run.output == "the child ended with 11; no other child: 1\n", "\(run.story)")
                case "exec": #expect(ending == .exited(0) && run.output == "another program\n", "\(run.story)")
                case "exit": #expect(ending == .exited(3) && run.output == "", "\(run.story)")
                default: #expect(ending == .killed(by: SIGKILL) && run.output == "", "\(run.story)")
                }
                // The scribe finishes what it has begun, or leaves nothing.
                try awaitFact("the scribe is gone") { scribes(of: run).isEmpty ? true : nil }
                try expectNoLeftOvers(run)
                if run.exists("unruly_end.img") { try expectVerified(run) }
                run.finish()
            }
        }
    }

    @Test func `a thread that no signal reaches is named, and it works later`() throws {
        let run = try Run(Fixture("unruly_mask"), as: .nobody)
        try run.explain {
            try run.start()
            let refused = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(refused.ending == .exited(69) && refused.errors.contains("(stubborn)"), "\(refused)")
            #expect(refused.errors.filter { $0 == "\n" }.count == 1 && !run.exists("unruly_mask.img"), "\(refused)")
            try run.write("", to: "obey")
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            let ending = try run.release()
            #expect(ending == .exited(0) && run.facts == "the thread obeys\n", "\(run.story)")
            run.finish()
        }
    }

    @Test func `a thread in vfork is named, and it works when its child has execed`() throws {
        let run = try Run(Fixture("unruly_vfork"), as: .nobody)
        try run.explain {
            try run.start()
            let refused = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(refused.ending == .exited(69) && refused.errors.contains("(spawning)"), "\(refused)")
            try run.write("", to: "fifo")
            try awaitFact("the child is gone") { processTree(below: run.child?.id ?? 0).count == 1 ? true : nil }
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            let ending = try run.release()
            #expect(ending == .exited(0) && run.facts == "the spawn: Success, status 0\n", "\(run.story)")
            run.finish()
        }
    }

    @Test func `a program that has closed every descriptor is checkpointed and restarted`() throws {
        let run = try Run(Fixture("unruly_closed", factsFile: "facts"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.signal)
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            let ending = try run.release()
            #expect(ending == .exited(0) && run.facts == "the first descriptor is 0\n", "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: ["libjemalloc.so.2", "libmimalloc.so.2.0"], [Fixture("heap"), Fixture("thread_many"), Fixture("SwiftTasks")])
    func `a program with another malloc preloaded restarts`(library: String, fixture: Fixture) throws {
        let path = "/usr/lib/x86_64-linux-gnu/" + library
        try #require(fileExists(path), "\(path) is missing: make test installs it")
        let alone = try Run(fixture, as: .nobody), run = try Run(fixture, as: .nobody)
        alone.environment["LD_PRELOAD"] = path
        run.environment["LD_PRELOAD"] = path
        try alone.explain { try alone.start() }
        let ending = try alone.release()
        let reference = Reference(facts: alone.facts, errors: alone.errors, ending: ending)
        alone.finish()
        try run.explain {
            try run.start()
            run.environment["LD_PRELOAD"] = nil
            for _ in 0 ..< 2 {
                try run.checkpoint(.save)
                try run.kill()
                try run.restart()
                try run.waitUntilAlive()
            }
        }
        try expectToGoOn(run, reference)
    }

    @Test func `two programs restarted from one image in one directory do not meet`() throws {
        let fixture = Fixture("condition")
        let first = try Run(fixture, as: .nobody)
        try first.explain {
            try first.start()
            try first.checkpoint(.save)
            try first.kill()
            try first.restart()
            try first.waitUntilAlive()
            let second = try Run(fixture, as: .nobody, sharing: first)
            try second.restart()
            try second.waitUntilAlive()
            // The first to write owns the path; the other's image gets a name of its own, and that is said.
            let one = try first.ckpt("save", "\(first.child?.id ?? 0)"), two = try second.ckpt("save", "\(second.child?.id ?? 0)")
            #expect(one.ending == .exited(0) && one.output.hasPrefix(first.image + ": "), "\(one)")
            #expect(two.ending == .exited(0) && !two.output.hasPrefix(first.image + ": ") && two.output.contains("/condition."), "\(two)")
            let other = String(two.output.prefix { $0 != ":" })
            try first.kill()
            try second.kill()
            try first.restart()
            try first.waitUntilAlive()
            try second.restart(image: other)
            try second.waitUntilAlive()
            _ = try first.release()
            let ending = try second.release(), reference = try Reference.of(fixture, as: .nobody)
            #expect(first.facts == reference.facts && second.facts == reference.facts && ending == reference.ending, "\(first.story)\n\(second.story)")
            first.finish()
        }
    }

    @Test func `enable a second time gives new settings, and refuses a signal that the program handles`() throws {
        let run = try Run(Fixture("enable_twice"), as: .nobody)
        try run.explain {
            try run.start()
            run.child?.signal(SIGUSR2)
            try awaitFact("the second image is there") { run.exists("second.img") ? true : nil }
            #expect(!run.exists("enable_twice.img"))
            _ = try run.release()
            #expect(run.output == """
                first: USR1 1, USR2 0
                again: 0
                then: USR1 0, USR2 1
                with a signal that the program handles: the program handles the checkpoint signal itself
                still: USR1 1, USR2 1
                with a signal that nobody can handle: an argument or a CKPT_ variable is not valid
                READY
                disable: 0; USR1 1, USR2 0
                a second time: success

                """, "\(run.story)")
            run.finish()
        }
    }

    @Test func `ckpt save sends no signal to a process that is not enabled`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        let sleeper = try Child(Command(program: "sleep", arguments: ["600"], directory: run.directory, environment: ["PATH": Workshop.path]))
        let answer = try run.ckpt("save", "\(sleeper.id)")
        #expect(answer.output == "" && answer.errors.hasPrefix("ckpt: \(sleeper.id): ") && answer.errors.filter { $0 == "\n" }.count == 1, "\(answer)")
        #expect(answer.ending == (geteuid() == 0 ? .exited(77) : .exited(69)), "\(answer)")
        if geteuid() == 0 {
            let asRoot = try Run(Fixture("condition"), as: .root)
            let again = try asRoot.ckpt("save", "\(sleeper.id)")
            #expect(again.ending == .exited(69), "\(again)")
            asRoot.finish()
        }
        #expect(sleeper.poll() == nil)
        let none = try run.ckpt("save", "4194303")
        #expect(none.ending == .exited(69), "\(none)")
        run.finish()
    }

    private func expectVerified(_ run: Run) throws {
        let verified = try run.ckpt("verify", run.image)
        #expect(verified.ending == .exited(0), "\(verified)\n\(run.story)")
    }
}

/// Nothing but the image, what is kept of older ones, and what fixture and driver made.
func expectNoLeftOvers(_ run: Run, in directory: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let names = fileNames(directory ?? run.directory)
    let known = names.filter { name in
        name == "\(run.fixture.program).img" || name == "\(run.fixture.program).img.d" || name == "filler" || name == "alive" || name == "release"
            || name.hasPrefix("out.") || name.hasPrefix("err.") || name.hasPrefix("tool.")
    }
    #expect(known.count == names.count, "left over: \(names.filter { !known.contains($0) })", sourceLocation: sourceLocation)
}
