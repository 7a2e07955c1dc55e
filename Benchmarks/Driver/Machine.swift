// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Where the figures come from.
struct Machine: Codable {
    var processor, kernel, fileSystem: String
    var cores: Int
    var memoryGibibytes: Double
    var loadBefore: String

    init(imagesIn folder: String) {
        let lines = Machine.text("/proc/cpuinfo").split(separator: "\n")
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last.map(String.init) ?? "unknown processor"
        processor = model.trimmingCharacters(in: .whitespaces)
        kernel = Machine.text("/proc/sys/kernel/osrelease").prefix { $0.isNumber || $0 == "." }.description
        cores = ProcessInfo.processInfo.activeProcessorCount
        memoryGibibytes = Double(ProcessInfo.processInfo.physicalMemory) / 1_073_741_824
        loadBefore = Machine.text("/proc/loadavg").split(separator: " ").prefix(1).joined()
        let mounts = Machine.text("/proc/mounts").split(separator: "\n").map { $0.split(separator: " ") }.filter { $0.count > 2 }
        let mount = mounts.filter { folder == $0[1] || folder.hasPrefix($0[1] == "/" ? "/" : $0[1] + "/") }.max { $0[1].count < $1[1].count }
        fileSystem = mount.map { String($0[2]) } ?? "unknown"
    }

    var line: String {
        "\(processor), \(cores) cores, \(String(format: "%.0f", memoryGibibytes)) GiB, kernel \(kernel), images on \(fileSystem); load before: \(loadBefore)"
    }

    /// Of /proc/meminfo, in bytes.
    static var availableMemory: Double {
        let line = text("/proc/meminfo").split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0) * 1024
    }

    private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}
