// SPDX-License-Identifier: Apache-2.0
// What the capture of each kind offers; included by engine.h.
// Signal time.
#ifndef CKPT_CAPTURE_H
#define CKPT_CAPTURE_H

// capture_<kind>.c: facts into the tables of the checkpoint
void ckpt_capture_processor(struct ckpt_checkpoint *c); // before the freeze
int ckpt_capture(struct ckpt_checkpoint *c); // capture_process.c: in the freeze, all of them
int ckpt_capture_process(struct ckpt_checkpoint *c);
void ckpt_capture_status(struct ckpt_checkpoint *c); // with the signals that are pending for the process
int ckpt_capture_threads(struct ckpt_checkpoint *c);
void ckpt_capture_signals(struct ckpt_signal_action *actions); // by a thread of the program
int ckpt_capture_schedulings(struct ckpt_checkpoint *c); // behind the threads, as the next two
int ckpt_capture_limits(struct ckpt_checkpoint *c);
int ckpt_capture_attributes(struct ckpt_checkpoint *c);
void ckpt_find_ordinary(struct ckpt_checkpoint *c); // by the scribe, before the freeze
void ckpt_ask_attributes(struct ckpt_slot *slot); // by the thread itself
uint64_t ckpt_ask_subreaper(void);  // by any of them
void ckpt_note_status(struct ckpt_slot *slot, const char *status); // its file of that name
uint64_t ckpt_of_program(uint64_t signals); // those that are not the engine's
int ckpt_capture_queued(struct ckpt_checkpoint *c); // behind the threads
void ckpt_move_pending(struct ckpt_slot *slot); // by a parked thread that was asked
void ckpt_give_back(struct ckpt_slot *slot); // by the same, before it leaves
int ckpt_capture_timers(struct ckpt_checkpoint *c); // before the captor is asked
void ckpt_ask_timers(void);         // by the captor
int ckpt_settle_timers(struct ckpt_checkpoint *c); // behind the queued signals
int ckpt_capture_mappings(struct ckpt_checkpoint *c);
int ckpt_capture_descriptors(struct ckpt_checkpoint *c);
long ckpt_list_descriptors(struct ckpt_checkpoint *c, int32_t *numbers); // room for 65,536
int ckpt_capture_file(struct ckpt_checkpoint *c, struct ckpt_descriptor *d);
int ckpt_capture_pipe(struct ckpt_checkpoint *c, struct ckpt_descriptor *d);
int ckpt_capture_eventfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
int ckpt_capture_timerfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
int ckpt_capture_signalfd(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
int ckpt_capture_socket(struct ckpt_checkpoint *c, struct ckpt_descriptor *d);
int ckpt_capture_epoll(struct ckpt_checkpoint *c, struct ckpt_descriptor *d, const char *fdinfo);
void ckpt_descriptor_path(struct ckpt_checkpoint *c, int number, char *buffer, size_t byte_count); // "task/T/fd/N" below c->proc

// capture_unforked.c
int ckpt_capture_unforked(struct ckpt_checkpoint *c);
int ckpt_find_unforked(struct ckpt_checkpoint *c, struct ckpt_unforked *missing);
int ckpt_note_advice(struct ckpt_checkpoint *c, int beside); // beside the writes: by ckpt_output_beside
#define CKPT_ADVICE_SWAPPED 0x80000000u // told beside the CKPT_MAPPING_… flags: some of the mapping is swapped out
int ckpt_read_advice(void (*tell)(struct ckpt_checkpoint *, uint64_t, uint64_t, uint32_t), struct ckpt_checkpoint *c);
void ckpt_apply_advice(struct ckpt_checkpoint *c);
int ckpt_remember_unforked(struct ckpt_checkpoint *c, const struct ckpt_unforked *range); // -ENOSPC: there are too many
#endif
