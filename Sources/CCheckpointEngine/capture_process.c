// SPDX-License-Identifier: Apache-2.0
// Captures what belongs to the process as a whole: ids, memory layout, directory, clocks.
// Signal time: safe. Reads /proc and asks the kernel; runs in the scribe while the program is frozen, or in a survey.
#include "engine.h"

// "task/TID/NAME" of a thread that lives: a leader that ended has no memory, directory or descriptors left to speak of.
static void living_path(struct ckpt_checkpoint *c, const char *name, char *path, size_t byte_count) {
    char *end = path + byte_count;
    char *to = ckpt_append_number(ckpt_append(path, end, "task/"), end, (uint64_t)c->live_tid, 10, 1);
    ckpt_append(ckpt_append(to, end, "/"), end, name);
}

static uint32_t link_string(struct ckpt_checkpoint *c, const char *name) {
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET), path[64];
    living_path(c, name, path, sizeof path);
    long length = ckpt_read_link(c->proc, path, text, CKPT_PATH_BYTES);
    return length > 0 ? ckpt_string(c, text, (size_t)length) : 0;
}

// Fields of /proc/PID/stat behind the name; number 3 is the state.
static uint64_t stat_field(const char *after_name, int wanted) {
    uint64_t number = 0;
    const char *at = after_name;
    for (int field = 3; *at; field++) {
        if (field == wanted) { if (*at == '-') at++; ckpt_number(at, 10, &number); return number; }
        while (*at && *at != ' ') at++;
        if (*at) at++;
    }
    return 0;
}

static int read_stat(struct ckpt_checkpoint *c) {
    struct ckpt_process *p = &c->process;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET), path[64];
    living_path(c, "stat", path, sizeof path);
    long length = ckpt_read_text(c->proc, path, text, 4096);
    if (length < 0) return (int)length;
    while (length > 0 && text[length] != ')') length--;
    if (length == 0) return -CKPT_EINVAL_ERRNO;
    const char *fields = text + length + 2;
    p->parent_pid = (int32_t)stat_field(fields, 4);
    p->start_code = stat_field(fields, 26);
    p->end_code = stat_field(fields, 27);
    p->start_stack = stat_field(fields, 28);
    p->start_data = stat_field(fields, 45);
    p->end_data = stat_field(fields, 46);
    p->start_brk = stat_field(fields, 47);
    p->arg_start = stat_field(fields, 48);
    p->arg_end = stat_field(fields, 49);
    p->env_start = stat_field(fields, 50);
    p->env_end = stat_field(fields, 51);
    p->brk = (uint64_t)ckpt_call(__NR_brk, 0); // the scribe shares the memory, so this is the program's
    return 0;
}

void ckpt_capture_status(struct ckpt_checkpoint *c) {
    struct ckpt_process *p = &c->process;
    char *text = (char *)(ckpt_arena + CKPT_SCRATCH_OFFSET), path[64];
    uint64_t number = 0;
    living_path(c, "status", path, sizeof path);
    if (ckpt_read_text(c->proc, path, text, 8192) < 0) return;
    if (ckpt_find_field(text, "Umask:", 8, &number)) p->umask = (uint32_t)number; // since 4.7
    if (ckpt_find_field(text, "ShdPnd:", 16, &number)) p->pending_signals = number;
}

static void read_boot_id(struct ckpt_process *p) {
    char text[64];
    if (ckpt_read_text(-100, "/proc/sys/kernel/random/boot_id", text, sizeof text) < 36) return;
    int nibbles = 0;
    for (int i = 0; i < 36 && nibbles < 32; i++) {
        if (text[i] == '-') continue;
        uint8_t digit = (uint8_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
        p->boot_id[nibbles / 2] = (uint8_t)(p->boot_id[nibbles / 2] << 4 | digit);
        nibbles++;
    }
}

int ckpt_capture_process(struct ckpt_checkpoint *c) {
    struct ckpt_process *p = &c->process;
    struct { char system[65], node[65], release[65], version[65], machine[65], domain[65]; } *names =
        (void *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
    int error = read_stat(c);
    if (error < 0) return error;
    p->pid = c->pid;
    p->group = (int32_t)ckpt_call(__NR_getpgid, c->pid);
    p->session = (int32_t)ckpt_call(__NR_getsid, c->pid);
    p->uid = (uint32_t)ckpt_call(__NR_getuid);
    p->gid = (uint32_t)ckpt_call(__NR_getgid);
    const char *executable = ckpt_state.executable;
    p->executable = executable[0] ? ckpt_string(c, executable, ckpt_length(executable)) : link_string(c, "exe");
    p->directory = link_string(c, "cwd");
    p->root = link_string(c, "root");
    if (ckpt_call(__NR_uname, names) == 0) p->kernel_release = ckpt_string(c, names->release, ckpt_length(names->release));
    ckpt_memcpy(p->build_id, ckpt_state.plan.build_id, sizeof p->build_id);
    p->build_id_byte_count = ckpt_state.plan.build_id_byte_count;
    read_boot_id(p);
    p->realtime_ns = ckpt_clock(CKPT_CLOCK_REALTIME);
    p->monotonic_ns = ckpt_clock(CKPT_CLOCK_MONOTONIC);
    p->boottime_ns = ckpt_clock(CKPT_CLOCK_BOOTTIME);
    p->restart_context = (uint64_t)&ckpt_state.live.restart;
    p->arena_start = ckpt_arena;
    p->arena_end = ckpt_arena + CKPT_ARENA_BYTES;
    p->beacon_start = ckpt_state.beacon;
    p->beacon_end = ckpt_state.beacon ? ckpt_state.beacon + CKPT_PAGE_SIZE : 0;
    p->beacon_name = ckpt_string(c, ckpt_state.beacon_name, ckpt_length(ckpt_state.beacon_name));
    long length = ckpt_openat(-100, "/proc/self/auxv", 02000000);
    if (length >= 0) { // the scribe's own: the same memory, the same vector
        int file = (int)length;
        length = ckpt_read(file, c->auxv, sizeof c->auxv);
        if (length > 0) c->auxv_byte_count = (uint32_t)length;
        ckpt_close(file);
    }
    return 0;
}

// In the freeze: all kinds.
int ckpt_capture(struct ckpt_checkpoint *c) {
    struct ckpt_control *control = ckpt_control();
    int error = ckpt_capture_timers(c);
    if (error < 0) return error;
    ckpt_store(&control->command, CKPT_COMMAND_CAPTURE);
    ckpt_futex_wake(&control->command);
    error = ckpt_capture_process(c);
    if (error == 0) error = ckpt_capture_mappings(c);
    ckpt_apply_advice(c);
    if (error == 0) error = ckpt_capture_descriptors(c);
    if (error == 0) error = ckpt_capture_shared(c);
    if (error == 0) error = ckpt_capture_guard_pages(c);
    while (ckpt_load(&control->command) == CKPT_COMMAND_CAPTURE) {
        if (ckpt_call(__NR_getppid) != c->pid) return -CKPT_ESRCH; // killed while it was frozen
        ckpt_futex_wait(&control->command, CKPT_COMMAND_CAPTURE, 100000000);
    }
    c->action_count = 64;
    // Order: what is pending behind the timers. One that expires meanwhile goes on, unless its signal is found: so none is lost.
    if (error == 0) ckpt_capture_status(c);
    if (error == 0) error = ckpt_capture_threads(c);
    if (error == 0) error = ckpt_capture_schedulings(c);
    if (error == 0) error = ckpt_capture_limits(c);
    if (error == 0) error = ckpt_capture_attributes(c);
    if (error == 0) error = ckpt_capture_queued(c);
    if (error == 0) error = ckpt_settle_timers(c);
    return error;
}
