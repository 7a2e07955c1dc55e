// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Signal time names nothing outside itself; the restorer's section can be copied anywhere.
struct ObjectTests {
    static func objects(of target: String) -> [String] {
        let folder = Tree.buildFolder + "/\(target).build"
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".o") }.map { folder + "/" + $0 }.sorted()
    }

    /// The whole target in one object.
    static func linked(_ target: String) throws -> String {
        // Beside the restorer, its target holds what plan time needs of C: files that say so.
        let objects = objects(of: target).filter { object in
            guard let name = object.split(separator: "/").last?.dropLast(2) else { return false }
            return (try? Tree.lines("Sources/\(target)/\(name)").prefix(8).contains { $0.contains("Plan time") }) != true
        }
        try #require(!objects.isEmpty, "\(target) is not built for release; make builds it")
        let output = NSTemporaryDirectory() + "\(target)-\(UUID().uuidString).o"
        let run = try ToolRun("ld", ["-r", "-o", output] + objects)
        try #require(run.status == 0, "ld -r: \(run.output)")
        return output
    }

    @Test func `the engine has no undefined symbol`() throws {
        let object = try Self.linked("CCheckpointEngine")
        defer { try? FileManager.default.removeItem(atPath: object) }
        let undefined = try ToolRun("nm", ["-u", object])
        // The linker's own name for its table of addresses is no call.
        let outside = undefined.lines.map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0 != "U _GLOBAL_OFFSET_TABLE_" }
        #expect(undefined.status == 0 && outside.isEmpty, "\(outside)")
    }

    @Test func `the engine has no thread-local storage`() throws {
        let object = try Self.linked("CCheckpointEngine")
        defer { try? FileManager.default.removeItem(atPath: object) }
        let sections = try ToolRun("readelf", ["-SW", object])
        #expect(sections.status == 0 && !sections.output.contains(".tdata") && !sections.output.contains(".tbss"), "\(sections.output)")
    }

    @Test func `the restorer has no undefined symbol`() throws {
        let object = try Self.linked("CRestorer")
        defer { try? FileManager.default.removeItem(atPath: object) }
        let undefined = try ToolRun("nm", ["-u", object])
        let outside = undefined.lines.map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0 != "U _GLOBAL_OFFSET_TABLE_" }
        #expect(undefined.status == 0 && outside.isEmpty, "\(outside)")
    }

    @Test func `the restorer's section has no relocation and is not empty`() throws {
        let object = try Self.linked("CRestorer")
        defer { try? FileManager.default.removeItem(atPath: object) }
        let sections = try ToolRun("readelf", ["-SW", object])
        let section = sections.lines.first { $0.contains(" .ckpt_restorer ") }
        #expect(section != nil, "\(sections.output)")
        #expect(!sections.output.contains(".rela.ckpt_restorer"), "the section has relocations: \(sections.output)")
    }

    @Test func `ckpt-restart needs no library`() throws {
        let run = try ToolRun("readelf", ["-lW", Tree.buildFolder + "/ckpt-restart"])
        #expect(run.status == 0 && !run.output.contains("INTERP"), "\(run.output)")
    }

    @Test func `the library exports the C interface and nothing else, binds at once, and needs no Swift`() throws {
        let library = Tree.root + "/.build/stage/lib/libcheckpointkit.so"
        try #require(FileManager.default.fileExists(atPath: library), "make stages the library")
        let exported = try ToolRun("nm", ["-D", "--defined-only", library]).lines.compactMap { $0.split(separator: " ").last }.map(String.init)
        let declared = try Tree.lines("include/checkpointkit.h").compactMap { line -> String? in
            guard let parenthesis = line.firstIndex(of: "("), let first = line.first, first.isLetter, !line.hasPrefix("typedef") else { return nil }
            let name = line[..<parenthesis].split(whereSeparator: { !$0.isLetter && $0 != "_" }).last.map(String.init)
            return name?.hasPrefix("ckpt_") == true ? name : nil
        }
        #expect(Set(exported) == Set(declared))
        let dynamic = try ToolRun("readelf", ["-dW", library]).output
        #expect(dynamic.contains("BIND_NOW") || dynamic.contains("Flags: NOW"), "\(dynamic)")
        #expect(!dynamic.contains("libswift") && !dynamic.contains("libFoundation") && !dynamic.contains("libdispatch"), "\(dynamic)")
    }
}
