// SPDX-License-Identifier: Apache-2.0
// A library that was loaded at run time: its code, its data, functions first bound after the checkpoint, exceptions' tables.
#include "fixture.h"
#include <dlfcn.h>
#include <link.h>
#include <math.h>

static int count_object(struct dl_phdr_info *info, size_t size, void *count) { (void)info; (void)size; ++*(int *)count; return 0; }

int main(void) {
    fixture_begin();
    void *library = dlopen("libm.so.6", RTLD_LAZY | RTLD_LOCAL);
    need(library);
    double (*cosine)(double) = (double (*)(double))dlsym(library, "cos");
    need(cosine);
    int objects = 0, found = 0;
    dl_iterate_phdr(count_object, &objects);
    fixture_checkpoint_here();
    fact("cos(0) = %g", cosine(0));
    double (*power)(double, double) = (double (*)(double, double))dlsym(library, "pow");
    fact("pow(2, 10) = %g", power ? power(2, 10) : 0);
    dl_iterate_phdr(count_object, &found);
    fact_that(objects == found);
    fact_that(dlclose(library) == 0);
    fact("%d", (int)strverscmp("item9", "item10") < 0);
    return 0;
}
