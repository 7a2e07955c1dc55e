// SPDX-License-Identifier: Apache-2.0
import Testing

/// An image is an ELF core file for every tool that reads them.
@Suite struct DebuggerTests {
    /// A run of this fixture with an image of it; the program still runs.
    private func checkpointed(_ fixture: Fixture) throws -> Run {
        let run = try Run(fixture, as: .nobody)
        return try run.explain {
            try run.start()
            try run.checkpoint(.save)
            return run
        }
    }

    @Test func `gdb shows the true stack of every thread`() throws {
        let run = try checkpointed(Fixture("condition"))
        let answer = try run.tool("gdb", [Workshop.shared.program("condition"), run.image, "-batch", "-nx", "-ex", "thread apply all bt"])
        let text = answer.output
        #expect(answer.ending == .exited(0), "\(answer)")
        #expect(text.components(between: "\nThread ").count == 9, "\(answer)")
        #expect(text.components(between: " in wait_for_condition ").count == 4, "\(answer)")
        #expect(text.components(between: " in wait_for_semaphore ").count == 2, "\(answer)")
        #expect(text.components(between: " in wait_for_lock ").count == 2, "\(answer)")
        #expect(text.components(between: " main (").count == 1 && text.contains(" fixture_checkpoint_here ("), "\(answer)")
        #expect(!text.contains("Backtrace stopped") && !answer.errors.lowercased().contains("warning: core"), "\(answer)")
        run.finish()
    }

    @Test func `gdb shows a hundred threads and a deep stack`() throws {
        let run = try checkpointed(Fixture("thread_many"))
        let answer = try run.tool("gdb", [Workshop.shared.program("thread_many"), run.image, "-batch", "-nx", "-ex", "thread apply all bt"])
        #expect(answer.ending == .exited(0) && answer.output.components(between: "\nThread ").count == 101, "\(answer)")
        #expect(answer.output.components(between: " in descend ").count == 5050, "\(answer.output.prefix(2000))")
        run.finish()
    }

    @Test func `gdb shows the registers that the program held`() throws {
        let run = try checkpointed(Fixture("registers"))
        let answer = try run.tool("gdb", [Workshop.shared.program("registers"), run.image, "-batch", "-nx", "-ex", "thread apply all -s p/x $r15"])
        #expect(answer.ending == .exited(0) && answer.output.contains("0xdddddddddddddddd"), "\(answer)")
        run.finish()
    }

    @Test func `readelf and eu-readelf have no complaint`() throws {
        let run = try checkpointed(Fixture("epoll"))
        for (program, arguments) in [("readelf", ["-a", "-W"]), ("eu-readelf", ["-a"])] {
            let answer = try run.tool(program, arguments + [run.image])
            let said = answer.errors + answer.output.split(separator: "\n").filter { $0.lowercased().contains("warning") || $0.lowercased().contains("error:") }.joined(separator: "\n")
            #expect(answer.ending == .exited(0) && said.isEmpty, "\(program): \(said)")
            #expect(answer.output.contains("CORE"), "\(program) shows no notes")
        }
        run.finish()
    }
}

extension String {
    /// What lies behind each occurrence.
    func components(between mark: String) -> [Substring] {
        var found: [Substring] = [], rest = self[...]
        while let range = rest.firstRange(of: mark) {
            rest = rest[range.upperBound...]
            found.append(rest.prefix(40))
        }
        return found
    }
}
