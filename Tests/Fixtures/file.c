// SPDX-License-Identifier: Apache-2.0
// Regular files: append, read in the middle, write at the end, read and write, one description under two numbers, flags.
#include "fixture.h"

static void print_file(const char *name) {
    char content[512];
    int descriptor = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t length = descriptor < 0 ? -1 : read(descriptor, content, sizeof content - 1);
    if (descriptor >= 0) close(descriptor);
    content[length < 0 ? 0 : length] = 0;
    fact("%s: %s", name, content);
}
static void create(const char *name, const char *content) {
    int descriptor = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    need(descriptor >= 0 && write(descriptor, content, strlen(content)) == (ssize_t)strlen(content));
    close(descriptor);
}
static void say(int descriptor, const char *text) { need(write(descriptor, text, strlen(text)) == (ssize_t)strlen(text)); }

int main(void) {
    fixture_begin();
    create("input", "first second third fourth");
    create("table", "aaaabbbbcccc");
    int appended = open("log", O_CREAT | O_WRONLY | O_APPEND, 0600);
    int written = open("result", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    int input = open("input", O_RDONLY);
    int table = open("table", O_RDWR);
    int shared = dup(input), high = fcntl(written, F_DUPFD_CLOEXEC, 200), another = open("input", O_RDONLY | O_NONBLOCK);
    need(appended >= 0 && written >= 0 && input >= 0 && table >= 0 && shared >= 0 && high >= 200 && another >= 0);
    FILE *buffered = fopen("buffered", "w");
    fprintf(buffered, "in the buffer ");
    say(appended, "one ");
    say(written, "one ");
    char text[32] = "";
    need(read(input, text, 6) == 6);
    need(pwrite(table, "XX", 2, 4) == 2 && lseek(table, 8, SEEK_SET) == 8);

    fixture_checkpoint_here();

    int same_numbers = open("input", O_RDONLY);
    fact("the next free number is %d after %d", same_numbers - another > 0, another > 0);
    close(same_numbers);
    memset(text, 0, sizeof text);
    need(read(shared, text, 7) == 7);
    fact("the next word is %s", text);
    memset(text, 0, sizeof text);
    need(read(input, text, 5) == 5);
    fact("and then comes %s, at %ld", text, (long)lseek(shared, 0, SEEK_CUR));
    fact("the other description is at %ld", (long)lseek(another, 0, SEEK_CUR));
    say(appended, "two");
    say(high, "two");
    say(written, " three");
    say(table, "YY");
    fprintf(buffered, "and behind it");
    fclose(buffered);
    print_file("log");
    print_file("result");
    print_file("table");
    print_file("buffered");
    fact("flags %x %x %x %x", fcntl(appended, F_GETFL), fcntl(input, F_GETFL), fcntl(table, F_GETFL), fcntl(another, F_GETFL));
    fact("close-on-exec %d %d %d %d", fcntl(appended, F_GETFD), fcntl(written, F_GETFD), fcntl(high, F_GETFD), fcntl(shared, F_GETFD));
    return 0;
}
