/* time.h - how long something takes, measured several times; and one pass of an operation alone. */
#ifndef TLVK_TIME_H
#define TLVK_TIME_H

#include "ops/op.h"

/* Times of the same thing. It is done again until `repeats` runs are there, or, with repeats 0, until there are at least TLVK__LEAST_RUNS and they took
 * `seconds` together; never more than TLVK__MOST_RUNS, and none more once they took `limit_seconds` (0: no limit), which a slow case reaches in one run. */
#define TLVK__LEAST_RUNS 3
#define TLVK__MOST_RUNS 64
typedef struct tlvk__effort { int repeats; double seconds, limit_seconds; } tlvk__effort;
typedef struct tlvk__times {
    tlvk__effort effort;
    double ms[TLVK__MOST_RUNS], total_ms; int runs;
    int dispatches;                /* of one run of a case; 0 where it is not counted */
} tlvk__times;
bool tlvk__times_enough(const tlvk__times *t);
void tlvk__times_add(tlvk__times *t, double ms);
double tlvk__times_min(const tlvk__times *t);    /* 0 without runs */
double tlvk__times_median(const tlvk__times *t);

/* Times one pass (0 forward, 1 gradient of the inputs, 2 of the variables) of a case on a warm recording of that pass alone, by the device's timestamps
 * where it has them and else from submission to done. *flops as counted by op->flops; *there is false when the operation has no such pass. */
tlvk_status tlvk__time_case(tlvk__device *d, const tlvk__op *op, const tlvk__op_case *c, int pass, tlvk__times *times, double *flops, bool *there);

#endif
