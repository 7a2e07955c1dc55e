// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI

extension Configuration {
    /// How the pages are found that were written since the last image.
    public enum Tracker: String, Sendable, CaseIterable {
        /// `uffd` where the kernel has it, found out by trying; else none, and every image is full.
        case auto
        /// Asynchronous write-protection by userfaultfd(2) and PAGEMAP_SCAN (Linux 6.7): about 1 µs for each page first written.
        case uffd
        /// mprotect(2) and a SIGSEGV handler, on every Linux: about 10 µs for each page first written. System calls of the
        /// program that write into memory that is tracked fail with EFAULT, so this is never chosen by itself.
        case mprotect
        /// Every image is full.
        case none

        package var rawTracker: UInt32 {
            switch self {
            case .auto: CKPT_TRACKER_AUTO.rawValue
            case .uffd: CKPT_TRACKER_UFFD.rawValue
            case .mprotect: CKPT_TRACKER_MPROTECT.rawValue
            case .none: CKPT_TRACKER_NONE.rawValue
            }
        }

        package init(rawTracker: UInt32) { self = Self.allCases.first { $0.rawTracker == rawTracker } ?? .auto }
    }
}
