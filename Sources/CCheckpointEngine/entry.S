// SPDX-License-Identifier: Apache-2.0
// The doors of signal time: handlers that leave the interrupted stack at once, and the birth of the scribe.
// Signal time: safe. An alternate stack may have no room beyond the kernel's own frame (AT_MINSIGSTKSZ), so a handler
// uses no more of it than its return address.
//
// Offsets into struct ckpt_control and struct ckpt_slot are checked in trigger.c.

        .text

// void ckpt_trigger_entry(int number, siginfo *info, ucontext *context)
// All signals are blocked here (sa_mask), so whoever holds the lock is never interrupted, only preempted.
        .globl ckpt_trigger_entry
        .hidden ckpt_trigger_entry
        .type ckpt_trigger_entry, @function
ckpt_trigger_entry:
        movq ckpt_arena(%rip), %r8
        testq %r8, %r8
        jz 3f
1:      movl $1, %eax
        xchgl %eax, 24(%r8)             // control.lock: in the arena, so a forked child finds it free
        testl %eax, %eax
        jz 2f
        movl $24, %eax                  // sched_yield; clobbers rax, rcx, r11 only
        syscall
        jmp 1b
2:      movq %rsp, ckpt_trigger_saved_sp(%rip)
        leaq ckpt_trigger_stack_end(%rip), %rsp
        call ckpt_trigger
        movq ckpt_trigger_saved_sp(%rip), %rsp
        movq ckpt_arena(%rip), %r8
        movl $0, 24(%r8)
3:      ret
        .size ckpt_trigger_entry, .-ckpt_trigger_entry

// void ckpt_park_entry(int number, siginfo *info, ucontext *context)
// Ours: si_code SI_TIMER (freeze.c says why) and the cookie of this epoch. Everything else goes to the handler that was there before.
        .globl ckpt_park_entry
        .hidden ckpt_park_entry
        .type ckpt_park_entry, @function
ckpt_park_entry:
        cmpl $-2, 8(%rsi)               // si_code
        jne 8f
        movq ckpt_arena(%rip), %rcx
        testq %rcx, %rcx
        jz 8f
        movq 24(%rsi), %rax             // si_value
        testq %rax, %rax
        jz 8f
        cmpq 16(%rcx), %rax             // control.cookie
        jne 7f
        lock incl 8(%rcx)               // control.inside
        movl $1, %eax
        lock xaddl %eax, 12(%rcx)       // control.slot_count
        andl $4095, %eax                // modulo CKPT_SLOT_COUNT
        shlq $13, %rax                  // times CKPT_SLOT_BYTES
        leaq 0x100000(%rcx,%rax), %rdi  // CKPT_SLOTS_OFFSET
        movq %rsp, 0(%rdi)              // slot.saved_sp
        movq %rbx, 8(%rdi)              // slot.saved_rbx
        movq %rdi, %rbx
        leaq 8192(%rdi), %rsp
        call ckpt_park
        movq %rbx, %rdi
        movq 0(%rdi), %rsp
        movq 8(%rdi), %rbx
        movq ckpt_arena(%rip), %rcx
        lock decl 8(%rcx)               // Order: after the last use of the slot, because the next epoch may give it away
        ret
7:      cmpl $0x434b5054, 28(%rsi)      // an earlier epoch of ours (CKPT_COOKIE_MARK): too late, nothing to do
        je 9f
8:      movq ckpt_park_chain(%rip), %rax
        cmpq $1, %rax
        jbe 9f
        jmp *%rax
9:      ret
        .size ckpt_park_entry, .-ckpt_park_entry

// void ckpt_guard_entry(int number, siginfo *info, ucontext *context)
// A fault (guard.c). Registers may be used freely: the frame has them all. When a handler of the program passes the signal on
// to us, the return address is another, and its mask holds.
        .globl ckpt_guard_entry
        .hidden ckpt_guard_entry
        .type ckpt_guard_entry, @function
ckpt_guard_entry:
        leaq ckpt_signal_return(%rip), %rax
        cmpq %rax, (%rsp)
        je 7f
        pushq %rbx
        pushq %rbp
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        subq $8, %rsp
        call 7f
        addq $8, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbp
        popq %rbx
        ret
7:      movq %rdi, %r12
        movq %rsi, %r13
        movq %rdx, %r14
        movq %rsp, %rbx
        movq ckpt_guard_arena(%rip), %r15
        testq %r15, %r15
        jz 9f
        xorl %ebp, %ebp
        leaq ckpt_signal_return(%rip), %rax
        cmpq %rax, (%rsp)
        je 1f
        incl %ebp
        pushq $-1
        movl $14, %eax                  // rt_sigprocmask
        movl $2, %edi                   // SIG_SETMASK
        movq %rsp, %rsi
        xorl %edx, %edx
        movl $8, %r10d
        syscall
1:      movl $1, %eax
        xchgl %eax, 28(%r15)            // control.guard_lock: a forked child finds it free
        testl %eax, %eax
        jz 2f
        movl $24, %eax                  // sched_yield
        syscall
        jmp 1b
2:      leaq 0x2b008000(%r15), %rsp     // CKPT_GUARD_OFFSET + CKPT_GUARD_STACK
        movq %r12, %rdi
        movq %r13, %rsi
        movq %r14, %rdx
        movl %ebp, %ecx
        call ckpt_guard_fault
        movq %rbx, %rsp
        movl $0, 28(%r15)
        testq %rax, %rax
        jz 9f
        // To the handler that was there before, with the mask that it would have.
        movq %rax, %r15
        pushq %rdx
        movl $14, %eax
        movl $2, %edi
        movq %rsp, %rsi
        xorl %edx, %edx
        movl $8, %r10d
        syscall
        addq $8, %rsp
        movq %r12, %rdi
        movq %r13, %rsi
        movq %r14, %rdx
        jmp *%r15
9:      ret
        .size ckpt_guard_entry, .-ckpt_guard_entry

// The kernel returns here from a handler of ours (SA_RESTORER). gdb knows the two instructions.
        .globl ckpt_signal_return
        .hidden ckpt_signal_return
        .type ckpt_signal_return, @function
        .p2align 4
        nop
ckpt_signal_return:
        movq $15, %rax
        syscall
        .size ckpt_signal_return, .-ckpt_signal_return

// long ckpt_spawn(flags, stack_top, parent_tid, child_tid, body): clone; the child runs body() on its stack and never returns.
        .globl ckpt_spawn
        .hidden ckpt_spawn
        .type ckpt_spawn, @function
ckpt_spawn:
        movq %rcx, %r10                 // child_tid
        movq %r8, %r9                   // body
        xorl %r8d, %r8d                 // tls: not set
        movl $56, %eax
        syscall
        testq %rax, %rax
        jz 1f
        ret
1:      xorl %ebp, %ebp
        andq $-16, %rsp
        call *%r9
        hlt
        .size ckpt_spawn, .-ckpt_spawn

        .globl ckpt_trigger_stack
        .hidden ckpt_trigger_stack
        .bss
        .p2align 4
ckpt_trigger_stack:
        .skip 16384
ckpt_trigger_stack_end:
ckpt_trigger_saved_sp:
        .skip 8

        .section .note.GNU-stack,"",@progbits
