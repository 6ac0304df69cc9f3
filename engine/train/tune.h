/* tune.h - kernels chosen by measurement: what a plan can choose is timed on the device once, and kept.
 *
 * Hides: in which order and for how long candidates are timed, and where choices live between sessions and between runs. docs/tuning.md. */
#ifndef TLVK_TUNE_H
#define TLVK_TUNE_H

#include "plan/plan.h"

/* Whether this context measures and uses measured choices at all. */
bool tlvk__tuning(const tlvk_context *ctx);

/* The choices for everything that `plan` records, into an empty table: those known from before, and those measured now, within `seconds` of the clock (and the
 * one candidate that was at work when they ended), the most arithmetic first. A key that is not reached keeps its standard candidate, and that is a choice
 * like any other: it is known from then on. What is new goes to the disk; that it could not is a warning. TLVK_ERROR_CANCELLED after tlvk_cancel, with
 * nothing known that was not before. */
tlvk_status tlvk__tune(tlvk_context *ctx, tlvk__device *d, const tlvk__plan *plan, double seconds, tlvk__choices *into);

#define TLVK__TUNE_SECONDS 5.0 /* for a network */

/* Adds those of `choices` that decide the bits of what `plan` computes. */
void tlvk__tune_hash(const tlvk__caps *caps, const tlvk__plan *plan, const tlvk__choices *choices, tlvk__hash *hash);

#endif
