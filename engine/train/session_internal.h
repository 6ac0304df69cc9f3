/* session_internal.h - shared by session.c and runner.c alone. */
#ifndef TLVK_SESSION_INTERNAL_H
#define TLVK_SESSION_INTERNAL_H

#include "train/residents.h"
#include "train/session.h"

typedef struct tlvk__prepared_region { uint64_t key; tlvk__span span; bool filled; } tlvk__prepared_region;

struct tlvk__session {
    tlvk_model *model;              /* counted */
    tlvk__session_desc desc;
    bool no_update;                 /* TRAIN plans leave the optimizer out: gradients for tests */
    tlvk__device *device;
    tlvk__choices *choices;         /* measured; NULL: what the device's caps have */
    tlvk__caps caps;                /* the device's, with these choices */
    tlvk__flat flats[TLVK__NETWORK_COUNT];
    tlvk__flat front;               /* of the augmentation: AUGMENTED borrows its attributes */
    bool retained;                  /* desc.augmentation is */
    bool split;
    const tlvk__variable **moving; int moving_count;
    tlvk__residents residents;
    tlvk__buffer **blocks; int block_count;
    tlvk__pool prepared_pool;
    tlvk__prepared_region *prepared; size_t prepared_count, prepared_capacity;
    tlvk__update_call update;
    tlvk__runner **runners; int runner_count; size_t runner_capacity;
};

tlvk_status tlvk__session_plan(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__plan **out);
/* Arena, prepared weights and variables -> the plan; may unbind other runners when the arena grows. */
tlvk_status tlvk__session_bind(tlvk__session *s, tlvk__plan *plan);
/* What is recorded from here on goes by the session's choices; the end takes what the begin returned. */
const struct tlvk__choices *tlvk__session_begin_recording(tlvk__session *s);
void tlvk__session_end_recording(tlvk__session *s, const struct tlvk__choices *before);
tlvk_status tlvk__session_grow_arena(tlvk__session *s, const tlvk__plan *plan);
void tlvk__runner_unbind(tlvk__runner *r); /* drops its recordings; they are made again at the next submit */
void tlvk__runner_destroy(tlvk__runner *r);

#endif
