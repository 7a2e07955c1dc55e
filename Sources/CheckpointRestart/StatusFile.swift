// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// `--status-file`: what became of the restart, as one JSON object on one line.
package enum StatusFile {
    /// Nothing was started.
    package static func write(_ failure: RestartFailure, to path: String) {
        write("{\"status\":125,\"class\":\"\(failure.kind.rawValue)\",\"what\":\(quoted(failure.what)),\"remedy\":\(quoted(failure.remedy))}\n",
            to: path)
    }

    private static func write(_ text: String, to path: String) {
        guard let file = try? open(path) else { return }
        defer { try? file.close() }
        _ = try? file.writeAll(text.utf8)
    }

    private static func open(_ path: String) throws -> FileDescriptor {
        try FileDescriptor.open(FilePath(path), .writeOnly, options: [.create, .truncate, .closeOnExec],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
    }

    /// Tells what was chosen, and leaves the file open above `floor` for the restorer. -1: no status file is wanted.
    static func begin(options: RestartOptions, identity: UInt32, image: String, load: RestartOptions.Load, remarks: [String], above floor: Int32) throws(RestartFailure) -> Int32 {
        guard let path = options.statusFile else { return -1 }
        do {
            let file = try open(path)
            let names = ["kept", "namespace", "new"]
            let told = remarks.isEmpty ? "" : ",\"remarks\":[\(remarks.map(quoted).joined(separator: ","))]"
            let chosen = Int(identity) < names.count ? names[Int(identity)] : "new"
            try file.writeAll("{\"status\":0,\"step\":\"started\",\"image\":\"\(image)\",\"identity\":\"\(chosen)\",\"load\":\"\(load.rawValue)\"\(told)}\n".utf8)
            // F_DUPFD_CLOEXEC
            let high = try Kernel.call(.fcntl, UInt64(file.rawValue), 1030, UInt64(floor))
            try file.close()
            return Int32(truncatingIfNeeded: high)
        } catch {
            throw RestartFailure(kind: .io, what: "the status file \(path) can not be written", remedy: "name another one with --status-file")
        }
    }

    /// What the restorer writes in front of the step's text when the kernel says no.
    static let failurePrefix = "{\"status\":126,\"class\":\"unsupported\",\"step\":\""

    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 32:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
