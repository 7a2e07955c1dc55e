// SPDX-License-Identifier: Apache-2.0
import Foundation

/// From the execution of ckpt-restart to the first instruction of the program.
enum Restart: Measurement {
    static let name = "restart"

    private struct Image {
        var title, path: String
        var checksum: String
        var eagerAim, lazyAim: Double
    }

    static func measure(in place: Place, effort: Effort) throws -> Section {
        var section = Section(name: name, title: "A restart", text: """
            A program of \(size(effort.large)), image in the page cache; from the execution of `ckpt-restart` to the first instruction of the program, in turn \
            with memcpy of as much by one thread, both buffers touched. Chain: a full image and ten increments of 1 % of the pages, evenly spread; folded: the \
            same by `ckpt fold`. All again: until as much memory is anonymous as the program has; once for each image the program's checksum is compared.
            """)
        let names = ["full image", "chain of 10", "folded"]
        let aims = [(1.2, 15.0), (1.5, 30), (1.2, 15)]
        try place.clear()
        var images: [Image] = []
        for (index, title) in names.enumerated() {
            do {
                try place.requires(disk: effort.large * 4 + 1024, memory: effort.large * 4)
                let made = try make(index, in: place, effort: effort)
                images.append(Image(title: title, path: made.path, checksum: made.checksum, eagerAim: aims[index].0, lazyAim: aims[index].1))
            } catch let missing as NotThere {
                section.rows.append(Row("\(title), eager", .times, notThere: missing.why, aim: .below(aims[index].0)))
                section.rows.append(Row("\(title), lazy", .milliseconds, notThere: missing.why, aim: .below(aims[index].1)))
            }
        }
        section.rows = try images.flatMap { try measure($0, in: place, effort: effort) } + section.rows
        try place.clear()
        return section
    }

    /// 0: a full image; 1: a chain; 2: that chain, folded.
    private static func make(_ index: Int, in place: Place, effort: Effort) throws -> (path: String, checksum: String) {
        let path = ["full", "chain", "folded"].map { "\(place.work)/\($0).img" }
        if index == 2 {
            guard FileManager.default.fileExists(atPath: path[1]) else { throw NotThere("there is no chain to fold") }
            let fold = try Program(place.program("ckpt"), ["fold", path[1], "-o", path[2]])
            guard fold.finish().status == 0 else { throw NotThere("ckpt fold fails, or is not there") }
            let checksum = try String(contentsOfFile: path[1] + ".checksum", encoding: .utf8)
            return (path[2], checksum)
        }
        let program = try MemoryProgram(place: place, mebibytes: effort.large, mode: .compute, environment: ["CKPT_IMAGE": path[index]])
        defer { program.kill() }
        _ = try program.save()
        if index == 1 {
            do {
                for _ in 0..<10 {
                    _ = try program.dirty()
                    guard try program.save().isIncrement else { throw Increment.absence }
                }
            } catch {
                try? FileManager.default.removeItem(atPath: path[1])
                throw error
            }
            try program.checksum.write(toFile: path[1] + ".checksum", atomically: true, encoding: .utf8)
        }
        return (path[index], program.checksum)
    }

    private static func measure(_ image: Image, in place: Place, effort: Effort) throws -> [Row] {
        var eager: [Double] = [], lazy: [Double] = [], whole: [Double] = [], copies: [Double] = []
        var complaint: String?
        note("a restart, \(image.title)")
        var hasLazy = true
        // The first turn warms the caches, and compares.
        for turn in 0...effort.turns {
            try place.warm(effort.large)
            let told = try launch(image, ["--load", "eager"] + (turn == 0 ? ["--env", "WATCH=1"] : []), in: place)
            if turn == 0, told.last != image.checksum { complaint = "the restarted program has another checksum" }
            let copy = try Program.output(place.benchmark("copy"), ["\(effort.large)", "3"]).compactMap { Double($0) }.median
            if turn > 0, let time = told.first.flatMap({ Double($0) }) {
                eager.append(time)
                copies.append(copy)
            }
            guard hasLazy else { continue }
            try place.warm(effort.large)
            let status = place.work + "/status.json"
            let late = try launch(image, ["--load", "lazy", "--status-file", status, "--env", "WATCH=1"], in: place)
            if try !String(contentsOfFile: status, encoding: .utf8).contains("\"load\":\"lazy\"") {
                hasLazy = false
                continue
            }
            if late.last != image.checksum { complaint = "the restarted program, loaded lazily, has another checksum" }
            if turn > 0, late.count == 3, let first = Double(late[0]), let all = Double(late[1]) {
                lazy.append(first / 1e6)
                whole.append(all)
            }
        }
        let memcpy = "memcpy \(Unit.milliseconds.text(copies.median / 1e6))"
        var rows = [Row("\(image.title), eager", .times, zip(eager, copies).map { $0 / $1 }, aim: .below(image.eagerAim),
                        more: Unit.milliseconds.text(eager.median / 1e6), limit: memcpy, complaint: complaint)]
        if hasLazy {
            rows.append(Row("\(image.title), lazy", .milliseconds, lazy, aim: .below(image.lazyAim), limit: memcpy))
            let ratio = zip(whole, eager).map { $0 / $1 }
            rows.append(Row("\(image.title), lazy: all again, of the eager time", .times, ratio, aim: .atMost(1.5),
                            more: Unit.milliseconds.text(whole.median / 1e6), limit: memcpy))
        } else {
            rows.append(Row("\(image.title), lazy", .milliseconds, notThere: "this version loads eagerly", aim: .below(image.lazyAim)))
        }
        return rows
    }

    private static func launch(_ image: Image, _ options: [String], in place: Place) throws -> [String] {
        let lines = try Program.output(place.benchmark("launch"), [place.program("ckpt-restart")] + options + [image.path], limit: 90)
        guard !lines.isEmpty else { throw Failure("the restarted program printed nothing") }
        return lines
    }
}
