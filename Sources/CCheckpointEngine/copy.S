// SPDX-License-Identifier: Apache-2.0
// Copies a page of the running program, which may take it away at any moment.
// Signal time: safe. Loads and stores; a fault on the way makes the copy fail instead of killing the scribe, which has a
// handler of its own for SIGSEGV and SIGBUS (signal handlers are not shared with the program).

        .text

// int ckpt_copy_page(void *to, const void *from): 0, or -14 (EFAULT).
        .globl ckpt_copy_page
        .hidden ckpt_copy_page
        .type ckpt_copy_page, @function
ckpt_copy_page:
        movl $4096, %ecx
ckpt_copy_begins:
        rep movsb
ckpt_copy_ends:
        xorl %eax, %eax
        ret
ckpt_copy_failed:
        movl $-14, %eax
        ret
        .size ckpt_copy_page, .-ckpt_copy_page

// void ckpt_fault_entry(int number, siginfo *info, ucontext *context)
// A fault of the copy goes on at ckpt_copy_failed; any other is a defect: the default action ends the process.
        .globl ckpt_fault_entry
        .hidden ckpt_fault_entry
        .type ckpt_fault_entry, @function
ckpt_fault_entry:
        leaq ckpt_copy_begins(%rip), %rax
        cmpq %rax, 168(%rdx)            // uc_mcontext.rip
        jb 1f
        leaq ckpt_copy_ends(%rip), %rax
        cmpq %rax, 168(%rdx)
        jae 1f
        leaq ckpt_copy_failed(%rip), %rax
        movq %rax, 168(%rdx)
        ret
1:      movl $231, %eax                 // exit_group: the same as being killed, for whoever waits
        movl $139, %edi
        syscall
        hlt
        .size ckpt_fault_entry, .-ckpt_fault_entry

        .section .note.GNU-stack,"",@progbits
