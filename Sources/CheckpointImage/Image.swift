// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// An image that has been opened and whose tables have been checked. The pages have not: see `verifyPages()`.
package final class Image: Sendable {
    package static let supportedMajor: UInt16 = 1
    package static let pageSize: UInt64 = 4096

    package let path: FilePath
    /// The open file (O_RDONLY, close on exec); closed with the last reference to this object.
    package let descriptor: Int32
    package let ident: Identity
    package let process: ProcessState
    package let mappings: [Mapping]
    package let runs: [PageRun]
    package let segments: [Segment]
    package let threads: [ThreadState]
    package let signalActions: [SignalAction]
    package let descriptors: [DescriptorState]
    package let pipes: [PipeState]
    package let eventfds: [EventfdState]
    package let timerfds: [TimerfdState]
    package let epollEntries: [EpollEntry]
    package let blobs: [Blob]
    /// The raw note NT_AUXV.
    package let auxiliaryVector: [UInt8]

    private init(path: FilePath) throws(ImageError) {
        throw .missing(path)
    }

    /// Opens an image and checks everything but the content of pages and blobs.
    package static func open(_ path: FilePath) throws(ImageError) -> Image {
        try Image(path: path)
    }

    /// The page runs of one mapping, ascending.
    package func runs(in mapping: Mapping) -> ArraySlice<PageRun> {
        let first = runs.partition(byAddress: mapping.start)
        return runs[first..<runs.partition(byAddress: mapping.end)]
    }

    /// Reads every page run and blob and compares its checksum.
    package func verifyPages() throws(ImageError) {
        throw .missing(path)
    }

    /// The content of a blob, its checksum compared.
    package func readBlob(_ index: Int) throws(ImageError) -> [UInt8] {
        throw .missing(path)
    }
}

extension [PageRun] {
    /// Index of the first run at this address or above; the runs ascend.
    func partition(byAddress address: UInt64) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].address < address { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
