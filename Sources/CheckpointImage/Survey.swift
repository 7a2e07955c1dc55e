// SPDX-License-Identifier: Apache-2.0

/// The tables of a process at this moment, as `ckpt_engine_survey` writes them: what `preflight()` judges.
package struct Survey: Sendable {
    package var process = ProcessState()
    package var processor: ProcessorState?
    package var mappings: [Mapping] = []
    package var threads: [ThreadState] = []
    package var descriptors: [DescriptorState] = []
    package var shared: [SharedObject] = []
    package var attributes: [AttributeState] = []
    package var timers: [TimerState] = []

    /// Reads the notes of a survey. They come from this process, but are read with the same care as an image.
    package static func parse(_ notes: [UInt8]) throws(ImageError) -> Survey {
        let tables = try Tables(notes.span, base: 0, isSurvey: true)
        var survey = Survey()
        survey.process = tables.process
        survey.processor = tables.processor
        survey.mappings = tables.mappings
        survey.threads = tables.threads
        survey.descriptors = tables.descriptors
        survey.shared = tables.shared
        survey.attributes = tables.attributes
        survey.timers = tables.timers
        try Checks.check(survey.mappings)
        try Checks.check(survey.shared, survey.mappings)
        return survey
    }

    package func judge(host: HostFacts?) -> [Finding] {
        Judgement.judge(
            process: process, processor: processor, mappings: mappings, descriptors: descriptors, attributes: attributes, timers: timers, shared: shared,
            host: host)
    }
}
