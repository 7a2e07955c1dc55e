// SPDX-License-Identifier: Apache-2.0

/// What the machine can do at best.
enum Limits: Measurement {
    static let name = "limits"

    static func measure(in place: Place, effort: Effort) throws -> Section {
        let names = [("memcpy", "memcpy", Unit.milliseconds, 1e6), ("fault", "first touch of a page (small pages)", .microseconds, 1e3),
                     ("mmap", "mmap and munmap", .microseconds, 1e3), ("fork", "fork", .milliseconds, 1e6),
                     ("copy", "first write to a page after a fork", .microseconds, 1e3)]
        var found: [String: [Double]] = [:]
        try place.requires(disk: 64, memory: effort.large * 4)
        try place.warm(effort.large)
        for _ in 0..<effort.turns {
            for (name, value) in try place.limits(effort.large) { found[name, default: []].append(value) }
        }
        var section = Section(name: name, title: "What the machine can do", text: """
            One thread, \(size(effort.large)) that were touched before. The rows below have their own limits beside them, measured in turn with them.
            """)
        for (key, title, unit, scale) in names {
            let isOfMemory = key == "memcpy" || key == "fork"
            section.rows.append(Row(isOfMemory ? "\(title) of \(size(effort.large))" : title, unit, (found[key] ?? []).map { $0 / scale }))
        }
        return section
    }
}
