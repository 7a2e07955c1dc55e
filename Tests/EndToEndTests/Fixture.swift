// SPDX-License-Identifier: Apache-2.0

/// A small program of Tests/Fixtures, with its arguments.
struct Fixture: Sendable, Hashable, CustomStringConvertible {
    var program: String
    var arguments: [String] = []
    /// May hold locks that know their owner by thread id: with new ids the restart may refuse.
    var needsItsIds = false
    /// Prints its ids: with new ones the restarted run prints something else.
    var printsItsIds = false
    /// Where its facts are: a file that it opens itself, or its standard output.
    var factsFile: String?
    var standardInput: String?
    var needsDevices = false

    var isSwift: Bool { program.first!.isUppercase }
    var description: String { ([program] + arguments).joined(separator: " ") }

    init(_ program: String, _ arguments: String..., needsItsIds: Bool = false, printsItsIds: Bool = false, factsFile: String? = nil,
         standardInput: String? = nil, needsDevices: Bool = false) {
        self.program = program
        self.arguments = arguments
        self.needsItsIds = needsItsIds
        self.printsItsIds = printsItsIds
        self.factsFile = factsFile
        self.standardInput = standardInput
        self.needsDevices = needsDevices
    }

    static let inC: [Fixture] = [
        Fixture("mapping"), Fixture("mapping_down"), Fixture("mapping_droppable"), Fixture("mapping_guard"), Fixture("mapping_sealed"), Fixture("mapping_reserve"), Fixture("mapping_many"),
        Fixture("shared_anonymous"), Fixture("shared_memfd"), Fixture("shared_deleted"), Fixture("shared_busy"), Fixture("shared_file"), Fixture("shared_segment", "removed"), Fixture("shared_segment", "kept"), Fixture("stack"), Fixture("heap"), Fixture("registers"), Fixture("processor", "ymm"), Fixture("processor", "zmm"), Fixture("vdso"),
        Fixture("thread"), Fixture("thread_many", needsItsIds: true), Fixture("thread_local"), Fixture("thread_leader"),
        Fixture("condition", needsItsIds: true), Fixture("timed_wait", needsItsIds: true), Fixture("blocked", "without queues", needsItsIds: true), Fixture("blocked_alone", "poll"), Fixture("blocked_alone", "epoll"),
        Fixture("mutex", "normal"), Fixture("mutex", "recursive", needsItsIds: true), Fixture("mutex", "checking", needsItsIds: true),
        Fixture("mutex", "robust", needsItsIds: true), Fixture("mutex", "inheriting", needsItsIds: true),
        Fixture("mutex", "inheriting-robust", needsItsIds: true), Fixture("mutex", "robust-orphan", needsItsIds: true),
        Fixture("mutex", "process-shared"), Fixture("mutex", "process-shared-robust", needsItsIds: true), Fixture("coroutine"),
        Fixture("scheduling"), Fixture("limit"), Fixture("attribute"), Fixture("attribute_seccomp", "inherited"),
        Fixture("alternate_stack"), Fixture("signal_action"), Fixture("signal_pending"), Fixture("signal_mask"), Fixture("signal_queued"), Fixture("signalfd"),
        Fixture("timer"), Fixture("timer_exact"), Fixture("timer_thread", needsItsIds: true), Fixture("timer_interval", "far"), Fixture("timer_interval", "soon"), Fixture("timer_interval", "pending"),
        Fixture("directory"), Fixture("file"), Fixture("file_tail"), Fixture("file_deleted"), Fixture("direct_io"), Fixture("aio"), Fixture("ring"), Fixture("pipe"), Fixture("eventfd"), Fixture("socket"), Fixture("epoll"), Fixture("timerfd"),
        Fixture("device", needsDevices: true),
        Fixture("streams", "inherited", standardInput: "what the driver says"), Fixture("streams", "own", factsFile: "facts"),
        Fixture("streams", "closed", factsFile: "facts"),
        Fixture("arguments", "first", "second word", "\u{e9}t\u{e9}"), Fixture("identity", printsItsIds: true), Fixture("child"), Fixture("library"), Fixture("exclusion_hook"),
    ]
    static let inSwift: [Fixture] = [
        Fixture("SwiftTasks", needsItsIds: true), Fixture("SwiftDispatch", needsItsIds: true), Fixture("SwiftFoundation", needsItsIds: true),
        Fixture("SwiftLocks", needsItsIds: true), Fixture("SwiftStatic", needsItsIds: true),
    ]
    /// CKPT_TEST_ONLY: a part of the name of the fixtures that are wanted.
    static let all = (inC + inSwift).filter { Workshop.only.isEmpty || $0.description.contains(Workshop.only) }
}

/// A way to go through a fixture.
struct Flavour: Sendable, Hashable, CustomStringConvertible {
    enum User: String, Sendable, CaseIterable { case root, nobody }
    enum Identity: String, Sendable, CaseIterable { case auto, keep, new }
    enum Trigger: String, Sendable, CaseIterable { case signal, save }
    /// CKPT_TRACKER of the program.
    enum Tracker: String, Sendable, CaseIterable { case auto, mprotect, none }
    enum Load: String, Sendable, CaseIterable { case eager, lazy }
    var user = User.nobody
    var identity = Identity.auto
    var restarts = 1
    var trigger = Trigger.signal
    var tracker = Tracker.auto
    var load = Load.eager

    var description: String { "\(user), ids \(identity), tracker \(tracker), restarted \(restarts)×, loaded \(load), by \(trigger)" }
}

/// A fixture in a flavour: one row of the end-to-end table.
struct Row: Sendable, Hashable, CustomStringConvertible {
    var fixture: Fixture
    var flavour: Flavour
    var description: String { "\(fixture): \(flavour)" }
    /// For Scripts/tables.
    var fields: String { [fixture.description, flavour.user.rawValue, flavour.identity.rawValue, flavour.tracker.rawValue, "\(flavour.restarts)", flavour.load.rawValue, flavour.trigger.rawValue].joined(separator: "\t") }

    /// Every fixture in every flavour.
    static var matrix: [Row] {
        var rows: [Row] = []
        for fixture in Fixture.all {
            for user in Flavour.User.available {
                for identity in Flavour.Identity.allCases {
                    for restarts in [1, 2, 5] {
                        for trigger in Flavour.Trigger.allCases {
                            for tracker in Flavour.Tracker.allCases {
                                for load in Flavour.Load.allCases {
                                    rows.append(Row(fixture: fixture, flavour: Flavour(user: user, identity: identity, restarts: restarts, trigger: trigger, tracker: tracker, load: load)))
                                }
                            }
                        }
                    }
                }
            }
        }
        return rows
    }

    /// A pairwise choice: over the table every two properties of a flavour meet, and every fixture meets the main ones.
    static var pairwise: [Row] {
        var rows: [Row] = []
        let other: Flavour.User = Flavour.User.available.first!
        for (index, fixture) in Fixture.all.enumerated() {
            rows.append(Row(fixture: fixture, flavour: Flavour(restarts: index % 5 == 0 ? 5 : 2, trigger: index % 2 == 0 ? .signal : .save, load: .lazy)))
            rows.append(Row(fixture: fixture, flavour: Flavour(user: other, identity: index % 2 == 0 ? .keep : .auto, restarts: index % 3 == 0 ? 2 : 1, trigger: index % 2 == 0 ? .save : .signal, tracker: .mprotect)))
            rows.append(Row(fixture: fixture, flavour: Flavour(user: index % 2 == 0 ? .nobody : other, identity: .new, restarts: index % 3 == 1 ? 2 : 1, tracker: [.auto, .none, .mprotect, .none][index % 4], load: index % 4 == 1 ? .lazy : .eager)))
        }
        return rows
    }

    /// One row for each fixture, in another flavour every turn; after 216 turns all have been there (108 without root).
    static func turn(_ number: Int) -> [Row] {
        var rows: [Row] = []
        for (index, fixture) in Fixture.all.enumerated() {
            let all = matrix.filter { $0.fixture == fixture }
            rows.append(all[(index + number * 5) % all.count])
        }
        return rows
    }

    /// `make test` takes the pairwise choice, `make matrix` all, `make soak` a turn.
    static var chosen: [Row] { Workshop.isFull ? matrix : Workshop.turn.map(turn) ?? pairwise }
}
