/* session_internal.h - shared by session.c, runner.c and micro_batch.c alone. */
#ifndef TLVK_SESSION_INTERNAL_H
#define TLVK_SESSION_INTERNAL_H

#include "train/residents.h"
#include "train/session.h"

typedef struct tlvk__prepared_region { uint64_t key; tlvk__span span; bool filled; } tlvk__prepared_region;

struct tlvk__session {
    tlvk_model *model;              /* counted */
    tlvk__session_desc desc;
    bool no_update;                 /* TRAIN plans leave the optimizer out: gradients for tests */
    uint64_t budget_bytes;          /* tests: of the arena, whatever the device has; 0: told by the device */
    tlvk__device *device;
    tlvk__choices *choices;         /* measured; NULL: what the device's caps have */
    tlvk__caps caps;                /* the device's, with these choices */
    tlvk__flat flats[TLVK__NETWORK_COUNT];
    tlvk__flat front;               /* of the augmentation: AUGMENTED borrows its attributes */
    bool retained;                  /* desc.augmentation is */
    bool split;
    const tlvk__variable **moving; int moving_count;
    tlvk__residents residents;
    bool allocated;                 /* the residents are: at the first use */
    const tlvk__optimizer_state *state; /* for the optimizer's slots when they are allocated; borrowed, NULL: zeros */
    tlvk__buffer **blocks; int block_count;
    tlvk__pool prepared_pool;
    tlvk__prepared_region *prepared; size_t prepared_count, prepared_capacity;
    tlvk__update_call update;
    tlvk__runner **runners; int runner_count; size_t runner_capacity;
    unsigned fits;                  /* how many have planned their memory here */
    int64_t part_limit;             /* the last one's training steps are done in parts no larger than this; 0: as the device's memory has it */
    uint64_t others_bytes;          /* of the device's memory, in use by others when the runners were last fitted */
};

/* A part of a batch: all of them are alike but for the last, which may be smaller. One part: the whole. */
typedef struct tlvk__parts { int64_t batch, size; int count; tlvk__plan *plan, *last; /* last: NULL where it is as large as the others */ } tlvk__parts;
static inline int64_t tlvk__part_samples(const tlvk__parts *p, int part) { return TLVK__MIN(p->size, p->batch - (int64_t)part * p->size); }
static inline tlvk__plan *tlvk__part_plan(const tlvk__parts *p, int part) { return part == p->count - 1 && p->last ? p->last : p->plan; }
void tlvk__parts_free(tlvk__parts *p);

struct tlvk__runner {
    tlvk__session *session;
    tlvk__network network;
    tlvk__plan_mode mode;
    tlvk__shape inputs[TLVK_MAX_IO]; int input_count;
    tlvk__parts parts;
    unsigned fit;                   /* the last of the session's fits that expects this runner; 0: none */
    bool fitted;                    /* to the device's memory */
    bool alike;                     /* cut as that fit's other steps are, not by itself */
    bool bound;
    struct tlvk__runner_slot *slots;/* TLVK__SLOTS; NULL until the runner is asked for */
};

typedef struct tlvk__plan_limits { uint64_t budget_bytes; bool divided, smallest; } tlvk__plan_limits;
tlvk_status tlvk__session_plan(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__plan_limits limits, tlvk__plan **out);
/* Residents on the device. */
tlvk_status tlvk__session_allocate(tlvk__session *s);
/* Arena, prepared weights and variables -> the plan; may unbind other runners when the arena grows. */
tlvk_status tlvk__session_bind(tlvk__session *s, tlvk__plan *plan);
/* What is recorded from here on goes by the session's choices; the end takes what the begin returned. */
const struct tlvk__choices *tlvk__session_begin_recording(tlvk__session *s);
void tlvk__session_end_recording(tlvk__session *s, const struct tlvk__choices *before);
tlvk_status tlvk__session_grow_arena(tlvk__session *s, const tlvk__plan *plan);
void tlvk__runner_unbind(tlvk__runner *r); /* drops its recordings; they are made again at the next submit */
tlvk_status tlvk__runner_plan_anew(tlvk__runner *r); /* for the whole batch and unbound; not fitted. Slots are made when the runner is asked for */
void tlvk__runner_destroy(tlvk__runner *r);
uint64_t tlvk__runner_staging_bytes(const tlvk__runner *r); /* of both slots, on the host's or the device's side */

/* micro_batch.c: every runner that is not fitted gets plans that stay within what the device has left beside all that the session needs. */
tlvk_status tlvk__session_fit(tlvk__session *s);

#endif
