/* program.h - the planner's own view: steps and tensors. Private to engine/plan. */
#ifndef TLVK_PROGRAM_H
#define TLVK_PROGRAM_H

#include "plan/plan.h"

#define NO_STEP (-1)

typedef struct plan_memory_item { /* alive in positions [first, last] */
    uint64_t bytes; int first, last;
    uint64_t crowd;                /* the most bytes that are alive at one time of its life, its own among them */
    int block; uint64_t offset;
} plan_memory_item;

typedef struct plan_storage {      /* where one tensor, gradient or region lies: one item per segment */
    int first_item, item_count;    /* item_count 0: none */
    int64_t segment_n;
    tlvk__span *segments;          /* filled by bind */
} plan_storage;

typedef struct plan_tensor {
    tlvk__shape shape;
    tlvk__tensor t, grad;
    int producer;                  /* step; NO_STEP for inputs */
    int consumers;                 /* steps that read it, outputs of the program counted once more */
    int root;                      /* tensor whose memory this is (itself, what a view looks at, or the whole that it is a slice of) */
    int grad_root;
    int64_t at, grad_at;           /* of a slice: its first channel in the whole's rows */
    int64_t grad_stride;           /* of a slice: tlvk__tensor.stride of `grad` */
    bool active;                   /* a trained variable stands before it: has a gradient */
    bool grad_wanted;
    int first, last;               /* positions, on roots */
    int grad_first, grad_last;
    bool kept;                     /* on roots: what the backward reads stays from the forward until then; else it is made again (recompute.c) */
    int first_writer, last_writer; /* on roots: the steps that write this memory lie in this range */
    int again_first, again_last;   /* positions of what was made again, on roots */
    tlvk__tensor again;
    plan_storage storage, grad_storage, again_storage;
    tlvk__span *sliced[3];         /* bound segments of t, grad and again where they begin at a channel of their own */
} plan_tensor;

typedef struct plan_step {
    const tlvk__op *op; const void *attrs;
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } own_attrs; /* of steps the planner makes itself */
    const char *path;
    int *inputs; int input_count; int output;
    int residual, residual_count;  /* tensor that is added before the activation; count 0: none, 1 */
    tlvk__variable *variables[TLVK__MAX_VARIABLES]; tlvk__layout layouts[TLVK__MAX_VARIABLES];
    bool trained[TLVK__MAX_VARIABLES]; int variable_count;
    bool training;                 /* this step's own mode */
    bool moving;                   /* what it makes of the same input may differ from one epoch to the next: trained, random or keeping statistics */
    uint32_t stream;
    bool in_front;
    tlvk__activation activation;   /* epilogue */
    const void *norm_attrs; tlvk__variable *norm[4]; /* BatchNormalization folded into the epilogue: gamma, beta, moving_mean, moving_variance */
    bool norm_moving;              /* gamma or beta are trained: scale and shift are made in every step, and norm.c takes their gradients */
    bool norm_trained[2];          /* gamma, beta */
    bool removed, view;
    bool constant;                 /* none of its variables is trained: weights are packed once */
    bool in_place[TLVK__MAX_INPUTS]; /* of a Concatenate: inputs that are slices of the output */
    bool backward; bool want_dx, want_dw;
    bool dx_accumulate[TLVK__MAX_INPUTS], dx_skip[TLVK__MAX_INPUTS]; /* skip: not wanted, or memory shared with dy */
    bool residual_accumulate, residual_skip; /* the same of the residual's gradient, which is dy before the activation */
    tlvk__op_needs needs;
    plan_storage aux[TLVK__MAX_AUX], forward_scratch, backward_scratch, packed, again_scratch, again_packed;
    int back_at, again_at;         /* positions of its backward and of its second forward; NO_STEP: none */
    int epilogue_at;               /* of its epilogue's backward, just before back_at: its output may go in between; back_at where there is none */
    const tlvk__tensor *w[TLVK__MAX_VARIABLES], *dw[TLVK__MAX_VARIABLES]; /* bound */
    bool dw_accumulate[TLVK__MAX_VARIABLES];
    const tlvk__tensor *norm_w[4], *norm_dw[2];
    plan_storage norm_vectors, norm_scratch; /* norm_moving: scale and shift until the backward; room for norm.c */
    tlvk__tensor scale, shift; tlvk__span norm_spans[2];
    tlvk__span prepared;           /* bound packed weights where constant */
} plan_step;

typedef struct plan_loss {         /* of one output */
    tlvk__objective objective;
    const char *path;              /* the layer whose output it is */
    bool logits;                   /* it takes values before the last activation */
    tlvk__tensor target;           /* sizes */
    bool gradient;                 /* a trained variable stands before the output and the loss has a weight */
    bool added;                    /* an earlier output is the same tensor: the gradient is written apart, to `dy`, and added */
    tlvk__tensor dy; plan_storage dy_storage;
} plan_loss;

typedef struct plan_later { int step; bool again; } plan_later; /* behind the losses: the backward of a step, or its second forward */
typedef enum plan_stage { PLAN_FORWARD, PLAN_AGAIN, PLAN_BACKWARD } plan_stage;

struct tlvk__plan {
    tlvk__plan_desc desc;
    tlvk__caps caps;
    plan_step *steps; int step_count;
    plan_tensor *tensors; int tensor_count;
    int inputs[TLVK_MAX_IO], outputs[TLVK_MAX_IO]; int input_count, output_count;
    plan_loss losses[TLVK_MAX_IO]; /* one per output; not PREDICT */
    tlvk__tensor weight;           /* sizes of the sample weights */
    tlvk__variable **variables; tlvk__layout *layouts; bool *trained; int variable_count;
    tlvk__prepared *prepared; int prepared_count;
    plan_later *later; int later_count; /* in order; see tlvk__plan_schedule */
    int end_at;                    /* position of the update, behind all others */
    plan_memory_item *items; size_t item_count, item_capacity;
    uint64_t *block_bytes; int block_count;
    plan_storage loss_scratch;
    bool bound;
};

/* lower.c: flat graph -> steps, with activations split off or fused and frozen BatchNormalizations folded. */
tlvk_status tlvk__plan_lower(tlvk__plan *plan);
/* fuse.c: on steps whose consumers, producers and activity are counted. */
bool tlvk__plan_is_activation(const tlvk__op *op);
void tlvk__plan_fold_paddings(tlvk__plan *plan);
void tlvk__plan_fuse(tlvk__plan *plan);
/* gradient.c: marks what the backward pass needs. */
tlvk_status tlvk__plan_mark(tlvk__plan *plan);
/* slice.c: lets what a Concatenate puts together lie in its output, and what it passes back in the gradient of that. */
void tlvk__plan_slice(tlvk__plan *plan);
/* A step reads a part of this memory and makes what another part is made from: it cannot be made again as a whole. */
bool tlvk__plan_read_unfinished(const tlvk__plan *plan, int root);
/* storage.c: which activations lie in fp16. */
tlvk_status tlvk__plan_store(tlvk__plan *plan);
/* share.c: lets gradients that are equal lie in the same memory. */
tlvk_status tlvk__plan_share(tlvk__plan *plan);
/* Its forward has something to record: it is no view, and no Concatenate whose parts all lie in its output. */
static inline bool plan_runs(const plan_step *s) {
    int in_place = 0;
    for (int k = 0; k < s->input_count; k++) in_place += s->in_place[k];
    return !s->view && (in_place == 0 || in_place < s->input_count);
}
/* The operation's own backward takes the slope of its activation (TLVK__OP_SLOPE); with a residual, whose gradient has the slope in it, it is taken before. */
static inline bool plan_takes_slope(const plan_step *s) { return (s->op->flags & TLVK__OP_SLOPE) && !s->residual_count; }
/* The scale of a frozen BatchNormalization that dy is multiplied with before the operation's backward. */
static inline bool plan_scales_dy(const plan_step *s) { return s->norm_attrs && !s->norm_moving && (s->want_dx || s->want_dw); }
/* Backward of `s` begins with writing dy before the epilogue in the place of dy. */
static inline bool plan_changes_dy(const plan_step *s) { return !s->view && ((s->activation.kind != TLVK_LINEAR && !plan_takes_slope(s)) || plan_scales_dy(s)); }
/* recompute.c: which tensors are kept for the backward and which are made again there, so that the arena stays within desc.budget_bytes, and where all lies. */
tlvk_status tlvk__plan_fit(tlvk__plan *plan);
/* The order behind the losses from what is kept: a step's second forward stands before the first backward that reads what it makes. */
void tlvk__plan_schedule(tlvk__plan *plan);
/* memory.c: what each step needs; lifetimes of the schedule -> items. */
tlvk_status tlvk__plan_needs(tlvk__plan *plan);
tlvk_status tlvk__plan_items(tlvk__plan *plan);
uint64_t tlvk__plan_block_limit(const tlvk__plan *plan); /* bytes of one block of the arena */
/* place.c: items -> block offsets. */
tlvk_status tlvk__plan_place(tlvk__plan *plan);
/* TLVK__READS_X and _Y of a step's backward, its epilogue's included. */
unsigned tlvk__plan_backward_reads(const plan_step *s);
/* Positions in time: forward of step i is i, then the losses, then plan->later in order, then the update. */
static inline int plan_loss_position(const tlvk__plan *p) { return p->step_count; }
/* Fills a call for recording; before bind the tensors have sizes only. */
void tlvk__plan_call(const tlvk__plan *plan, const plan_step *s, plan_stage stage, tlvk__op_call *call);
uint64_t tlvk__plan_packed_key(const plan_step *s);
uint64_t tlvk__plan_norm_key(const plan_step *s);
uint64_t tlvk__plan_norm_vector_bytes(const tlvk__plan *plan, const plan_step *s); /* of scale, and of shift behind it */
/* norm.c: a trained BatchNormalization in inference mode as the epilogue of the convolution before it. */
bool tlvk__plan_norm_fits(const tlvk__plan *plan, const plan_step *producer, const plan_step *norm);
uint64_t tlvk__plan_norm_scratch_bytes(const tlvk__plan *plan, const plan_step *s);
tlvk_status tlvk__plan_norm_forward(const plan_step *s, tlvk__recorder *r);
/* `call` is the backward of the convolution, dy behind the activation's gradient. accumulate: gradients of variables are added to what is there. */
tlvk_status tlvk__plan_norm_backward(const tlvk__plan *plan, const plan_step *s, tlvk__recorder *r, const tlvk__op_call *call, bool accumulate);
void tlvk__plan_loss_call(const tlvk__plan *plan, int output, tlvk__loss_call *call);

#endif
