// SPDX-License-Identifier: Apache-2.0
import CheckpointRestart
import Testing

@Suite struct PlacementTests {
    @Test func `a hole touches nothing that is taken`() throws {
        let taken = [
            AddressRange(start: 0x40_0000, end: 0x80_0000),
            AddressRange(start: 0x1000_0000_0000, end: 0x1000_4000_0000),
            AddressRange(start: 0x1002_0000_0000, end: 0x1003_0000_0000),
            AddressRange(start: 0x7fff_0000_0000, end: 0x7fff_1000_0000),
        ]
        for byteCount: UInt64 in [4096, 1 << 30, 64 << 30, 1 << 40] {
            let start = try #require(Placement(taken: taken).hole(byteCount: byteCount))
            let hole = AddressRange(start: start, end: start + byteCount)
            #expect(!taken.contains { $0.overlaps(hole) })
            #expect(start % (2 << 20) == 0)
            #expect(hole.end < 0x7fff_ffff_f000)
        }
    }

    @Test func `no hole is found where there is none`() {
        let everything = [AddressRange(start: 0, end: 0x7fff_ffff_f000)]
        #expect(Placement(taken: everything).hole(byteCount: 4096) == nil)
    }
}
