// SPDX-License-Identifier: Apache-2.0
// Bounded text: numbers, fields and links as /proc shows them.
// Signal time: safe. Works in buffers of the caller, calls only the kernel.
#include "engine.h"

size_t ckpt_length(const char *text) {
    size_t length = 0;
    while (text[length]) {
        length++;
        __asm__ volatile(""); // or the compiler makes a call of strlen of it
    }
    return length;
}

int ckpt_same(const char *a, const char *b, size_t byte_count) {
    for (size_t i = 0; i < byte_count; i++) if (a[i] != b[i]) return 0;
    return 1;
}

char *ckpt_append(char *to, const char *end, const char *text) {
    while (*text && to + 1 < end) *to++ = *text++;
    *to = 0;
    return to;
}

char *ckpt_append_number(char *to, const char *end, uint64_t number, unsigned base, int digits) {
    char reversed[24];
    int count = 0;
    do {
        reversed[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while ((number || count < digits) && count < 24);
    while (count > 0 && to + 1 < end) *to++ = reversed[--count];
    *to = 0;
    return to;
}

// Reads digits; returns where they end (`text` itself when there are none).
const char *ckpt_number(const char *text, unsigned base, uint64_t *number) {
    uint64_t value = 0;
    for (;; text++) {
        unsigned digit;
        if (*text >= '0' && *text <= '9') digit = (unsigned)(*text - '0');
        else if (*text >= 'a' && *text <= 'f') digit = (unsigned)(*text - 'a') + 10;
        else break;
        if (digit >= base) break;
        value = value * base + digit;
    }
    *number = value;
    return text;
}

// Finds "Field:" at the start of a line and reads the number behind it.
int ckpt_find_field(const char *text, const char *field, unsigned base, uint64_t *number) {
    size_t length = ckpt_length(field);
    for (const char *line = text; *line;) {
        size_t i = 0;
        while (i < length && line[i] == field[i]) i++;
        if (i == length) {
            line += length;
            while (*line == ' ' || *line == '\t') line++;
            ckpt_number(line, base, number);
            return 1;
        }
        while (*line && *line != '\n') line++;
        if (*line) line++;
    }
    return 0;
}

const char *ckpt_stat_field(const char *text, int field) {
    const char *at = text + ckpt_length(text);
    while (at > text && *at != ')') at--; // the name may hold anything
    if (*at != ')') return text + ckpt_length(text);
    // Field 3 is the state.
    for (int found = 2; *at && found < field; at++) found += *at == ' ';
    return at;
}

long ckpt_read_text(int directory, const char *path, char *buffer, size_t byte_count) {
    long file = ckpt_openat(directory, path, 02000000 /* O_CLOEXEC */);
    if (file < 0) return file;
    size_t used = 0;
    while (used + 1 < byte_count) {
        long got = ckpt_read((int)file, buffer + used, byte_count - 1 - used);
        if (got == -CKPT_EINTR) continue;
        if (got < 0) { ckpt_close((int)file); return got; }
        if (got == 0) break;
        used += (size_t)got;
    }
    buffer[used] = 0;
    ckpt_close((int)file);
    return (long)used;
}

long ckpt_read_link(int directory, const char *path, char *buffer, size_t byte_count) {
    long length = ckpt_call(__NR_readlinkat, directory, path, buffer, byte_count - 1);
    if (length < 0) { buffer[0] = 0; return length; }
    buffer[length] = 0;
    return length;
}
