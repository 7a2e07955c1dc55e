// SPDX-License-Identifier: Apache-2.0
// Captures what prctl and its like set for a thread or the process.
// Signal time: safe. What only the thread itself can ask, it asks while it is parked: ten short calls; the rest in the scribe.
#include "engine.h"

// Kernel: numbers of include/uapi/linux/prctl.h.
enum {
    GET_DEATH_SIGNAL = 2, GET_DUMPABLE = 3, GET_KEEP_CAPABILITIES = 7, GET_TSC = 25, GET_SECUREBITS = 27, GET_TIMER_SLACK = 30,
    GET_MACHINE_CHECK = 34, GET_SUBREAPER = 37, GET_NO_NEW_PRIVILEGES = 39, GET_NO_HUGE_PAGES = 42, GET_SPECULATION = 52, GET_DENY_WRITE_EXECUTE = 66,
};

static uint64_t known(long result) { return result < 0 && result > -4096 ? CKPT_UNKNOWN : (uint64_t)result; }

// Results that come as an int through a pointer.
static uint64_t asked(int option) {
    int32_t value = 0;
    return ckpt_call(__NR_prctl, option, &value) == 0 ? (uint64_t)(uint32_t)value : CKPT_UNKNOWN;
}

void ckpt_ask_attributes(struct ckpt_slot *slot) {
    uint64_t *to = slot->attributes;
    slot->timer_slack_ns = known(ckpt_call(__NR_prctl, GET_TIMER_SLACK));
    if (slot->timer_slack_ns == CKPT_UNKNOWN) slot->timer_slack_ns = 0;
    for (uint32_t i = 0; i < CKPT_THREAD_ATTRIBUTES; i++) to[i] = CKPT_UNKNOWN;
    to[CKPT_ATTRIBUTE_DEATH_SIGNAL] = asked(GET_DEATH_SIGNAL);
    to[CKPT_ATTRIBUTE_NO_NEW_PRIVILEGES] = known(ckpt_call(__NR_prctl, GET_NO_NEW_PRIVILEGES));
    to[CKPT_ATTRIBUTE_KEEP_CAPABILITIES] = known(ckpt_call(__NR_prctl, GET_KEEP_CAPABILITIES));
    to[CKPT_ATTRIBUTE_SECUREBITS] = known(ckpt_call(__NR_prctl, GET_SECUREBITS));
    to[CKPT_ATTRIBUTE_PERSONALITY] = known(ckpt_call(__NR_personality, 0xffffffff));
    to[CKPT_ATTRIBUTE_TIME_STAMPS] = asked(GET_TSC);
    to[CKPT_ATTRIBUTE_MACHINE_CHECK] = known(ckpt_call(__NR_prctl, GET_MACHINE_CHECK));
    to[CKPT_ATTRIBUTE_STORE_BYPASS] = known(ckpt_call(__NR_prctl, GET_SPECULATION, 0));
    to[CKPT_ATTRIBUTE_INDIRECT_BRANCH] = known(ckpt_call(__NR_prctl, GET_SPECULATION, 1));
}

// Kernel: "Seccomp_filters:" since 5.11; before, that there are some is all that is known.
void ckpt_note_status(struct ckpt_slot *slot, const char *status) {
    uint64_t mode, count;
    if (!ckpt_find_field(status, "Seccomp:", 10, &mode)) return;
    if (!ckpt_find_field(status, "Seccomp_filters:", 10, &count)) count = mode == 2;
    slot->attributes[CKPT_ATTRIBUTE_SECCOMP_MODE] = mode;
    slot->attributes[CKPT_ATTRIBUTE_SECCOMP_FILTERS] = count;
}

static void add(struct ckpt_checkpoint *c, uint32_t kind, int32_t tid, uint64_t value) {
    struct ckpt_attribute *attribute = ckpt_extend(&c->tables, sizeof *attribute);
    if (!attribute) { c->step = CKPT_STEP_ARENA; return; }
    *attribute = (struct ckpt_attribute){kind, tid, value};
    c->attribute_count++;
}

static void add_known(struct ckpt_checkpoint *c, uint32_t kind, int32_t tid, uint64_t value) {
    if (value != CKPT_UNKNOWN) add(c, kind, tid, value);
}

static void add_oom_adjustment(struct ckpt_checkpoint *c) {
    char text[32];
    uint64_t number;
    if (ckpt_read_text(c->proc, "oom_score_adj", text, sizeof text) <= 0) return;
    int is_negative = text[0] == '-';
    ckpt_number(text + is_negative, 10, &number);
    add(c, CKPT_ATTRIBUTE_OOM_ADJUSTMENT, 0, is_negative ? 0 - number : number);
}

// Kernel: what belongs to the memory (dumpable, huge pages, write and execute) is the scribe's too.
static void add_process(struct ckpt_checkpoint *c, uint64_t subreaper) {
    uint64_t dumpable = known(ckpt_call(__NR_prctl, GET_DUMPABLE));
    add_known(c, CKPT_ATTRIBUTE_DUMPABLE, 0, ckpt_control()->was_not_dumpable ? 0 : dumpable);
    add_known(c, CKPT_ATTRIBUTE_NO_HUGE_PAGES, 0, known(ckpt_call(__NR_prctl, GET_NO_HUGE_PAGES)));
    add_known(c, CKPT_ATTRIBUTE_SUBREAPER, 0, subreaper);
    add_known(c, CKPT_ATTRIBUTE_DENY_WRITE_EXECUTE, 0, known(ckpt_call(__NR_prctl, GET_DENY_WRITE_EXECUTE)));
    add(c, CKPT_ATTRIBUTE_INHERITED_FILTERS, 0, ckpt_state.inherited_filters);
    add(c, CKPT_ATTRIBUTE_FILTERS_ADDRESS, 0, (uint64_t)&ckpt_state.inherited_filters);
    add_oom_adjustment(c);
}

uint64_t ckpt_ask_subreaper(void) { return asked(GET_SUBREAPER); }

static void note_living_status(struct ckpt_checkpoint *c, struct ckpt_slot *slot) {
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET), path[64], *end = path + sizeof path;
    ckpt_append(ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)c->live_tid, 10, 1), end, "/status");
    if (ckpt_read_text(c->proc, path, text, 8192) > 0) ckpt_note_status(slot, text);
}

// Of the first thread all, as those of the process; of the others what is different.
int ckpt_capture_attributes(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_slot own, *first = NULL;
    uint32_t claimed = c->frozen ? control->slot_count - control->slot_first : 0;
    c->attribute_count = 0;
    c->attributes = ckpt_take(&c->tables, 0);
    if (!c->attributes) { c->step = CKPT_STEP_ARENA; return -CKPT_ENOMEM; }
    if (!c->frozen) { // a survey, which this thread of the program makes
        ckpt_ask_attributes(first = &own);
        note_living_status(c, first);
    }
    for (uint32_t i = 0; i < claimed && i < CKPT_SLOT_COUNT; i++) {
        struct ckpt_slot *slot = ckpt_slot(control->slot_first + i);
        if (slot->ready != control->epoch) continue;
        if (!first) {
            first = slot;
            if (c->foreign_proc) note_living_status(c, slot);
            continue;
        }
        for (uint32_t kind = 0; kind < CKPT_THREAD_ATTRIBUTES; kind++)
            if (slot->attributes[kind] != first->attributes[kind]) add_known(c, kind, slot->tid, slot->attributes[kind]);
    }
    for (uint32_t kind = 0; first && kind < CKPT_THREAD_ATTRIBUTES; kind++) add_known(c, kind, 0, first->attributes[kind]);
    add_process(c, c->frozen ? control->is_subreaper : ckpt_ask_subreaper());
    return c->step == CKPT_STEP_ARENA ? -CKPT_ENOMEM : 0;
}
