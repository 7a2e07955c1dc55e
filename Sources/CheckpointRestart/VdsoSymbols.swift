// SPDX-License-Identifier: Apache-2.0

/// The functions of a vdso, from the bytes of its pages: an ELF file with a dynamic symbol table.
struct VdsoSymbols {
    /// Offsets from its first byte, ascending.
    private(set) var functions: [(name: String, offset: Int)] = []
    private let bytes: [UInt8]

    /// nil: not understood.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        guard bytes.count >= 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]), let headers = word(32), let headerCount = half(56),
            headerCount <= 64
        else { return nil }
        var dynamic: Int?, base: UInt64?
        for index in 0..<headerCount {
            let at = headers + 56 * index
            guard let type = half(at), let offset = word(at + 8), let address = word(at + 16) else { return nil }
            if type == 1, base == nil { base = UInt64(address - min(offset, address)) }  // PT_LOAD
            if type == 2 { dynamic = offset }  // PT_DYNAMIC
        }
        guard var entry = dynamic, let base else { return nil }
        var tags: [Int: Int] = [:]
        while let tag = word(entry), let value = word(entry + 8), tag != 0 {
            tags[tag] = value - Int(base)
            entry += 16
        }
        guard let symbols = tags[6], let names = tags[5], let count = count(hash: tags[4], gnuHash: tags[0x6fff_fef5]), count <= 4096 else { return nil }
        var found: [(name: String, offset: Int)] = []
        for index in 0..<count {
            let at = symbols + 24 * index
            guard let name = half(at).flatMap({ low in half(at + 2).map { low | $0 << 16 } }), bytes.indices.contains(at + 4), let section = half(at + 6),
                let value = word(at + 8)
            else { return nil }
            guard bytes[at + 4] & 15 == 2, section != 0 else { continue }  // STT_FUNC, defined here
            let offset = value - Int(base)
            guard bytes.indices.contains(offset), bytes.indices.contains(names + name) else { return nil }
            found.append((String(decoding: bytes[(names + name)...].prefix { $0 != 0 }, as: UTF8.self), offset))
        }
        guard !found.isEmpty else { return nil }
        functions = found.sorted { ($0.offset, $0.name) < ($1.offset, $1.name) }
    }

    func offset(of name: String) -> Int? { functions.first { $0.name == name }?.offset }

    private func half(_ offset: Int) -> Int? {
        guard offset >= 0, offset <= bytes.count - 2 else { return nil }
        return Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
    }
    private func single(_ offset: Int) -> Int? { half(offset).flatMap { low in half(offset + 2).map { low | $0 << 16 } } }
    /// nil too when it is no offset or count.
    private func word(_ offset: Int) -> Int? {
        guard let low = single(offset), let high = single(offset + 4), high < 1 << 30 else { return nil }
        return low | high << 32
    }

    /// How many symbols there are: DT_HASH says so; DT_GNU_HASH by the end of its last chain.
    private func count(hash: Int?, gnuHash: Int?) -> Int? {
        if let hash { return single(hash + 4) }
        guard let gnuHash, let bucketCount = single(gnuHash), let first = single(gnuHash + 4), let bloomCount = single(gnuHash + 8) else { return nil }
        guard bucketCount <= 4096, bloomCount <= 4096 else { return nil }
        let buckets = gnuHash + 16 + 8 * bloomCount, chains = buckets + 4 * bucketCount
        var last = 0
        for index in 0..<bucketCount {
            guard let bucket = single(buckets + 4 * index) else { return nil }
            last = max(last, bucket)
        }
        if last < first { return first }
        while let chain = single(chains + 4 * (last - first)) {
            if chain & 1 == 1 { return last + 1 }
            last += 1
        }
        return nil
    }
}
