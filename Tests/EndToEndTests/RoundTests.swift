// SPDX-License-Identifier: Apache-2.0
import Testing

/// The short form of `make soak`: a few random rounds over the examples.
@Suite struct RoundTests {
    @Test(.enabled(if: fileExists("/usr/share/dict/american-english"), "the list of words is missing: apt-get install wamerican"))
    func `examples end with the same result after random rounds of checkpoint, SIGKILL and restart`() throws {
        let place = try Run(Fixture("rounds"), as: Flavour.User.available[0])
        let answer = try place.tool(Workshop.root + "/Scripts/rounds", [Workshop.isFull ? "50" : "6"], seconds: 1200)
        #expect(answer.ending == .exited(0), "\(answer.output)\(answer.errors)")
        if answer.ending == .exited(0) { place.finish() }
    }
}
