/* simulator.h - the tests' side of the layer in tests/layer: CTest names the layer in the environment, and this finds its functions. */
#ifndef TLVK_TEST_SIMULATOR_H
#define TLVK_TEST_SIMULATOR_H

#include "layer/sim.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static sim_begin_function *sim_begin_in_layer;
static sim_read_function *sim_read;

/* As cmocka's group setup: the library stays open, and the loader gets the same one. */
static inline int sim_setup(void **state) {
    (void)state;
    void *library = dlopen(TLVK_SIMULATOR, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        print_error("%s\n", dlerror());
        return -1;
    }
    void *begin = dlsym(library, "tlvk_sim_begin"), *read = dlsym(library, "tlvk_sim_read");
    memcpy(&sim_begin_in_layer, &begin, sizeof begin); /* ISO C has no conversion from an object's pointer to a function's */
    memcpy(&sim_read, &read, sizeof read);
    return begin && read ? 0 : -1;
}

static inline void sim_begin(const char *settings) {
    if (!sim_begin_in_layer(settings)) fail_msg("the layer does not understand \"%s\"", settings);
}

#endif
