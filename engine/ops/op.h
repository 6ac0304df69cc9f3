/* op.h - what an operation is: one file in engine/ops/, its shader, and one line in table.c.
 *
 * An operation describes itself completely: the Keras fields of its attributes, its shape rule, its variables, what its backward reads,
 * how forward and backward are recorded, the scalar reference in double precision with the error allowed per element, and the cases
 * that tests and `tlvk selftest` run. The rest of the library (JSON, summary, planning, tests) works from this table alone. */
#ifndef TLVK_OP_H
#define TLVK_OP_H

#include "ops/choice.h"
#include "ops/tensor.h"
#include "../shaders/step_params.h"

#define TLVK__MAX_INPUTS 64      /* DenseNet's and Inception's Concatenate stay far below */
#define TLVK__MAX_VARIABLES 8
#define TLVK__MAX_AUX 4
#define TLVK__ATTR_BYTES 192

/* --- activations: a function of one number, usable as an epilogue or alone --------------------------------------------------------- */
typedef struct tlvk__activation {
    tlvk_activation_kind kind;
    float alpha;      /* leaky_relu, relu: negative slope; elu: alpha */
    float max_value;  /* relu: upper bound; INFINITY: none */
    float threshold;  /* relu */
} tlvk__activation;
tlvk__activation tlvk__activation_of(tlvk_activation_kind kind); /* Keras's default parameters */
double tlvk__activation_value(const tlvk__activation *a, double x);               /* not softmax */
double tlvk__activation_slope(const tlvk__activation *a, double x);               /* dy/dx at x; 0 at relu's kink as TensorFlow */
bool tlvk__activation_elementwise(tlvk_activation_kind kind);                     /* all but softmax */
bool tlvk__activation_from_output(tlvk_activation_kind kind);                     /* the slope can be told from y alone: may be an epilogue in training */
const char *tlvk__activation_name(tlvk_activation_kind kind);                     /* Keras's "relu", ... */
bool tlvk__activation_parse(const char *name, tlvk_activation_kind *kind);
/* dz = dy * act'(.) * scale[c]: the gradient before an epilogue, from the epilogue's OUTPUT y. dz may be dy itself. scale NULL: ones. */
tlvk_status tlvk__record_activation_backward(tlvk__recorder *r, const tlvk__activation *a, const tlvk__tensor *y, const tlvk__tensor *dy,
                                             const tlvk__tensor *scale, const tlvk__tensor *dz, const char *layer);
/* sum = a + b elementwise, sum may be a or b; used to join gradients. */
tlvk_status tlvk__record_add(tlvk__recorder *r, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *sum, const char *layer);

/* --- attributes: Keras's JSON fields -> a plain struct ------------------------------------------------------------------------------- */
typedef enum tlvk__field_type {
    TLVK__FIELD_INT,         /* int */
    TLVK__FIELD_FLOAT,       /* float; a default of NAN in the struct means Keras's null */
    TLVK__FIELD_BOOL,        /* bool */
    TLVK__FIELD_PAIR,        /* int[2] from an int or a list of two */
    TLVK__FIELD_PADDING,     /* tlvk_padding, "valid" | "same" */
    TLVK__FIELD_PAD4,        /* int[4] top, bottom, left, right from n, (h, w) or ((t, b), (l, r)) */
    TLVK__FIELD_ACTIVATION,  /* tlvk__activation from a name or a serialized object */
    TLVK__FIELD_SHAPE,       /* tlvk__shape from a list (reshape's target_shape), no batch */
    TLVK__FIELD_INITIALIZER, /* tlvk__initializer */
    TLVK__FIELD_REGULARIZER, /* tlvk_regularizer */
    TLVK__FIELD_AXIS,        /* int from an int or a list of one */
    TLVK__FIELD_CHOICE,      /* int, index into `choices` */
    TLVK__FIELD_FLOATS,      /* tlvk__floats from a number or a list of numbers; null: none */
    TLVK__FIELD_FLOAT_PAIR,  /* float[2] from a number or a list of two, as they stand; null leaves the default */
    TLVK__FIELD_RANGE,       /* float[2], ascending, from a list of two or from f for -|f|, |f|; NAN means null */
    TLVK__FIELD_DIMS,        /* tlvk__shape from a list whose nulls are -1; rank 0 is null */
    TLVK__FIELD_ABSENT,      /* no storage: read and ignored, and taken out when written: a key of every layer that this one's class does not take */
    TLVK__FIELD_MUST,        /* no storage: only the value `must` (JSON text) or null is accepted, refused by name otherwise */
    TLVK__FIELD_IGNORE       /* no storage: read and written back as its default `must` */
} tlvk__field_type;
typedef struct tlvk__field {
    const char *key;             /* Keras's config key */
    tlvk__field_type type;
    size_t offset;               /* in the attribute struct */
    const char *must;            /* JSON text of the accepted (MUST) or written (IGNORE) value; NULL otherwise. Written back when saving. */
    const char *const *choices;  /* CHOICE: names, ends at NULL */
    bool keras3_only, legacy_only; /* which file generation it is written to; both are read */
    bool unless_default;         /* written only where it is not the default: a key that some Keras versions do not know */
    bool read_only;              /* accepted when read, never written: a key that some Keras versions do not know */
} tlvk__field;

/* Numbers given in a config, one for everything or one per channel: pictures have few. */
#define TLVK__MAX_FLOATS 8
typedef struct tlvk__floats { int count /* 0: none */; bool list /* written as a list; else `count` is 1 */; float v[TLVK__MAX_FLOATS]; } tlvk__floats;
static inline tlvk__floats tlvk__one_float(float v) { return (tlvk__floats){.count = 1, .v = {v}}; }
static inline float tlvk__float_of_channel(const tlvk__floats *f, int64_t channel) { return f->v[f->count == 1 ? 0 : channel]; }

typedef struct tlvk__initializer { tlvk_initializer_kind kind; float value /* constant; deviation or half range; scale */; float mean; int mode, distribution; /* VarianceScaling: fan_in 0, fan_out 1, fan_avg 2; truncated_normal 0, untruncated 1, uniform 2 */ } tlvk__initializer;

/* --- variables ---------------------------------------------------------------------------------------------------------------------- */
typedef struct tlvk__variable_spec {
    const char *name;              /* Keras's: "kernel", "bias", "gamma", "moving_mean", ... */
    tlvk__shape shape;             /* Keras's */
    tlvk__layout layout;
    bool trainable;                /* false: state (moving statistics) */
    bool integer;                  /* a whole number, which Keras keeps as int64 in files; here a float as all, exact up to 2^24 */
    tlvk__initializer initializer;
    int64_t fan_in, fan_out;       /* for the initializer; 0: from the shape by Keras's compute_fans */
    tlvk_regularizer regularizer;
} tlvk__variable_spec;

/* --- one call, when it is recorded --------------------------------------------------------------------------------------------------- */
typedef struct tlvk__epilogue {    /* y = act(scale[c] * z + shift[c] + residual) behind an operation that has TLVK__OP_EPILOGUE */
    tlvk__activation activation;   /* elementwise; TLVK_LINEAR: none */
    const tlvk__tensor *scale, *shift; /* vectors of c, both or neither: a BatchNormalization in inference mode */
    const tlvk__tensor *residual;  /* of y's size, NULL: none; only where the operation's `residual` says so */
} tlvk__epilogue;

typedef struct tlvk__op_call {
    const void *attrs;
    const char *layer;
    bool training;                 /* batch statistics, dropout at work */
    bool mixed;                    /* products of matrices may round their operands to fp16 (docs/precision.md) */
    bool again;                    /* a second forward of this step, for the backward: aux holds what the first one kept, and no state is updated */
    uint32_t stream;               /* random stream of this call, counted within the model */
    int64_t first_sample;          /* of the batch: the samples that stand before these, where a batch is done in parts; random numbers count from it */
    int inputs;
    const tlvk__tensor *x[TLVK__MAX_INPUTS];
    const tlvk__tensor *y;
    bool in_place[TLVK__MAX_INPUTS]; /* Concatenate: x[i] is a slice of y and lies where it belongs */
    const tlvk__tensor *w[TLVK__MAX_VARIABLES];
    tlvk__epilogue epilogue;
    tlvk__span aux[TLVK__MAX_AUX]; /* kept from forward to backward */
    tlvk__span scratch;            /* this call's alone, contents undefined */
    tlvk__span packed;             /* weights in the kernel's order, filled by pack() */
    tlvk__span step_params;        /* tlvk__step_params */
    /* backward: dy is the gradient BEFORE the epilogue (the planner records tlvk__record_activation_backward), but behind its activation where the
     * operation has TLVK__OP_SLOPE; entries NULL: not wanted.
     * An operation writes what is wanted and nothing else; *_accumulate: add to what is there. dy may be overwritten never. */
    const tlvk__tensor *dy;
    const tlvk__tensor *dx[TLVK__MAX_INPUTS]; bool dx_accumulate[TLVK__MAX_INPUTS];
    const tlvk__tensor *dw[TLVK__MAX_VARIABLES]; bool dw_accumulate[TLVK__MAX_VARIABLES];
} tlvk__op_call;

typedef struct tlvk__op_needs {    /* bytes, asked before anything is allocated; tensors in the call have sizes but no storage then */
    uint64_t aux_bytes[TLVK__MAX_AUX]; /* only when training and a backward will be recorded, or forward itself needs them kept */
    uint64_t forward_scratch_bytes, backward_scratch_bytes, packed_bytes;
    uint32_t packed_form;              /* below 63: the order of packed weights, for a variable whose calls pack it differently */
} tlvk__op_needs;

enum { TLVK__READS_X = 1, TLVK__READS_Y = 2 };
enum { TLVK__HALF_X = 1, TLVK__HALF_Y = 2 };
enum { TLVK__SLICED_X = 1, TLVK__SLICED_Y = 2, TLVK__SLICED_DX = 4, TLVK__SLICED_DY = 8 };
enum {
    TLVK__OP_EPILOGUE = 1,  /* forward applies call->epilogue */
    TLVK__OP_RANDOM = 2,    /* uses random numbers when training (Dropout) */
    TLVK__OP_STATE = 4,     /* updates its own non-trainable variables when training (BatchNormalization) */
    TLVK__OP_INPUT = 8,     /* InputLayer */
    TLVK__OP_ACTIVATES = 16, /* forward applies the activation of call->epilogue, and its residual, but no scale and shift */
    TLVK__OP_SLOPE = 32,     /* backward takes the slope of call->epilogue.activation itself: in training from x, of any activation; else from y, as
                                tlvk__record_activation_backward does */
    TLVK__OP_PRODUCT = 64    /* records products of matrices, which mixed precision changes */
};
#define TLVK__OP_ANY_EPILOGUE (TLVK__OP_EPILOGUE | TLVK__OP_ACTIVATES)

/* --- reference: dense (unpadded) arrays in double, and the error allowed -------------------------------------------------------------- */
typedef struct tlvk__ref_tensor {
    tlvk__shape shape;
    double *v;   /* values; inputs hold floats exactly */
    double *e;   /* outputs: error bound per element for a float32 device, from the operation's error model (c * 2^-24 * sqrt(K) * sum of |terms|, plus
                    what special functions cost); filled by the reference. NULL: not wanted */
} tlvk__ref_tensor;
typedef struct tlvk__ref_call {
    const void *attrs; bool training, mixed, half /* y lies in fp16 */; uint32_t stream; const tlvk__step_params *step;
    const tlvk__caps *caps; /* the device whose error the bounds are for; NULL: kernels without shortcuts */
    int inputs; const tlvk__ref_tensor *x[TLVK__MAX_INPUTS]; const tlvk__ref_tensor *w[TLVK__MAX_VARIABLES];
    tlvk__ref_tensor *y;
    tlvk__ref_tensor *w_after[TLVK__MAX_VARIABLES]; /* state after a training forward; NULL where not state */
    const tlvk__ref_tensor *dy; tlvk__ref_tensor *dx[TLVK__MAX_INPUTS]; tlvk__ref_tensor *dw[TLVK__MAX_VARIABLES]; /* entries NULL: not wanted */
} tlvk__ref_call;

typedef struct tlvk__op_case {     /* one setting to test or time */
    char name[96];                 /* "same 3x3 s2 7x5x3->10" */
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } attrs;
    int inputs; tlvk__shape x[TLVK__MAX_INPUTS]; /* with batch */
    bool training, mixed;
    bool half;                     /* x, residual and y lie in fp16 where the operation takes them so; x holds numbers of fp16 */
    tlvk__activation epilogue; bool scale_shift; /* for TLVK__OP_EPILOGUE operations; the activation for TLVK__OP_ACTIVATES too */
    bool residual;                 /* something is added before the activation, where the operation can on this device */
    bool planner_only;             /* a setting that no Keras config gives, only the planner */
    bool real_size;                /* a layer of a real network: left out of the quick self-test */
    bool distinct;                 /* inputs must have no equal values (max pooling) */
    bool coarse;                   /* inputs are quarters, so that equal values meet (ties of a maximum) */
    bool positive;                 /* inputs in (0.1, 1) instead of (-1, 1) */
    bool infinite;                 /* of 8 inputs behind each other the first 7 are -inf */
    float range;                   /* inputs times this; 0: 1 */
    float offset;                  /* added to every input: a large mean beside a small deviation */
} tlvk__op_case;

/* --- the operation ---------------------------------------------------------------------------------------------------------------------- */
typedef struct tlvk__op tlvk__op;
typedef struct tlvk__op_part { const tlvk__op *op; union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } attrs; int variables[TLVK__MAX_VARIABLES]; int variable_count; } tlvk__op_part;

struct tlvk__op {
    const char *class_name;        /* Keras's: "Conv2D" */
    const char *keras3_module;     /* where Keras 3 looks for a class that is no layer of its public list; NULL: keras.layers */
    const char *snake_name;        /* automatic layer names: "conv2d" */
    unsigned flags;
    int min_inputs, max_inputs;
    size_t attr_bytes;
    const tlvk__field *fields;     /* ends at key NULL */
    void (*defaults)(void *attrs); /* Keras's defaults into a zeroed struct */
    /* Output shape from input shapes (batch and any dim may be -1); checks attributes and inputs, says what would have been right. */
    tlvk_status (*shape)(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y);
    /* Variables for these (channel dims known) inputs, in Keras's creation order; returns the count. */
    int (*variables)(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs);
    tlvk__activation (*activation)(const void *attrs);  /* the activation field, applied behind the operation; NULL: has none */
    int (*parts)(const void *attrs, tlvk__op_part parts[4]); /* composite operations (SeparableConv2D): a chain of others; NULL: not composite */
    bool (*residual)(const tlvk__caps *caps, const tlvk__op_call *call); /* forward can add call->epilogue.residual; NULL: never */
    bool (*view)(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y); /* y is x's memory as it stands: nothing recorded */
    unsigned (*slices)(const tlvk__caps *caps, const tlvk__op_call *call); /* TLVK__SLICED_*: which tensors may be slices, every x alike; NULL: none */
    /* TLVK__HALF_*: X: every x and the residual may lie in fp16, of forward and of backward: all are read as texels; Y: y may, which forward stores once
     * and whole. Asked where the device reads operands as texels (tlvk__texel_operands). NULL: none */
    unsigned (*halves)(const tlvk__caps *caps, const tlvk__op_call *call);
    unsigned (*backward_reads)(const void *attrs, bool training, bool want_dx, bool want_dw); /* TLVK__READS_*; w is always there */
    double (*flops)(const tlvk__op_call *call); /* of forward; each backward half counts the same */
    /* What forward (pass 0), the gradient of the input (1) and of the variables (2) may run as, the standard first; returns the count, 0: there is nothing
     * to choose. Tensors have sizes alone. NULL: there never is. */
    int (*candidates)(const tlvk__caps *caps, const tlvk__op_call *call, int pass, tlvk__choice_key *key, int32_t candidates[TLVK__MOST_CANDIDATES]);
    tlvk_status (*needs)(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *needs); /* NULL: none */
    tlvk_status (*pack)(tlvk__recorder *r, const tlvk__op_call *call);     /* w -> packed; once while frozen, else each step; NULL: none */
    tlvk_status (*forward)(tlvk__recorder *r, const tlvk__op_call *call);
    tlvk_status (*backward)(tlvk__recorder *r, const tlvk__op_call *call); /* NULL: no gradient passes */
    tlvk_status (*reference_forward)(const tlvk__ref_call *call);
    tlvk_status (*reference_backward)(const tlvk__ref_call *call);
    bool (*test_case)(int index, tlvk__op_case *c); /* c zeroed; false past the last */
};

const tlvk__op *tlvk__op_find(const char *class_name); /* NULL: no such operation */
const tlvk__op *tlvk__op_at(int index);                /* NULL past the last */
extern const tlvk__op tlvk__op_conv2d, tlvk__op_conv2d_transpose, tlvk__op_depthwise_conv2d, tlvk__op_separable_conv2d, tlvk__op_dense,
    tlvk__op_batch_normalization, tlvk__op_layer_normalization,
    tlvk__op_max_pooling2d, tlvk__op_average_pooling2d, tlvk__op_global_average_pooling2d, tlvk__op_global_max_pooling2d, tlvk__op_zero_padding2d,
    tlvk__op_upsampling2d, tlvk__op_cropping2d, tlvk__op_add, tlvk__op_subtract, tlvk__op_multiply, tlvk__op_maximum, tlvk__op_minimum, tlvk__op_average,
    tlvk__op_concatenate, tlvk__op_flatten, tlvk__op_reshape, tlvk__op_permute, tlvk__op_dropout, tlvk__op_rescaling, tlvk__op_normalization,
    tlvk__op_spatial_dropout2d, tlvk__op_alpha_dropout, tlvk__op_stochastic_depth, tlvk__op_random_flip, tlvk__op_random_rotation, tlvk__op_random_zoom,
    tlvk__op_random_translation, tlvk__op_random_contrast, tlvk__op_random_brightness, tlvk__op_resizing, tlvk__op_center_crop, tlvk__op_random_crop,
    tlvk__op_gaussian_noise, tlvk__op_gaussian_dropout, tlvk__op_layer_scale,
    tlvk__op_activation, tlvk__op_softmax, tlvk__op_relu, tlvk__op_leaky_relu, tlvk__op_prelu, tlvk__op_elu, tlvk__op_input;

/* scale = gamma/sqrt(var+eps), shift = beta - mean*scale: makes the epilogue vectors of a BatchNormalization in inference mode on the device;
 * gamma or beta NULL where the layer has none; if `bias` (of the convolution before) is not NULL, shift += bias*scale. */
tlvk_status tlvk__record_batch_norm_affine(tlvk__recorder *r, const void *batch_norm_attrs, const tlvk__tensor *const w[4], const tlvk__tensor *bias,
                                           const tlvk__tensor *scale, const tlvk__tensor *shift, const char *layer);

/* --- checking one case on a device against the reference (ops/check.c): shared by tests and `tlvk selftest` ----------------------------- */
typedef struct tlvk__check { double max_error, bound, worst; /* worst = max over elements of |error| / bound of that element */ bool ok; char message[256]; } tlvk__check;
/* Runs forward, then backward with everything wanted, of one case with inputs from `seed`. `force_piece_samples` > 0 lowers the binding limit so that
 * operands are walked in pieces of that many samples. The status tells of failures to run; wrong values are in `result`. */
tlvk_status tlvk__check_case(tlvk__device *d, const tlvk__op *op, const tlvk__op_case *c, uint64_t seed, int64_t force_piece_samples, tlvk__check *result);

#endif
