// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import Testing

/// The flat structs have the same size on both sides of the borders.
struct StructTests {
    static let onDisk: [String: Int] = [
        "ckpt_table": MemoryLayout<ckpt_table>.size, "ckpt_ident": MemoryLayout<ckpt_ident>.size,
        "ckpt_process": MemoryLayout<ckpt_process>.size, "ckpt_processor": MemoryLayout<ckpt_processor>.size, "ckpt_mapping": MemoryLayout<ckpt_mapping>.size,
        "ckpt_run": MemoryLayout<ckpt_run>.size, "ckpt_thread": MemoryLayout<ckpt_thread>.size,
        "ckpt_scheduling": MemoryLayout<ckpt_scheduling>.size, "ckpt_limit": MemoryLayout<ckpt_limit>.size,
        "ckpt_attribute": MemoryLayout<ckpt_attribute>.size,
        "ckpt_signal_action": MemoryLayout<ckpt_signal_action>.size, "ckpt_descriptor": MemoryLayout<ckpt_descriptor>.size,
        "ckpt_pipe": MemoryLayout<ckpt_pipe>.size, "ckpt_eventfd": MemoryLayout<ckpt_eventfd>.size,
        "ckpt_timerfd": MemoryLayout<ckpt_timerfd>.size, "ckpt_epoll_entry": MemoryLayout<ckpt_epoll_entry>.size,
        "ckpt_signalfd": MemoryLayout<ckpt_signalfd>.size, "ckpt_signal_queued": MemoryLayout<ckpt_signal_queued>.size,
        "ckpt_timer": MemoryLayout<ckpt_timer>.size, "ckpt_itimer": MemoryLayout<ckpt_itimer>.size,
        "ckpt_blob": MemoryLayout<ckpt_blob>.size, "ckpt_chunk": MemoryLayout<ckpt_chunk>.size,
        "ckpt_shared": MemoryLayout<ckpt_shared>.size, "ckpt_guard_pages": MemoryLayout<ckpt_guard_pages>.size,
    ]

    /// `CKPT_ASSERT_SIZE(name, bytes);` of image.h.
    static func promised() throws -> [String: Int] {
        var sizes: [String: Int] = [:]
        for line in try Tree.lines("include/ckpt/image.h") where line.hasPrefix("CKPT_ASSERT_SIZE(") {
            let parts = line.dropFirst("CKPT_ASSERT_SIZE(".count).split(whereSeparator: { ",); ".contains($0) })
            if parts.count == 2, let size = Int(parts[1]) { sizes[String(parts[0])] = size }
        }
        return sizes
    }

    @Test func `structs on disk have the promised sizes in Swift`() throws {
        let promised = try Self.promised()
        #expect(promised == Self.onDisk)
        #expect(Self.onDisk.values.allSatisfy { $0 % 8 == 0 }, "records are aligned to 8 bytes")
    }

    @Test func `structs have no padding at their end`() {
        #expect(MemoryLayout<ckpt_process>.size == MemoryLayout<ckpt_process>.stride)
        #expect(MemoryLayout<ckpt_descriptor>.size == MemoryLayout<ckpt_descriptor>.stride)
        #expect(MemoryLayout<ckpt_thread>.size == MemoryLayout<ckpt_thread>.stride)
        #expect(MemoryLayout<ckpt_report>.size == MemoryLayout<ckpt_report>.stride)
        #expect(MemoryLayout<ckpt_restart_context>.size == MemoryLayout<ckpt_restart_context>.stride)
    }

    @Test func `every struct of image h that is on disk has a promised size`() throws {
        let promised = try Self.promised()
        let declared = try Tree.lines("include/ckpt/image.h").compactMap { line -> String? in
            guard line.hasPrefix("struct ckpt_"), line.contains("{") else { return nil }
            return line.split(separator: " ").dropFirst().first.map(String.init)
        }
        let without = declared.filter { promised[$0] == nil }
        #expect(without.isEmpty, "\(without)")
    }
}
