// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

/// What the library does in a program of its own: the order of hooks, events and errors.
@Suite struct LibraryTests {
    private func output(_ arguments: String...) throws -> String {
        let run = try Run(Fixture("SwiftCheckpoint"), as: .nobody)
        return try run.explain {
            try run.start(Workshop.shared.program("SwiftCheckpoint"), arguments)
            let ending = try run.child?.wait()
            #expect(ending == .exited(0) && run.errors == "", "\(run.story)")
            if ending == .exited(0) { run.finish() }
            return run.output
        }
    }

    @Test func `hooks, deferring, now and events come in order`() throws {
        let lines = try output("order").split(separator: "\n").map(String.init)
        // Events come from another task: their order among themselves is told, not among the others.
        #expect(lines.filter { $0.hasPrefix("event: ") } == [
            "event: saved number 1, with sizes", "event: cancelled: a hook cancelled: the refusing one: Refusal()", "event: saved number 2, with sizes",
        ], "\(lines)")
        #expect(lines.filter { !$0.hasPrefix("event: ") } == [
            "before enable: checkpoints are not enabled in this process",
            "before two: now is not possible inside a hook", "before one", "after one: captured", "after two: captured", "now: saved number 1",
            "before two: now is not possible inside a hook", "before one", "after one: cancelled", "after two: cancelled", "now: a hook cancelled: the refusing one: Refusal()",
            "inside deferring: not possible inside a deferred section", "the signal came, and nothing was taken yet",
            "after one: captured",
            "inside deferring, across a suspension: not possible inside a deferred section",
            "now, enabled again: saved number 3",
            "a wrong setting: Configuration.exitStatus is “700”: a number from 0 to 255 is needed",
            "now, with the old settings: saved number 4",
            "now, disabled: checkpoints are not enabled in this process",
        ], "\(lines)")
    }

    @Test func `under valgrind checkpoints are refused in one line, and the program is left alone`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            try run.start("valgrind", ["-q", Workshop.shared.program("heap")])
            let ending = try run.child?.wait()
            let refusal = "ckpt_enable: this kernel, this processor or what runs the program (valgrind) lacks what is needed\n"
            #expect(ending == .exited(97) && run.output == refusal, "\(run.story)")
            run.finish()
        }
    }

    @Test func `a failure reaches now and events`() throws {
        let text = try output("failing")
        let lines = text.split(separator: "\n").map(String.init)
        let failed = "the image was not written, the directory is missing"
        #expect(lines.filter { $0.hasPrefix("event: ") } == ["event: failed: \(failed)", "event: failed: \(failed)"], "\(text)")
        #expect(lines.filter { !$0.hasPrefix("event: ") } == ["now: \(failed)", "now, with the directory: saved number 1"], "\(text)")
    }

    @Test func `after a restart now returns restarted, when the hooks have run`() throws {
        let run = try Run(Fixture("SwiftCheckpoint", "restart"), as: .nobody)
        try run.explain {
            try run.start()
            #expect(run.facts == "after the checkpoint\nnow: saved number 1\n", "\(run.story)")
            try run.kill()
            for number in 1 ... 2 {
                try run.restart(["--env", "COLOUR=green"])
                try run.waitUntilAlive()
                if number == 1 {
                    #expect(run.facts == "after-restart one: number 1, green\nafter-restart two\nnow: restarted, number 1\n", "\(run.story)")
                    try run.checkpoint(.save)
                    try run.kill()
                }
            }
            // The program does not wait for its hooks, which run on a thread of their own.
            try awaitFact("the hooks have run") { run.facts.contains("after-restart two\n") ? true : nil }
            let ending = try run.release()
            #expect(ending == .exited(0) && run.facts == "after-restart one: number 2, green\nafter-restart two\nthe end\n", "\(run.story)")
            run.finish()
        }
    }

    @Test func `preflight names what could not be restored`() throws {
        let text = try output("preflight")
        #expect(text.hasPrefix("at first: []\nwith a socket: true, sockets that are bound or connected cannot be restored yet") && text.hasSuffix("at last: []\n"), "\(text)")
    }

    @Test func `the C interface does the same in the same order`() throws {
        let run = try Run(Fixture("now"), as: .nobody)
        try run.explain {
            try run.start(Workshop.shared.program("now"), [])
            let ending = try run.child?.wait()
            #expect(ending == .exited(0) && run.errors == "" && run.output == """
                first > 0 && second > 0 && third > 0 && fourth > 0: yes
                before-hook two
                before-hook one
                after-hook one: 0
                after-hook two: 0
                now: 0
                this hook refuses
                before-hook two
                before-hook one
                after-hook one: 2
                after-hook two: 2
                now, refused by a hook: a hook cancelled the checkpoint
                ckpt_cancel_hook(refusing) == 0: yes
                now, inside a deferred section: not possible inside a hook or a deferred section
                ckpt_cancel_hook(first) == 0 && ckpt_cancel_hook(second) == 0 && ckpt_cancel_hook(third) == 0 && ckpt_cancel_hook(fourth) == 0: yes
                ckpt_cancel_hook(first) != 0: yes
                now, without hooks: 0
                ckpt_enable(NULL) == 0: yes
                now, enabled again: 0
                ckpt_disable() == 0: yes
                now, disabled: checkpoints are not enabled in this process

                """, "\(run.story)")
            if ending == .exited(0) { run.finish() }
        }
    }

    @Test func `checkpoint and exit ends with its status when the image is durable`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        try run.explain {
            run.environment["CKPT_EXIT_SIGNAL"] = "USR2"
            try run.start()
            run.child?.signal(SIGUSR2)
            #expect(try run.child?.wait() == .exited(85), "\(run.story)")
            #expect(run.exists("condition.img"))
            try run.restart()
            try run.waitUntilAlive()
            let saved = try run.ckpt("save", "--exit", "\(run.child?.id ?? 0)")
            #expect(saved.ending == .exited(0), "\(saved)")
            #expect(try run.child?.wait() == .exited(85), "\(run.story)")
            try run.restart()
            try run.waitUntilAlive()
            let ending = try run.release(), reference = try Reference.of(run.fixture, as: .nobody)
            #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
            run.finish()
        }
    }
}
