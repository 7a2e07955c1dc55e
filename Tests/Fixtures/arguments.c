// SPDX-License-Identifier: Apache-2.0
// What /proc shows of the program and what it knows of itself: arguments, environment, auxiliary vector, name, break.
#include "fixture.h"
#include <sys/auxv.h>

static long first_field(const char *path, int field) {
    char text[2048] = "";
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *at = strrchr(text, ')');
    for (int i = 2; at && i < field; i++) at = strchr(at + 1, ' ');
    return at ? strtol(at + 1, NULL, 10) : -1;
}

int main(int count, char **arguments) {
    fixture_begin();
    setenv("FIXTURE_SET", "by the program", 1);
    long code = first_field("/proc/self/stat", 26), stack = first_field("/proc/self/stat", 28), brk = first_field("/proc/self/stat", 47);
    char auxv[1024] = "", found[1024] = "";
    FILE *file = fopen("/proc/self/auxv", "r");
    size_t length = file ? fread(auxv, 1, sizeof auxv, file) : 0;
    if (file) fclose(file);

    fixture_checkpoint_here();

    for (int i = 1; i < count; i++) fact("argument %d: %s", i, arguments[i]);
    fact("environment: %s, %s", getenv("FIXTURE_GIVEN") ? getenv("FIXTURE_GIVEN") : "none", getenv("FIXTURE_SET"));
    char line[4096] = "";
    file = fopen("/proc/self/cmdline", "r");
    size_t shown = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file) fclose(file);
    int words = 0;
    for (size_t i = 0; i < shown; i++) words += line[i] == 0;
    fact("the command line has %d words, and ends with the last argument: %d", words,
        shown > strlen(arguments[count - 1]) && strcmp(line + shown - strlen(arguments[count - 1]) - 1, arguments[count - 1]) == 0);
    fact_that(first_field("/proc/self/stat", 26) == code);
    fact_that(first_field("/proc/self/stat", 28) == stack);
    fact_that(first_field("/proc/self/stat", 47) == brk);
    file = fopen("/proc/self/auxv", "r");
    fact_that(file && fread(found, 1, sizeof found, file) == length && memcmp(auxv, found, length) == 0);
    if (file) fclose(file);
    file = fopen("/proc/self/comm", "r");
    if (file && fgets(line, sizeof line, file)) { line[strcspn(line, "\n")] = 0; fact("the name is %s", line); }
    if (file) fclose(file);
    fact_that(getauxval(AT_PAGESZ) == 4096);
    return 0;
}
