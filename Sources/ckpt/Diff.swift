// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointImage
import SystemPackage

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what changed between two checkpoints, by mapping.",
        discussion: """
            Pages whose bytes differ are changed; pages that only NEW has came, pages that only OLD has went. Mappings without a \
            difference are not shown. Each image is read with all that it builds on.
            """)

    @Argument(help: "The earlier image.", completion: .file(extensions: ["img"]))
    var old: String
    @Argument(help: "The later image.", completion: .file(extensions: ["img"]))
    var new: String
    @Flag(help: "Print the result as JSON.")
    var json = false
    @Flag(name: .shortAndLong, help: "Print the sums only.")
    var quiet = false

    func run() throws {
        let chains = try (open(old), open(new))
        let comparison: Comparison
        do throws(ImageError) { comparison = try Comparison(from: chains.0, to: chains.1) } catch { throw failure(new, error) }
        let rows = comparison.rows.filter(\.isDifferent)
        if json { return tell(document(chains.0, chains.1, rows).text) }
        if !quiet && !rows.isEmpty {
            var columns = Columns(titles: ["START", "END", "KIND", "STATE", "CHANGED", "CAME", "WENT", "NAME"], rightAligned: [4, 5, 6])
            for row in rows {
                columns.rows.append([
                    row.mapping.start.hex, row.mapping.end.hex, row.mapping.kind.word, row.state.rawValue, "\(row.changed)", "\(row.came)",
                    "\(row.went)", row.mapping.name.string.inOneLine,
                ])
            }
            tell(columns.text)
        }
        let sums = rows.reduce(into: (changed: UInt64(0), came: UInt64(0), went: UInt64(0))) {
            $0 = ($0.changed + $1.changed, $0.came + $1.came, $0.went + $1.went)
        }
        tell("\(sums.changed) pages changed, \(sums.came) came, \(sums.went) went")
    }

    private func open(_ path: String) throws -> ImageChain {
        do throws(ImageError) { return try ImageChain.open(FilePath(path)) } catch { throw failure(path, error) }
    }

    private func document(_ old: ImageChain, _ new: ImageChain, _ rows: [Comparison.Row]) -> Json {
        .object([
            ("old", .string(old.newest.ident.name)), ("new", .string(new.newest.ident.name)),
            ("mappings", .array(rows.map { row in
                .object([
                    ("start", .address(row.mapping.start)), ("end", .address(row.mapping.end)), ("kind", .string(row.mapping.kind.word)),
                    ("state", .string(row.state.rawValue)), ("changed_pages", .number(row.changed)), ("came_pages", .number(row.came)),
                    ("went_pages", .number(row.went)), ("name", .string(row.mapping.name.string)),
                ])
            })),
        ])
    }
}
