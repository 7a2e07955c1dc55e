// SPDX-License-Identifier: Apache-2.0

/// One section of the table. A row that cannot be measured says why and the others go on.
protocol Measurement {
    static var name: String { get }
    static func measure(in place: Place, effort: Effort) throws -> Section
}

/// How much is measured: all, or little, to see that it works.
struct Effort {
    var turns = 7
    var pairs = 40
    var pauseSizes = [64, 256, 1024, 4096]
    var tenthSizes = [64, 256, 1024]
    /// MiB of the program that stands for a large one.
    var large = 1024
    var trackedPages = 32768
    var programSeconds = 4.0
    var programCheckpoints = 3

    static let quick = Effort(turns: 2, pairs: 4, pauseSizes: [64], tenthSizes: [64], large: 128, trackedPages: 4096, programSeconds: 1, programCheckpoints: 1)
}

/// Rows, or one that says what is missing.
func rows(_ name: String, _ unit: Unit, aim: Aim? = nil, _ measure: () throws -> [Row]) throws -> [Row] {
    do { return try measure() } catch let missing as NotThere { return [Row(name, unit, notThere: missing.why, aim: aim)] }
}

func size(_ mebibytes: Int) -> String { mebibytes % 1024 == 0 ? "\(mebibytes / 1024) GiB" : "\(mebibytes) MiB" }
