// SPDX-License-Identifier: Apache-2.0
// Where a call with a time-out goes on that a checkpoint has interrupted: with what is left of the time (blocked.c).
// Signal time: runs in the program's thread, outside of any handler, like the call itself.
//
// On entry rax: the number of the call, rcx: where the program goes on, r11: what is left. The instruction `syscall` destroys
// rcx and r11, so no program expects anything in them; everything else is as the program has it before and after: its time-out
// is in registers that a compiler uses again. The red zone is stepped over. A debugger sees the frame of the program's function.
        .text
        .globl ckpt_resume_start, ckpt_resume_end
        .hidden ckpt_resume_start, ckpt_resume_end
        .p2align 4
ckpt_resume_start:

        .macro enter
        .cfi_startproc
        .cfi_def_cfa %rsp, 0
        .cfi_register %rip, %rcx
        leaq -0xc0(%rsp), %rsp          // no flag changes
        .cfi_def_cfa_offset 0xc0
        movq %rcx, 0(%rsp)
        .cfi_offset %rip, -0xc0
        .endm
        .macro leave_for register
        movq 8(%rsp), \register
        movq 0(%rsp), %rcx
        .cfi_register %rip, %rcx
        leaq 0xc0(%rsp), %rsp
        .cfi_def_cfa_offset 0
        jmp *%rcx
        .cfi_endproc
        .endm

        // A number of milliseconds.
        .macro milliseconds name, register
        .globl \name
        .hidden \name
        .type \name, @function
\name:  enter
        movq \register, 8(%rsp)
        movq %r11, \register
        syscall
        leave_for \register
        .size \name, .-\name
        .endm

        // The address of a struct timespec; r11 in nanoseconds.
        .macro timespec name, register
        .globl \name
        .hidden \name
        .type \name, @function
\name:  enter
        movq \register, 8(%rsp)
        movq %rax, 16(%rsp)
        movq %rdx, 24(%rsp)
        lahf                            // the division changes the flags
        seto %al
        movq %rax, 32(%rsp)
        movq %r11, %rax
        xorl %edx, %edx
        movl $1000000000, %ecx
        divq %rcx
        movq %rax, 40(%rsp)
        movq %rdx, 48(%rsp)
        movq 32(%rsp), %rax
        addb $0x7f, %al
        sahf
        movq 16(%rsp), %rax
        movq 24(%rsp), %rdx
        leaq 40(%rsp), \register
        syscall
        leave_for \register
        .size \name, .-\name
        .endm

        milliseconds ckpt_resume_rdx_ms, %rdx
        milliseconds ckpt_resume_r10_ms, %r10
        timespec ckpt_resume_rdi_time, %rdi
        timespec ckpt_resume_rdx_time, %rdx
        timespec ckpt_resume_r10_time, %r10
ckpt_resume_end:
        .section .note.GNU-stack,"",@progbits
