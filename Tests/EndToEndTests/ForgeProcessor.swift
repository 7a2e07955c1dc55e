// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI

/// What makes an image one of another host: its processor's layout of vector state, its kernel.
extension Forge {
    /// Vector state in signal frames: where each component lies, the size of all, and the components that are there.
    struct Layout {
        var states: UInt64
        var byteCount: Int
        var components: [Int: (offset: Int, byteCount: Int)]

        /// A processor with AVX and no more.
        static let avx = Layout(states: 0x7, byteCount: 832, components: [2: (576, 256)])
        /// One of Intel's with AVX-512 and protection keys, seen by a program that AMD's has 256 bytes less for.
        static let keys = Layout(states: 0x2e7, byteCount: 2696, components: [
            2: (576, 256), 5: (1088, 64), 6: (1152, 512), 7: (1664, 1024), 9: (2688, 8),
        ])
    }

    private static let magic1: UInt32 = 0x4650_5853, magic2: UInt32 = 0x4650_5845

    /// Where in the file a byte of the program's memory is; nil: nowhere.
    func fileOffset(of address: UInt64) throws -> Int? {
        for run in try records(CKPT_NOTE_RUNS, ckpt_run.self) where run.kind == CKPT_RUN_HERE.rawValue {
            if address >= run.address, address < run.address + UInt64(run.page_count) * 4096 { return Int(run.file_offset + address - run.address) }
        }
        return nil
    }

    private func place(of address: UInt64) throws -> Int {
        guard let offset = try fileOffset(of: address) else { throw Broken("\(address) is not in the image") }
        return offset
    }

    /// As it is now.
    func layout() throws -> Layout {
        let process = try note(CKPT_NOTE_PROCESS.rawValue), processor = try note(CKPT_NOTE_PROCESSOR.rawValue)
        let states = Forge.number(bytes, at: process + MemoryLayout<ckpt_process>.offset(of: \.xfeatures)!, UInt64.self)
        var components: [Int: (offset: Int, byteCount: Int)] = [:]
        for number in 2 ..< 32 {
            let at = processor + 24 + 8 * number
            let byteCount = Int(Forge.number(bytes, at: at + 4, UInt32.self))
            if byteCount > 0 { components[number] = (Int(Forge.number(bytes, at: at, UInt32.self)), byteCount) }
        }
        let size = Int(Forge.number(bytes, at: process + MemoryLayout<ckpt_process>.offset(of: \.xsave_byte_count)!, UInt32.self))
        return Layout(states: states, byteCount: size, components: components)
    }

    /// Addresses of the pointers to vector state: of the threads that were stopped and of handlers that still run.
    private func pointers() throws -> [UInt64] {
        var found: [UInt64] = []
        for run in try records(CKPT_NOTE_RUNS, ckpt_run.self) where run.kind == CKPT_RUN_HERE.rawValue {
            for at in stride(from: 16, to: Int(run.page_count) * 4096, by: 64) where Forge.number(bytes, at: Int(run.file_offset) + at, UInt32.self) == Forge.magic1 {
                let state = run.address + UInt64(at) - 464
                guard let offset = try fileOffset(of: state - 224), Forge.number(bytes, at: offset, UInt64.self) == state else { continue }
                found.append(state - 224)
            }
        }
        return found
    }

    /// Moves the vector state of every signal frame to another layout, in place where it is smaller, otherwise into the room that the
    /// fixture has for it. `keys`: what the protection keys' rights are. Returns how many frames there were.
    mutating func setLayout(_ layout: Layout, keys: UInt32 = 0x5555_5554) throws -> Int {
        let old = try self.layout(), pointers = try pointers()
        var room = try self.room()
        for pointer in pointers {
            let pointerOffset = try place(of: pointer), state = Forge.number(bytes, at: pointerOffset, UInt64.self), at = try place(of: state)
            let inUse = Forge.number(bytes, at: at + 512, UInt64.self)
            var new = Array(bytes[at ..< at + 464]) + [UInt8](repeating: 0, count: layout.byteCount + 4 - 464)
            func set(_ value: some FixedWidthInteger, at offset: Int) {
                for index in 0 ..< value.bitWidth / 8 { new[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
            }
            var states = inUse
            for (number, component) in old.components where inUse & 1 << UInt64(number) != 0 {
                guard let target = layout.components[number] else { throw Broken("component \(number) is in use, and there is none in the new layout") }
                new.replaceSubrange(target.offset ..< target.offset + target.byteCount, with: bytes[at + component.offset ..< at + component.offset + component.byteCount])
            }
            if let rights = layout.components[9] {
                set(keys, at: rights.offset)
                states |= 1 << 9
            }
            set(Forge.magic1, at: 464)
            set(UInt32(layout.byteCount + 4), at: 468)
            set(layout.states, at: 472)
            set(UInt32(layout.byteCount), at: 480)
            set(states, at: 512)
            set(Forge.magic2, at: layout.byteCount)
            if layout.byteCount <= old.byteCount {
                // Nothing of the old one is left: its end mark neither.
                new += [UInt8](repeating: 0, count: old.byteCount + 4 - new.count)
                bytes.replaceSubrange(at ..< at + new.count, with: new)
            } else {
                bytes.replaceSubrange(try place(of: room) ..< place(of: room) + new.count, with: new)
                put(room, at: pointerOffset)
                // As a restart does it that has moved a frame: how else could the next one find it.
                put(pointer, at: try place(of: room) - 64)
                room += 4096
            }
        }
        try tell(layout)
        try sealRuns()
        return pointers.count
    }

    /// Behind its mark and its own address.
    private func room() throws -> UInt64 {
        for run in try records(CKPT_NOTE_RUNS, ckpt_run.self) where run.kind == CKPT_RUN_HERE.rawValue {
            for page in 0 ..< Int(run.page_count) where Forge.number(bytes, at: Int(run.file_offset) + page * 4096, UInt64.self) == 0x6d6f_6f72_2065_6874 {
                let address = run.address + UInt64(page * 4096)
                if Forge.number(bytes, at: Int(run.file_offset) + page * 4096 + 8, UInt64.self) == address { return address + 4096 }
            }
        }
        throw Broken("the fixture has no room")
    }

    private mutating func tell(_ layout: Layout) throws {
        let process = try note(CKPT_NOTE_PROCESS.rawValue), processor = try note(CKPT_NOTE_PROCESSOR.rawValue)
        put(layout.states, at: process + MemoryLayout<ckpt_process>.offset(of: \.xfeatures)!)
        put(UInt32(layout.byteCount), at: process + MemoryLayout<ckpt_process>.offset(of: \.xsave_byte_count)!)
        put(layout.states, at: processor)
        for number in 2 ..< 32 {
            put(UInt32(layout.components[number]?.offset ?? 0), at: processor + 24 + 8 * number)
            put(UInt32(layout.components[number]?.byteCount ?? 0), at: processor + 28 + 8 * number)
        }
    }

    /// The checksums of all pages that are here.
    private mutating func sealRuns() throws {
        try replaceRuns(records(CKPT_NOTE_RUNS, ckpt_run.self).map { run in
            var run = run
            if run.kind == CKPT_RUN_HERE.rawValue {
                run.crc = Forge.crc(bytes[Int(run.file_offset) ..< Int(run.file_offset) + Int(run.page_count) * 4096])
            }
            return run
        })
    }

    /// Demands a feature by its word and bit, and one of leaf 7.1 EDX.
    mutating func demand(word: Int, bit: UInt32, more: UInt32) throws {
        let at = try note(CKPT_NOTE_PROCESS.rawValue) + MemoryLayout<ckpt_process>.offset(of: \.cpuid)! + 4 * word
        put(Forge.number(bytes, at: at, UInt32.self) | 1 << bit, at: at)
        let other = try note(CKPT_NOTE_PROCESSOR.rawValue) + 16
        put(Forge.number(bytes, at: other, UInt32.self) | 1 << more, at: other)
        seal()
    }

    /// Another text of the same length where the image has this one as the kernel's release.
    mutating func setKernelRelease(_ change: (inout [UInt8]) -> Void) throws {
        let process = try note(CKPT_NOTE_PROCESS.rawValue)
        let offset = Int(Forge.number(bytes, at: process + MemoryLayout<ckpt_process>.offset(of: \.kernel_release)!, UInt32.self))
        let start = try note(CKPT_NOTE_STRINGS.rawValue) + offset
        var text = Array(bytes[start...].prefix { $0 != 0 })
        change(&text)
        bytes.replaceSubrange(start ..< start + text.count, with: text)
        seal()
    }

    /// Another byte in the vdso: the last one, which is padding, or this one.
    mutating func changeVdso(at offset: Int? = nil) throws {
        guard let vdso = try records(CKPT_NOTE_MAPPINGS, ckpt_mapping.self).first(where: { $0.kind == CKPT_MAPPING_VDSO.rawValue }) else { throw Broken("no vdso") }
        bytes[try place(of: offset.map { vdso.start + UInt64($0) } ?? vdso.end - 1)] ^= 0xff
        try sealRuns()
    }

    /// Changes the mapping of this kind that comes first.
    mutating func changeMapping(_ kind: ckpt_mapping_kind, _ change: (_ start: UInt64, _ end: UInt64) -> (UInt64, UInt64)) throws {
        let start = try note(CKPT_NOTE_MAPPINGS.rawValue)
        let size = Int(Forge.number(bytes, at: start + 4, UInt32.self)), count = Int(Forge.number(bytes, at: start + 8, UInt32.self))
        for index in 0 ..< count where Forge.number(bytes, at: start + 16 + index * size + 16, UInt32.self) == kind.rawValue {
            let at = start + 16 + index * size
            let (first, last) = change(Forge.number(bytes, at: at, UInt64.self), Forge.number(bytes, at: at + 8, UInt64.self))
            put(first, at: at)
            put(last, at: at + 8)
            seal()
            return
        }
        throw Broken("no mapping of kind \(kind.rawValue)")
    }
}
