// SPDX-License-Identifier: Apache-2.0
// Who asked for this checkpoint, and what they are told: `ckpt save` over its socket, the program in its live state.
// Signal time: safe. Runs in the scribe; a requester that says nothing costs five seconds, never the checkpoint.
#include "engine.h"

static long read_all(int descriptor, void *to, size_t byte_count) {
    size_t used = 0;
    while (used < byte_count) {
        long got = ckpt_read(descriptor, (char *)to + used, byte_count - used);
        if (got == -CKPT_EINTR) continue;
        if (got <= 0) return -1;
        used += (size_t)got;
    }
    return 0;
}

// `ckpt save` listens; the nonce in its signal says where.
void ckpt_connect_requesters(struct ckpt_requesters *requesters) {
    struct ckpt_control *control = ckpt_control();
    struct { uint16_t family; char path[108]; } address;
    for (int i = 0; i < CKPT_NONCES; i++) {
        uint64_t nonce = ckpt_exchange(&control->nonces[i], 0);
        if (!nonce || requesters->count == CKPT_NONCES) continue;
        ckpt_memset(&address, 0, sizeof address);
        address.family = 1; // AF_UNIX
        char *end = address.path + sizeof address.path;
        char *to = ckpt_append_number(ckpt_append(address.path, end, CKPT_SAVE_DIRECTORY), end, nonce, 16, 16);
        ckpt_append(to, end, "/s");
        long socket = ckpt_call(__NR_socket, 1, 1 | 02000000 /* SOCK_STREAM | SOCK_CLOEXEC */, 0);
        if (socket < 0) continue;
        struct { int32_t pid; uint32_t uid, gid; } peer = {0, ~0u, ~0u};
        uint32_t peer_byte_count = sizeof peer;
        struct { int64_t seconds, microseconds; } limit = {5, 0};
        struct ckpt_save_request *request = (struct ckpt_save_request *)(ckpt_arena + CKPT_SCRATCH_OFFSET);
        ckpt_call(__NR_setsockopt, socket, 1, 20 /* SO_RCVTIMEO */, &limit, sizeof limit);
        ckpt_call(__NR_setsockopt, socket, 1, 21 /* SO_SNDTIMEO */, &limit, sizeof limit);
        uint64_t uid = (uint64_t)ckpt_call(__NR_geteuid);
        if (ckpt_call(__NR_connect, socket, &address, sizeof address) < 0
            || ckpt_call(__NR_getsockopt, socket, 1, 17 /* SO_PEERCRED */, &peer, &peer_byte_count) < 0
            || (peer.uid != uid && peer.uid != 0)
            || read_all((int)socket, request, sizeof *request) < 0 || request->magic != CKPT_SAVE_MAGIC) {
            ckpt_close((int)socket);
            continue;
        }
        if (request->exit_after) requesters->exit_after = 1;
        if (request->path[0] == '/') ckpt_memcpy(requesters->path, request->path, CKPT_PATH_BYTES - 1);
        requesters->sockets[requesters->count++] = (int)socket;
    }
}

void ckpt_tell(struct ckpt_checkpoint *c, int error, struct ckpt_requesters *requesters) {
    struct ckpt_control *control = ckpt_control();
    struct ckpt_live *live = &ckpt_state.live;
    struct ckpt_report *r = &c->report;
    if (r->outcome != CKPT_OUTCOME_TOO_SOON)
        r->outcome = error == 0 ? CKPT_OUTCOME_SAVED : c->step == CKPT_STEP_HOOK ? CKPT_OUTCOME_CANCELLED : CKPT_OUTCOME_FAILED;
    r->step = error == 0 ? CKPT_STEP_NONE : c->step;
    r->error = error;
    r->tid = c->stuck_tid;
    ckpt_memcpy(r->thread_name, c->stuck_name, sizeof r->thread_name);
    r->ticket = ckpt_load(&control->ticket);
    r->identifier = c->ident.identifier;
    r->sequence = c->ident.sequence;
    r->memory_byte_count = c->memory_byte_count;
    r->page_byte_count = c->page_byte_count;
    r->stored_byte_count = c->stored_byte_count ? c->stored_byte_count : c->page_byte_count; // without a sink they are stored as they are
    r->parent = c->ident.parent;
    r->depth = c->ident.depth;
    r->tracker = c->tracked ? ckpt_tracker_kind() : CKPT_TRACKER_NONE;
    r->attempts = c->attempts;
    r->unsupported_count = c->unsupported_count;
    r->path_differs = ckpt_state.diverted && !c->named;
    ckpt_memcpy(r->path, c->image_path, CKPT_PATH_BYTES);
    r->durable_ns = (c->durable_at_ns ? c->durable_at_ns : ckpt_clock(CKPT_CLOCK_MONOTONIC)) - control->began_ns;
    r->realtime_ns = ckpt_clock(CKPT_CLOCK_REALTIME);
    ckpt_memcpy(&live->reports[live->report_count % CKPT_REPORT_RING], r, sizeof *r);
    ckpt_add(&live->report_count, 1);
    if (r->ticket > ckpt_load(&live->completed)) ckpt_store(&live->completed, r->ticket);
    ckpt_engine_announce();
    for (uint32_t i = 0; i < requesters->count; i++) {
        ckpt_call(__NR_sendto, requesters->sockets[i], r, sizeof *r, 0x4000 /* MSG_NOSIGNAL */, NULL, 0);
        ckpt_close(requesters->sockets[i]);
    }
}
