// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CRestorer
import CheckpointImage
import SystemPackage

/// The vector state in the program's signal frames, on a host that lays it out in another way.
///
/// Kernel (arch/x86/kernel/fpu/signal.c): rt_sigreturn takes the vector state from where the frame's pointer leads. It must have the
/// first mark at 464 and the second one behind its last byte. Since 6.16 that is behind the bytes that *this* kernel would have
/// written for the process; before, behind those that the frame says, which may not be more. Without the second mark only x87 and
/// SSE come back and the rest is *silently* as at the start of a program. A component in XSTATE_BV that XCR0 does not have kills the
/// program. And where a component lies is the processor's choice: AMD's and Intel's differ.
///
/// So on another layout each frame gets a copy of its state as this host wants it, and its pointer leads there: those in which
/// the threads stopped, and those of handlers of the program that still run, which are found by what the kernel leaves in memory.
struct VectorFrames {
    /// A frame's vector state as this host lays it out.
    struct Frame {
        /// Where its pointer is in the program's memory.
        var pointer: UInt64
        var bytes: [UInt8]
    }
    /// Of the threads: used once, by the restorer.
    private(set) var parked: [Frame] = []
    /// Of handlers that the program has not left yet.
    private(set) var nested: [Frame] = []

    /// From the pointer in a frame's ucontext to the state, where the kernel puts both: a frame of 448 bytes between them.
    private static let distance: UInt64 = 224
    private static let pointerOffset: UInt64 = 224
    /// In front of a copy that stays in memory: the address of its pointer, by which the next restart finds it.
    static let headByteCount = 64
    private static let byteCountMax = 16 << 20

    /// The state components that the program may have asked for beyond what every program has. Kernel: since 5.16; inherited by the
    /// process that becomes the program.
    static func ask(for image: Image, on host: HostFacts) throws(RestartFailure) {
        let tiles: UInt64 = 1 << 18
        guard let permitted = image.processor?.permitted, permitted & tiles != 0, host.xfeatures & tiles != 0 else { return }
        do throws(Errno) { try Kernel.call(.archPrctl, 0x1023, 18) } catch {  // ARCH_REQ_XCOMP_PERM
            throw RestartFailure(
                kind: .unsupported, what: "this kernel does not give the program the right to AMX again (\(error.description))",
                remedy: "restart on a host with AMX and Linux 5.16 or newer")
        }
    }

    /// Empty when the frames are good as they are. In one thread, before anything is changed.
    init(_ chain: ImageChain, host: HostFacts, force: Bool) throws(RestartFailure) {
        let layout = VectorLayout(image: chain.newest, host: host, own: ckpt_own_vector())
        let memory = ImageMemory(chain)
        let threads = chain.newest.threads.filter { !$0.flags.contains(.ended) }
        var isSame = true
        for thread in threads {
            guard let state = VectorFrames.pointed(by: thread.ucontext + VectorFrames.pointerOffset, memory) else { continue }
            isSame = isSame && layout.isSame(state)
        }
        if isSame { return }
        for thread in threads {
            let pointer = thread.ucontext + VectorFrames.pointerOffset
            guard let state = VectorFrames.pointed(by: pointer, memory) else { continue }
            parked.append(Frame(pointer: pointer, bytes: try layout.relaid(state, force: force)))
        }
        let known = Set(parked.map(\.pointer))
        for pointer in VectorFrames.search(chain, memory) where !known.contains(pointer) {
            guard let state = VectorFrames.pointed(by: pointer, memory) else { continue }
            nested.append(Frame(pointer: pointer, bytes: try layout.relaid(state, force: force)))
        }
        guard parkedByteCount + nestedByteCount <= VectorFrames.byteCountMax else {
            throw RestartFailure(
                kind: .unsupported, what: "\(parked.count + nested.count) signal frames are laid out for another processor",
                remedy: "restart on a host with the same processor")
        }
    }

    var isEmpty: Bool { parked.isEmpty }

    private static func spaces(_ frames: [Frame]) -> Int { frames.reduce(0) { $0 + headByteCount + ($1.bytes.count + 63) & ~63 } }
    /// Whole pages.
    var parkedByteCount: Int { (VectorFrames.spaces(parked) + 4095) & ~4095 }
    var nestedByteCount: Int { (VectorFrames.spaces(nested) + 4095) & ~4095 }

    /// The pages of both kinds, as they will be at these addresses; and the frames' pointers to them, in the program's memory.
    func place(parked parkedStart: UInt64, nested nestedStart: UInt64, _ memory: ProgramMemory) throws(RestartFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        for (frames, start, byteCount) in [(parked, parkedStart, parkedByteCount), (nested, nestedStart, nestedByteCount)] {
            let before = bytes.count
            for frame in frames {
                let head = bytes.count
                bytes.append(integer: frame.pointer)
                bytes.append(contentsOf: repeatElement(0, count: VectorFrames.headByteCount - 8))
                let address = start + UInt64(bytes.count - before)
                bytes.append(contentsOf: frame.bytes)
                while (bytes.count - head) % 64 != 0 { bytes.append(0) }
                var pointer: [UInt8] = []
                pointer.append(integer: address)
                guard memory.write(pointer, at: frame.pointer) else {
                    throw RestartFailure(kind: .damaged, what: "a signal frame is in memory that is not the program's", remedy: "use an older image")
                }
            }
            bytes.append(contentsOf: repeatElement(0, count: before + byteCount - bytes.count))
        }
        return bytes
    }

    // MARK: - Finding them

    /// The state that the pointer at this address leads to, with its marks; nil: there is none, or only x87 and SSE.
    private static func pointed(by pointer: UInt64, _ memory: ImageMemory) -> [UInt8]? {
        guard let address = memory.word(pointer), address % 64 == 0, address != 0, address < Memory.end,
            let head = memory.read(address, byteCount: 576), head.word32(at: 464) == CKPT_VECTOR_MAGIC1
        else { return nil }
        let byteCount = Int(head.word32(at: 480))
        guard (576...16384).contains(byteCount), head.word32(at: 468) == byteCount + 4,
            let state = memory.read(address, byteCount: byteCount + 4), state.word32(at: byteCount) == CKPT_VECTOR_MAGIC2
        else { return nil }
        return state
    }

    /// Addresses of the pointers of all frames in memory that the program can write, stale ones too: those change nothing.
    private static func search(_ chain: ImageChain, _ memory: ImageMemory) -> [UInt64] {
        var pointers: [UInt64] = []
        for mapping in chain.newest.mappings where mapping.protection.contains(.write) && mapping.isSaved && mapping.kind != .beacon {
            for stretch in memory.stretches(of: mapping) {
                guard let bytes = memory.read(stretch.start, byteCount: Int(stretch.byteCount)) else { continue }
                for offset in VectorSearch.marks(in: bytes) {
                    let mark = stretch.start + UInt64(offset)
                    guard mark >= 464 + Memory.pageByteCount else { continue }
                    let state = mark - 464
                    // Where the kernel has put it, or where an earlier restart has.
                    for pointer in [state - distance, memory.word(state - UInt64(headByteCount)) ?? 0] where pointer > 0 && pointer % 8 == 0 {
                        if memory.word(pointer) == state { pointers.append(pointer) }
                    }
                }
            }
        }
        return pointers
    }
}

/// From the layout of the image's frames to that of this host.
private struct VectorLayout {
    let image: [ProcessorState.Component]
    let host: [ProcessorState.Component]
    let own: ckpt_vector

    /// x87 and SSE are the first 512 bytes, and AVX follows the header on every processor; more an older image does not say.
    init(image: Image, host: HostFacts, own: ckpt_vector) {
        var known = Array(repeating: ProcessorState.Component(), count: 32)
        known[2] = .init(offset: 576, byteCount: 256)
        let isThisHost = image.process.xfeatures == host.xfeatures && image.process.xsaveByteCount == host.xsaveByteCount
        self.image = image.processor?.components ?? (isThisHost ? host.components : known)
        self.host = host.components
        self.own = own
    }

    private func states(of state: [UInt8]) -> UInt64 { state.word64(at: 472) }
    private func inUse(_ state: [UInt8]) -> UInt64 { state.word64(at: 512) }

    func isSame(_ state: [UInt8]) -> Bool {
        state.count == Int(own.byte_count) + 4 && states(of: state) == own.states
            && (2..<32).allSatisfy { states(of: state) & 1 << UInt64($0) == 0 || image[$0] == host[$0] }
    }

    func relaid(_ state: [UInt8], force: Bool) throws(RestartFailure) -> [UInt8] {
        let byteCount = Int(own.byte_count)
        guard byteCount >= 576 else {
            throw RestartFailure(kind: .unsupported, what: "this host does not save vector state in signal frames", remedy: "restart on a host with XSAVE")
        }
        var new = Array(state[..<464]) + Array(repeating: 0, count: byteCount + 4 - 464)
        var kept: UInt64 = 3, lost: [String] = []
        for number in 2..<64 where inUse(state) & 1 << UInt64(number) != 0 {
            let from = number < 32 ? image[number] : .init(), to = number < 32 && own.states & 1 << UInt64(number) != 0 ? host[number] : .init()
            let source = Int(from.offset)..<Int(from.offset) + Int(from.byteCount)
            guard from.byteCount > 0, source.upperBound <= state.count - 4 else {
                lost.append(Processor.stateName(number))
                continue
            }
            if to.byteCount == from.byteCount, Int(to.offset) + Int(to.byteCount) <= byteCount {
                new.replaceSubrange(Int(to.offset)..<Int(to.offset) + Int(to.byteCount), with: state[source])
                kept |= 1 << UInt64(number)
            } else if !VectorLayout.isUnused(number, state[source]) {
                lost.append(Processor.stateName(number))
            }
        }
        let control = state.word32(at: 24)
        if control & ~own.mxcsr_mask != 0 {
            lost.append("mxcsr")
            new.replaceSubrange(24..<28, with: VectorLayout.bytes(control & own.mxcsr_mask))
        }
        guard lost.isEmpty || force else {
            throw RestartFailure(
                kind: .unsupported, what: "the vector state: a thread has \(lost.joined(separator: ", ")) in use, which this processor lacks or lays out in another way",
                remedy: "restart on a host with the same processor features or more")
        }
        var states = states(of: state) & own.states
        // Kernel: with rights to no key but 0, as every program begins (init_pkru_value). The image's processor had none.
        if own.states & 1 << 9 != 0, kept & 1 << 9 == 0, Int(host[9].offset) + 4 <= byteCount, host[9].byteCount >= 4 {
            new.replaceSubrange(Int(host[9].offset)..<Int(host[9].offset) + 4, with: VectorLayout.bytes(VectorLayout.initialKeys))
            kept |= 1 << 9
            states |= 1 << 9
        }
        // Kernel: struct _fpx_sw_bytes and struct xstate_header.
        new.replaceSubrange(464..<484, with: VectorLayout.bytes(CKPT_VECTOR_MAGIC1) + VectorLayout.bytes(UInt32(byteCount + 4)) + VectorLayout.bytes(states) + VectorLayout.bytes(UInt32(byteCount)))
        new.replaceSubrange(512..<520, with: VectorLayout.bytes(kept & states | 3))
        new.replaceSubrange(byteCount..<byteCount + 4, with: VectorLayout.bytes(CKPT_VECTOR_MAGIC2))
        return new
    }

    private static let initialKeys: UInt32 = 0x5555_5554

    /// Whether a component is as at the start of a program: it may go.
    private static func isUnused(_ number: Int, _ content: ArraySlice<UInt8>) -> Bool {
        if number == 9 { return Array(content.prefix(4)) == bytes(initialKeys) }
        return content.allSatisfy { $0 == 0 }
    }

    private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(integer: value)
        return bytes
    }
}
