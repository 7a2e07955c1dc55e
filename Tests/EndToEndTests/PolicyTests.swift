// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// When checkpoints are taken, and of what.
@Suite struct PolicyTests {
    private func expectTheSame(_ run: Run) throws {
        let ending = try run.release(), reference = try Reference.of(run.fixture, as: .nobody)
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    private func awaitImage(_ run: Run, otherThan mark: String?, _ what: String) throws -> String? {
        try awaitFact(what) {
            if let ending = run.child?.poll() { throw Broken("the program \(ending)") }
            return run.imageMark().flatMap { $0 == mark ? nil : $0 }
        }
    }

    @Test(arguments: ["0.1", "auto:1s"]) func `periodic checkpoints come by themselves, in a restarted program too`(every: String) throws {
        let run = try Run(Fixture("condition"), as: .nobody), isFixed = every == "0.1"
        run.environment["CKPT_EVERY"] = every
        // Which is no matter to those of the timer.
        if isFixed { run.environment["CKPT_MIN_INTERVAL"] = "1h" }
        try run.explain {
            try run.start()
            var mark = try awaitImage(run, otherThan: nil, "the first image is there")
            for turn in 1 ... 3 {
                for number in 1 ... 2 { mark = try awaitImage(run, otherThan: mark, "image \(number) of process \(turn) is there") }
                if turn == 3 { break }
                try run.kill()
                mark = run.imageMark()
                // Nobody asks this process: the timer is its own.
                try run.restart()
                try run.waitUntilAlive()
            }
            // Too soon, or answered by a periodic one that begins just then.
            let saved = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(saved.ending == .exited(0) || isFixed && saved.ending == .exited(69), "\(saved)")
        }
        try expectTheSame(run)
    }

    @Test func `a clock that jumps at a restart changes nothing for periodic checkpoints and the least time between two`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        run.environment["CKPT_EVERY"] = "0.1"
        try run.explain {
            try run.start()
            var mark = try awaitImage(run, otherThan: nil, "the first image is there")
            // A year ahead, then back to nearly the boot of this machine, then as it was.
            let uptime = Int(text(of: "/proc/uptime").prefix { $0 != "." }) ?? 0
            for clocks in ["31536000", "-\(max(uptime - 5, 0))", "0"] {
                try run.kill()
                mark = run.imageMark()
                try run.start(Workshop.shared.program("another_host"), ["--clocks", clocks, "--", Workshop.shared.program("ckpt-restart"), run.image], as: .nobody)
                try run.waitUntilAlive()
                for number in 1 ... 2 { mark = try awaitImage(run, otherThan: mark, "image \(number) with clocks \(clocks) s ahead is there") }
            }
            // Of the time of the last image on another clock nothing is left.
            try run.kill()
            let environment = run.environment
            run.environment = ["CKPT_MIN_INTERVAL": "1h"]
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            run.environment = environment
            try run.start(Workshop.shared.program("another_host"), ["--clocks", "-\(max(uptime - 5, 0))", "--", Workshop.shared.program("ckpt-restart"), run.image], as: .nobody)
            try run.waitUntilAlive()
            try run.checkpoint(.save)
            let refused = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(refused.ending == .exited(69), "\(refused)")
        }
        try expectTheSame(run)
    }

    @Test func `a request that is too soon is answered at once, but never one that ends the program`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        run.environment["CKPT_MIN_INTERVAL"] = "1h"
        run.environment["CKPT_EXIT_SIGNAL"] = "USR2"
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            let mark = run.imageMark()
            for _ in 0 ..< 2 {
                let refused = try run.ckpt("save", "\(run.child?.id ?? 0)")
                #expect(refused.ending == .exited(69) && refused.output == "", "\(refused)")
                #expect(refused.errors.hasPrefix("ckpt: \(run.child?.id ?? 0): too soon ") && refused.errors.filter { $0 == "\n" }.count == 1, "\(refused)")
            }
            #expect(run.imageMark() == mark)
            let last = try run.ckpt("save", "--exit", "\(run.child?.id ?? 0)")
            #expect(last.ending == .exited(0) && run.imageMark() != mark, "\(last)")
            #expect(try run.child?.wait() == .exited(85), "\(run.story)")
            try run.restart()
            try run.waitUntilAlive()
            // A restarted program has no last checkpoint.
            try run.checkpoint(.save)
            run.child?.signal(SIGUSR2)
            #expect(try run.child?.wait() == .exited(85), "\(run.story)")
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `the exit signal during a checkpoint waits for it, takes one more and ends the program`() throws {
        let run = try Run(Fixture("exit_signal"), as: .nobody)
        run.environment["CKPT_EXIT_SIGNAL"] = "USR2"
        try run.explain {
            try run.start()
            guard let child = run.child else { return }
            child.signal(SIGUSR1)
            try awaitFact("a checkpoint is under way") { run.output.contains("under way") ? true : nil }
            child.signal(SIGUSR2)
            try awaitFact("the exit signal was taken") {
                text(of: "/proc/\(child.id)/status").split(separator: "\n").contains { $0.hasPrefix("ShdPnd:") && $0.hasSuffix("0000000000000000") } ? true : nil
            }
            #expect(!run.exists("exit_signal.img"))
            try run.write("", to: "go-on")
            #expect(try child.wait() == .exited(85), "\(run.story)")
            #expect(run.output == "READY\na checkpoint is under way\na checkpoint is under way\n", "\(run.story)")
            let inspected = try run.ckpt("inspect", "--json", run.image)
            #expect(inspected.output.contains("\"sequence\": 2"), "\(inspected)")
            try run.restart()
            try run.waitUntilAlive()
            #expect(try run.release() == .exited(0) && run.facts == "released\n", "\(run.story)")
            run.finish()
        }
    }

    @Test func `free heap is in no image when it is to be trimmed`() throws {
        var byteCounts: [Int] = []
        for trims in ["0", "1"] {
            let run = try Run(Fixture("free_heap"), as: .nobody)
            run.environment["CKPT_TRIM_HEAP"] = trims
            try run.explain {
                try run.start()
                let saved = try run.ckpt("save", "--json", "\(run.child?.id ?? 0)")
                let report = try JSONSerialization.jsonObject(with: Data(saved.output.utf8)) as? [String: Any]
                byteCounts.append(report?["page_byte_count"] as? Int ?? 0)
                try run.kill()
                try run.restart()
                try run.waitUntilAlive()
                try expectTheSame(run)
            }
        }
        // Half of 64 MiB are free, in pieces.
        #expect(byteCounts[0] - byteCounts[1] > 24 << 20, "\(byteCounts)")
    }

    @Test func `the images of a program stay below its limit of disk space`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        run.environment["CKPT_CHAIN"] = "0"
        run.environment["CKPT_GENERATIONS"] = "5"
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            let one = Int(fileStatus(run.image)?.st_size ?? 0)
            try run.kill()
            run.environment["CKPT_DISK_LIMIT"] = "\(one * 3 + one / 2)"
            try run.start()
            for turn in 1 ... 7 {
                try run.checkpoint(.save)
                let older = fileNames(run.image + ".d").map { Int(fileStatus(run.image + ".d/" + $0)?.st_size ?? 0) }
                let total = Int(fileStatus(run.image)?.st_size ?? 0) + older.reduce(0, +)
                #expect(total <= one * 3 + one / 2 && (turn < 4 || older.count == 2), "turn \(turn): \(total) bytes, \(older.count) older")
            }
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `the image of a restarted program names its executable, not ckpt-restart`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            try run.start()
            for _ in 1 ... 3 {
                try run.checkpoint(.save)
                let inspected = try run.ckpt("inspect", "--json", run.image)
                #expect(inspected.output.contains("\"executable\": \"\(try Workshop.shared.program("heap"))\""), "\(inspected)")
                try run.kill()
                try run.restart()
                try run.waitUntilAlive()
            }
            try expectTheSame(run)
        }
    }

    @Test func `a program that writes faster than the disk is checkpointed all the same, with bounded memory`() throws {
        let run = try Run(Fixture("busy"), as: .nobody)
        run.environment["CKPT_EVERY"] = "1s"
        try run.explain {
            try run.start()
            var marks: Set<String> = []
            // A machine that does much else at once may need long for the first two.
            let until = ContinuousClock.now + .seconds(Workshop.isFull ? 60 : 3)
            try awaitFact(seconds: 180, "there are images") {
                if let mark = run.imageMark() { marks.insert(mark) }
                return ContinuousClock.now > until && marks.count >= (Workshop.isFull ? 20 : 2) ? true : nil
            }
            let saved = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(saved.ending == .exited(0), "\(saved)")
            // Both go on: the program itself, and what is restarted from its image.
            let expected = "memory: bounded\nwhat was written: kept\nwhat was written: kept\n"
            #expect(try run.release() == .exited(0) && run.facts == expected, "\(run.story)")
            try run.restart()
            #expect(try run.child?.wait(seconds: 60) == .exited(0) && run.facts == expected, "\(run.story)")
            run.finish()
        }
    }

    private func expectOutput(_ program: String, _ expected: String) throws {
        let run = try Run(Fixture(program), as: .nobody)
        try run.explain {
            try run.start(Workshop.shared.program(program), [])
            #expect(try run.child?.wait() == .exited(0) && run.output == expected && run.errors == "", "\(run.story)")
            if run.output == expected { run.finish() }
        }
    }

    @Test func `disable takes the timer away, and a signal of it that is pending ends nobody`() throws {
        try expectOutput("interval", """
            timers at first: 0
            timers at last: 0
            an interval that is none: an argument or a CKPT_ variable is not valid
            after Young and Daly: 0
            timers: 1
            now: 0
            and again: 4

            """)
    }

    @Test func `a program of the first header gets the defaults for what it does not know`() throws {
        try expectOutput("config_size", """
            untouched: yes
            old.config.size == sizeof old.config && old.config.image == NULL && old.config.generations == -1: yes
            enable: 0
            now: 0
            access("old.img", F_OK) == 0: yes
            later.config.size == sizeof later && later.config.chain_length == -1 && later.more[7] == 0: yes
            enable: 0
            with a size that is none: an argument or a CKPT_ variable is not valid
            with a tracker that is none: an argument or a CKPT_ variable is not valid

            """)
    }

    private func exclusionFacts(dead: String) -> String {
        """
        results: 0 0 0 0 0 0
        refused: an argument or a CKPT_ variable is not valid; 1 1 1 1 1
        dead memory: \(dead)
        before the dead bytes: kept
        dead bytes: \(dead)
        ten bytes included again: kept
        dead bytes behind them: \(dead)
        behind the dead bytes: kept
        read-only memory: kept
        new memory where excluded memory was: kept
        memory included again, not written since: kept
        included twice: 1

        """
    }

    @Test func `excluded memory stays as it is in the program that goes on`() throws {
        let run = try Run(Fixture("exclusion"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            #expect(try run.release() == .exited(0) && run.facts == exclusionFacts(dead: "kept"), "\(run.story)")
            if run.facts == exclusionFacts(dead: "kept") { run.finish() }
        }
    }

    @Test func `much memory that is included again is in the next increment`() throws {
        let run = try Run(Fixture("exclusion_large"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            #expect(try run.release() == .exited(0) && run.facts == "checkpoints: 1 1\nthe memory: kept\n", "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: [1, 2]) func `dead memory is in no image and zero after a restart, to the byte`(restarts: Int) throws {
        let run = try Run(Fixture("exclusion"), as: .nobody)
        try run.explain {
            try run.start()
            for turn in 1 ... restarts {
                let saved = try run.ckpt("save", "--json", "\(run.child?.id ?? 0)")
                let report = try JSONSerialization.jsonObject(with: Data(saved.output.utf8)) as? [String: Any]
                // 32 MiB are dead, of an image that has less than 20 MiB without them.
                #expect((report?["file_byte_count"] as? Int ?? .max) < 24 << 20, "\(saved)")
                // After a restart it is not populated.
                #expect(turn > 1 || (report?["excluded_byte_count"] as? Int ?? 0) >= 32 << 20, "\(saved)")
                try run.kill()
                try run.restart()
                try run.waitUntilAlive()
            }
            #expect(try run.release() == .exited(0) && run.facts == exclusionFacts(dead: "zero"), "\(run.story)")
            if run.facts == exclusionFacts(dead: "zero") { run.finish() }
        }
    }
}
