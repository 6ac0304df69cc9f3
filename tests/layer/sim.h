/* sim.h - what a test says to the layer and hears from it. The layer VK_LAYER_TLVK_simulator stands between the program and the driver: it tells of a
 * device with less than there is, sees to it that the program keeps to what it was told, makes calls fail, and counts what was made and not destroyed.
 *
 * A test in the same process finds these functions with dlsym; a program that knows nothing of the layer has its settings in $TLVK_SIM, and is
 * aborted at the first breach. Settings are "name=value,name=value"; numbers may end in K, M or G. Every setting is listed in settings.c. */
#ifndef TLVK_TEST_SIM_H
#define TLVK_TEST_SIM_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_LAYER "VK_LAYER_TLVK_simulator"

typedef struct sim_report {
    uint64_t calls;        /* that can fail, since the settings were made */
    char failed_call[64];  /* the one that was made to fail; "": none was */
    int failed_result;     /* the VkResult it gave */
    int alive;             /* instances, devices and their objects that were made and not destroyed */
    int breaches;          /* of limits and of the life of objects */
    char text[2048];       /* the first of them, one a line */
} sim_report;

/* Begins anew with these settings; counts go to 0, what is alive stays counted. false: a setting is not known. An instance may live through it only where
 * no limit changes: its devices stay hollow or not, as they were made, and which call fails is looked up at every call. */
typedef bool sim_begin_function(const char *settings);
typedef void sim_read_function(sim_report *report);
#define SIM_EXPORT __attribute__((visibility("default")))
SIM_EXPORT sim_begin_function tlvk_sim_begin;
SIM_EXPORT sim_read_function tlvk_sim_read;

#endif
