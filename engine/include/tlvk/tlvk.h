/* tlvk.h - transfer learning on any Vulkan device, in C: the whole public API.
 *
 * A program reads like the same tutorial in Keras: build or load a model, freeze, compile, fit, save. The words are Keras's.
 *
 *   - Zero means the default in every descriptor; where zero is a meaningful choice that differs from the default, TLVK_ZERO says it.
 *   - Every call that can fail returns a tlvk_status; tlvk_last_error(ctx) then says what, where, which shape, which file.
 *     Symbolic tensors carry an error with them, and tlvk_model_create returns it: one check at the end of a chain.
 *   - Every *_create has a *_destroy that takes NULL; any order of destroying is right.
 *   - The library never prints, exits or aborts. A failing call leaves its objects usable.
 *   - Threads: a context and what was made from it is used by one thread at a time; two contexts are independent.
 *     tlvk_cancel may be called from any thread. The last error is kept per thread and context.
 *   - No device is opened before something is first computed. */
#ifndef TLVK_TLVK_H
#define TLVK_TLVK_H

#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Functions alone are exported, so that a program needs to say nothing of where they come from. */
#if defined(_WIN32) && defined(TLVK_BUILD)
#define TLVK_API __declspec(dllexport)
#elif defined(_WIN32)
#define TLVK_API
#elif defined(__GNUC__)
#define TLVK_API __attribute__((visibility("default")))
#else
#define TLVK_API
#endif

#define TLVK_VERSION_MAJOR 0
#define TLVK_VERSION_MINOR 1
#define TLVK_VERSION_PATCH 0

/* --- status and errors ---------------------------------------------------------------------------------------------------- */

typedef enum tlvk_status {
    TLVK_OK = 0,
    TLVK_ERROR_ARGUMENT = 1,    /* the call's own arguments do not fit: a name that is not there, a shape that does not fit */
    TLVK_ERROR_FILE = 2,        /* the operating system refused a file: not there, not readable, disk full */
    TLVK_ERROR_FORMAT = 3,      /* a file that is damaged or not of its kind */
    TLVK_ERROR_UNSUPPORTED = 4, /* a file or a model that asks for what this library does not do, named in the text */
    TLVK_ERROR_NO_DEVICE = 5,   /* no usable Vulkan device */
    TLVK_ERROR_DEVICE_LOST = 6, /* the device stopped answering */
    TLVK_ERROR_MEMORY = 7,      /* the device's or the host's memory is too small */
    TLVK_ERROR_CANCELLED = 8,   /* tlvk_cancel, or a callback said stop at an error */
    TLVK_ERROR_DATA = 9,        /* pictures or arrays that cannot be used */
    TLVK_ERROR_INTERNAL = 10    /* a fault of this library or of the driver */
} tlvk_status;

typedef struct tlvk_context tlvk_context;
typedef struct tlvk_model tlvk_model;
typedef struct tlvk_dataset tlvk_dataset;
typedef struct tlvk_history tlvk_history;
typedef struct tlvk_layer tlvk_layer;

TLVK_API const char *tlvk_version(void);
TLVK_API const char *tlvk_status_name(tlvk_status status);
/* Text of this thread's last failing call on `ctx` (NULL: of a call that had no context). Never NULL; valid until the next failing call. */
TLVK_API const char *tlvk_last_error(const tlvk_context *ctx);

/* --- context ---------------------------------------------------------------------------------------------------------------- */

typedef enum tlvk_log_level { TLVK_LOG_ERROR = 0, TLVK_LOG_WARNING = 1, TLVK_LOG_INFO = 2, TLVK_LOG_DEBUG = 3 } tlvk_log_level;
typedef void (*tlvk_log_fn)(tlvk_log_level level, const char *text, void *user);

/* Kernels chosen by measurement. ON: what a model can choose is timed on the device the first time it runs there, for a few seconds, and kept in the
 * cache folder for good; without one, for the context. OFF, and by default: the static tables, whose bits depend on no measurement. */
typedef enum tlvk_tune { TLVK_TUNE_DEFAULT = 0, TLVK_TUNE_OFF, TLVK_TUNE_ON } tlvk_tune;

typedef struct tlvk_context_desc {
    const char *device;        /* index ("1") or part of a name; NULL: $TLVK_DEVICE, else the best */
    const char *cache_folder;  /* NULL: $TLVK_CACHE_DIR, else $XDG_CACHE_HOME/tlvk; "" : no caches on disk */
    tlvk_log_fn log;           /* NULL: silent */
    void *log_user;
    tlvk_log_level log_level;  /* highest level passed to log; 0: TLVK_LOG_WARNING */
    uint64_t memory_limit;     /* bytes of device memory at most; 0: what the device offers */
    int worker_threads;        /* threads that decode pictures; 0: one per processor */
    bool no_download;          /* official weights are taken from Keras's cache only */
    tlvk_tune tune;            /* whether kernels are chosen by measuring them on the device */
    uint64_t reserved[4];
} tlvk_context_desc;

TLVK_API tlvk_status tlvk_context_create(const tlvk_context_desc *desc, tlvk_context **out); /* desc NULL: all defaults */
TLVK_API void tlvk_context_destroy(tlvk_context *ctx);
/* Makes the call now running on `ctx` (fit, evaluate, predict) end at its next step with TLVK_ERROR_CANCELLED. Any thread, signal handlers too. */
TLVK_API void tlvk_cancel(tlvk_context *ctx);

/* As keras.utils.set_random_seed: layers built from here on draw their initial weights from this seed. A new context has seed 0. */
TLVK_API void tlvk_set_random_seed(tlvk_context *ctx, uint64_t seed);

typedef struct tlvk_device_info {
    char name[256];
    char type[32];         /* "discrete", "integrated", "virtual", "cpu", "other" */
    char driver[256];      /* name and version as the driver says them */
    char api[32];          /* "1.3.230" */
    uint64_t memory_bytes; /* of the largest device-local heap */
    uint32_t subgroup_size;
    bool fp16, cooperative_matrix;
    bool usable, chosen;
    char reason[256];      /* why it is chosen, not chosen, or not usable */
    bool mixed_precision;  /* TLVK_MIXED trains on it */
    bool matrix_units;     /* and multiplies there by cooperative matrices, of a kind that this library was built for; without, only activations are fp16 */
    uint64_t max_binding_bytes, max_allocation_bytes; /* larger tensors are worked on and laid in pieces */
} tlvk_device_info;
/* Fills up to `capacity` infos; *count receives how many devices there are. TLVK_ERROR_NO_DEVICE where there is no loader or driver. */
TLVK_API tlvk_status tlvk_devices(const tlvk_context *ctx, tlvk_device_info *infos, size_t capacity, size_t *count);

/* How the context's device spent its time so far, by its own clock: seconds at work, and seconds without any between one piece of work and the next.
 * Idle is what the program's own doings (decoding, callbacks, files) cost the device; what a driver on the processor loses because the program's threads
 * share that processor is not in it. The difference of two calls is that of the time between. Both are 0 before the first work, and NaN where
 * the device has no timestamps. */
TLVK_API tlvk_status tlvk_device_use(const tlvk_context *ctx, double *busy_seconds, double *idle_seconds);

/* --- building: symbolic tensors and layers ----------------------------------------------------------------------------------- */

#define TLVK_MAX_DIMS 8
#define TLVK_MAX_IO 16
#define TLVK_ANY (-1)              /* a dimension left open, Keras's None */
#define TLVK_ZERO (-1.17549435e-38f)    /* an explicit zero for a number whose zero means "the default" */

/* A symbolic tensor: a small value that may be copied; it belongs to the context. Its layers live as long as a model that has them: build on it and make
 * the new model before the last such model is destroyed. `node` NULL: an error, or nothing. */
typedef struct tlvk_tensor { struct tlvk_node *node; int index; } tlvk_tensor;

typedef enum tlvk_activation_kind {
    TLVK_LINEAR = 0, TLVK_RELU, TLVK_RELU6, TLVK_LEAKY_RELU, TLVK_ELU, TLVK_SELU, TLVK_SIGMOID, TLVK_TANH, TLVK_SOFTMAX, TLVK_SOFTPLUS,
    TLVK_SWISH, TLVK_GELU, TLVK_HARD_SIGMOID, TLVK_GELU_TANH, TLVK_HARD_SIGMOID_KERAS2, TLVK_SOFTSIGN, TLVK_EXPONENTIAL, TLVK_HARD_SWISH,
    TLVK_ACTIVATION_COUNT
} tlvk_activation_kind;
typedef enum tlvk_padding { TLVK_VALID = 0, TLVK_SAME = 1 } tlvk_padding;
typedef enum tlvk_resize { TLVK_RESIZE_AUTO = 0, TLVK_BILINEAR, TLVK_NEAREST } tlvk_resize;
typedef enum tlvk_initializer_kind {
    TLVK_INIT_DEFAULT = 0, TLVK_GLOROT_UNIFORM, TLVK_GLOROT_NORMAL, TLVK_HE_UNIFORM, TLVK_HE_NORMAL, TLVK_LECUN_UNIFORM, TLVK_LECUN_NORMAL,
    TLVK_ZEROS, TLVK_ONES, TLVK_RANDOM_UNIFORM, TLVK_RANDOM_NORMAL, TLVK_TRUNCATED_NORMAL, TLVK_CONSTANT, TLVK_VARIANCE_SCALING
} tlvk_initializer_kind;
typedef struct tlvk_regularizer { float l1, l2; } tlvk_regularizer; /* adds l1*sum|w| + l2*sum w^2 to the loss */

typedef struct tlvk_input_desc { const char *name; int64_t shape[TLVK_MAX_DIMS]; /* without the batch; ends at 0; TLVK_ANY allowed */ int rank; /* 0: count shape */ } tlvk_input_desc;
typedef struct tlvk_conv2d_desc {
    const char *name;
    int filters, kernel_size[2], strides[2], dilation_rate[2]; /* [1] = 0: as [0] */
    tlvk_padding padding;
    tlvk_activation_kind activation;
    bool no_bias, not_trainable;
    tlvk_initializer_kind kernel_initializer; /* glorot_uniform */
    tlvk_regularizer kernel_regularizer, bias_regularizer;
    int groups; /* 1; divides the input's channels and filters */
} tlvk_conv2d_desc;
typedef struct tlvk_conv2d_transpose_desc {
    const char *name;
    int filters, kernel_size[2], strides[2], dilation_rate[2];
    tlvk_padding padding;
    bool set_output_padding;   /* output_padding counts, zeros too; false: Keras's None, the size follows from the others */
    int output_padding[2];     /* each less than its stride */
    tlvk_activation_kind activation;
    bool no_bias, not_trainable;
    tlvk_initializer_kind kernel_initializer; /* glorot_uniform */
    tlvk_regularizer kernel_regularizer, bias_regularizer;
} tlvk_conv2d_transpose_desc;
typedef struct tlvk_depthwise_conv2d_desc {
    const char *name;
    int kernel_size[2], strides[2], dilation_rate[2], depth_multiplier; /* 1 */
    tlvk_padding padding;
    tlvk_activation_kind activation;
    bool no_bias, not_trainable;
    tlvk_initializer_kind depthwise_initializer;
    tlvk_regularizer depthwise_regularizer, bias_regularizer;
} tlvk_depthwise_conv2d_desc;
typedef struct tlvk_separable_conv2d_desc {
    const char *name;
    int filters, kernel_size[2], strides[2], dilation_rate[2], depth_multiplier;
    tlvk_padding padding;
    tlvk_activation_kind activation;
    bool no_bias, not_trainable;
    tlvk_initializer_kind depthwise_initializer, pointwise_initializer;
    tlvk_regularizer depthwise_regularizer, pointwise_regularizer, bias_regularizer;
} tlvk_separable_conv2d_desc;
typedef struct tlvk_dense_desc {
    const char *name;
    int units;
    tlvk_activation_kind activation;
    bool no_bias, not_trainable;
    tlvk_initializer_kind kernel_initializer;
    tlvk_regularizer kernel_regularizer, bias_regularizer;
} tlvk_dense_desc;
typedef struct tlvk_batch_normalization_desc {
    const char *name;
    float momentum; /* 0.99 */
    float epsilon;  /* 1e-3 */
    bool no_center, no_scale, not_trainable;
} tlvk_batch_normalization_desc;
typedef struct tlvk_pooling2d_desc { const char *name; int pool_size[2]; /* 2 */ int strides[2]; /* pool_size */ tlvk_padding padding; } tlvk_pooling2d_desc;
typedef struct tlvk_padding2d_desc { const char *name; int top, bottom, left, right; } tlvk_padding2d_desc;
typedef struct tlvk_normalization_desc {
    const char *name;
    int axis;                     /* 0: the last, the only one there is */
    const float *mean, *variance; /* `count` numbers each: one for everything, or one per channel, 8 at most; NULL: weights of the layer, 0 and 1 */
    int count;
    bool invert;                  /* x * deviation + mean */
} tlvk_normalization_desc;
typedef struct tlvk_dropout_desc {
    const char *name;
    float rate;
    int64_t noise_shape[TLVK_MAX_DIMS]; /* with the batch: TLVK_ANY as x's, 1 for one draw along a dimension; ends at 0; empty: a draw per element */
} tlvk_dropout_desc;
typedef enum tlvk_flip_mode { TLVK_FLIP_HORIZONTAL_AND_VERTICAL = 0, TLVK_FLIP_HORIZONTAL, TLVK_FLIP_VERTICAL } tlvk_flip_mode;
typedef enum tlvk_fill_mode { TLVK_FILL_REFLECT = 0, TLVK_FILL_WRAP, TLVK_FILL_CONSTANT, TLVK_FILL_NEAREST } tlvk_fill_mode; /* what lies outside a picture */
/* Factors of the random layers are Keras's: {lower, upper}, or {f, 0} for Keras's single number, -f to f (with TLVK_ZERO for a bound that is 0); they have no
 * defaults. Each picture of a batch has a draw of its own, from the seed of the fit, the layer, the step and its place in the batch. */
typedef struct tlvk_random_rotation_desc {
    const char *name;
    float factor[2];             /* of a full turn, counterclockwise */
    tlvk_fill_mode fill_mode; float fill_value;
    tlvk_resize interpolation;   /* bilinear */
} tlvk_random_rotation_desc;
typedef struct tlvk_random_zoom_desc {
    const char *name;
    float height_factor[2], width_factor[2]; /* more than 0 shows more, smaller; width_factor left empty: as the height, the aspect ratio kept */
    tlvk_fill_mode fill_mode; float fill_value;
    tlvk_resize interpolation;
} tlvk_random_zoom_desc;
typedef struct tlvk_random_translation_desc {
    const char *name;
    float height_factor[2], width_factor[2]; /* of the height, down; of the width, to the right */
    tlvk_fill_mode fill_mode; float fill_value;
    tlvk_resize interpolation;
} tlvk_random_translation_desc;
typedef struct tlvk_random_color_desc {      /* contrast and brightness */
    const char *name;
    float factor[2];             /* contrast: between 1 - factor[0] and 1 + factor[1]; {f, 0} is 1 to 1 + f, as Keras 3 takes a single number */
    float value_range[2];        /* results are cut to it; 0 to 255 */
} tlvk_random_color_desc;
typedef struct tlvk_resizing_desc {
    const char *name;
    int height, width;
    tlvk_resize interpolation;   /* bilinear */
    bool crop_to_aspect_ratio;
} tlvk_resizing_desc;
typedef struct tlvk_relu_desc { const char *name; float max_value; /* none */ float negative_slope, threshold; } tlvk_relu_desc;

typedef struct tlvk_layer_normalization_desc { const char *name; float epsilon; /* 1e-3 */ bool no_center, no_scale, not_trainable; } tlvk_layer_normalization_desc;
typedef struct tlvk_upsampling2d_desc { const char *name; int size[2]; /* 2 */ tlvk_resize interpolation; /* nearest */ } tlvk_upsampling2d_desc;
typedef struct tlvk_prelu_desc {
    const char *name;
    int shared_axes[TLVK_MAX_DIMS]; /* axes along which alpha is shared, the batch being 0; ends at 0. Of pictures 1, 2 is usual. */
    bool not_trainable;
    tlvk_initializer_kind alpha_initializer; /* zeros */
    tlvk_regularizer alpha_regularizer;
} tlvk_prelu_desc;

TLVK_API tlvk_tensor tlvk_input(tlvk_context *ctx, const tlvk_input_desc *desc);
TLVK_API tlvk_tensor tlvk_conv2d(tlvk_tensor x, const tlvk_conv2d_desc *desc);
TLVK_API tlvk_tensor tlvk_conv2d_transpose(tlvk_tensor x, const tlvk_conv2d_transpose_desc *desc);
TLVK_API tlvk_tensor tlvk_depthwise_conv2d(tlvk_tensor x, const tlvk_depthwise_conv2d_desc *desc);
TLVK_API tlvk_tensor tlvk_separable_conv2d(tlvk_tensor x, const tlvk_separable_conv2d_desc *desc);
TLVK_API tlvk_tensor tlvk_dense(tlvk_tensor x, const tlvk_dense_desc *desc);
TLVK_API tlvk_tensor tlvk_batch_normalization(tlvk_tensor x, const tlvk_batch_normalization_desc *desc); /* desc NULL: defaults */
TLVK_API tlvk_tensor tlvk_layer_normalization(tlvk_tensor x, const tlvk_layer_normalization_desc *desc); /* over the last axis; desc NULL: defaults */
TLVK_API tlvk_tensor tlvk_max_pooling2d(tlvk_tensor x, const tlvk_pooling2d_desc *desc);
TLVK_API tlvk_tensor tlvk_average_pooling2d(tlvk_tensor x, const tlvk_pooling2d_desc *desc);
TLVK_API tlvk_tensor tlvk_global_average_pooling2d(tlvk_tensor x, const char *name); /* every name may be NULL: Keras's automatic one */
TLVK_API tlvk_tensor tlvk_global_max_pooling2d(tlvk_tensor x, const char *name);
TLVK_API tlvk_tensor tlvk_zero_padding2d(tlvk_tensor x, const tlvk_padding2d_desc *desc);
TLVK_API tlvk_tensor tlvk_cropping2d(tlvk_tensor x, const tlvk_padding2d_desc *desc);
TLVK_API tlvk_tensor tlvk_add(const tlvk_tensor *x, int count, const char *name);
TLVK_API tlvk_tensor tlvk_subtract(tlvk_tensor a, tlvk_tensor b, const char *name);
TLVK_API tlvk_tensor tlvk_multiply(const tlvk_tensor *x, int count, const char *name);
TLVK_API tlvk_tensor tlvk_maximum(const tlvk_tensor *x, int count, const char *name);
TLVK_API tlvk_tensor tlvk_minimum(const tlvk_tensor *x, int count, const char *name);
TLVK_API tlvk_tensor tlvk_average(const tlvk_tensor *x, int count, const char *name);
TLVK_API tlvk_tensor tlvk_concatenate(const tlvk_tensor *x, int count, const char *name); /* along the last axis */
TLVK_API tlvk_tensor tlvk_concatenate_axis(const tlvk_tensor *x, int count, int axis, const char *name); /* the batch is axis 0 */
TLVK_API tlvk_tensor tlvk_flatten(tlvk_tensor x, const char *name);
TLVK_API tlvk_tensor tlvk_reshape(tlvk_tensor x, const int64_t *shape, int rank, const char *name); /* without the batch; one -1 allowed */
TLVK_API tlvk_tensor tlvk_permute(tlvk_tensor x, const int *dims, int rank, const char *name); /* Keras's dims: axes from 1, without the batch */
TLVK_API tlvk_tensor tlvk_upsampling2d(tlvk_tensor x, const tlvk_upsampling2d_desc *desc); /* desc NULL: twice the size, nearest */
TLVK_API tlvk_tensor tlvk_rescaling(tlvk_tensor x, float scale, float offset, const char *name); /* x*scale + offset */
/* With `count` numbers each, one per channel, 8 at most; offset NULL: 0. */
TLVK_API tlvk_tensor tlvk_rescaling_channels(tlvk_tensor x, const float *scale, const float *offset, int count, const char *name);
TLVK_API tlvk_tensor tlvk_normalization(tlvk_tensor x, const tlvk_normalization_desc *desc); /* desc NULL: defaults */
TLVK_API tlvk_tensor tlvk_dropout(tlvk_tensor x, float rate, const char *name);
TLVK_API tlvk_tensor tlvk_dropout_noise(tlvk_tensor x, const tlvk_dropout_desc *desc); /* Dropout with a noise_shape */
TLVK_API tlvk_tensor tlvk_spatial_dropout2d(tlvk_tensor x, float rate, const char *name);
TLVK_API tlvk_tensor tlvk_alpha_dropout(tlvk_tensor x, float rate, const char *name);
TLVK_API tlvk_tensor tlvk_stochastic_depth(tlvk_tensor x, float rate, const char *name); /* of keras.applications' ConvNeXt: drops whole samples */
TLVK_API tlvk_tensor tlvk_gaussian_noise(tlvk_tensor x, float stddev, const char *name);
TLVK_API tlvk_tensor tlvk_gaussian_dropout(tlvk_tensor x, float rate, const char *name);
TLVK_API tlvk_tensor tlvk_layer_scale(tlvk_tensor x, float init_values, const char *name); /* of ConvNeXt: x times a trained number per channel */
/* Pictures: (batch, height, width, channels). The random layers and those that change the size pass no gradient but flip, contrast and brightness: they
 * stand before what is trained. In inference the random ones do nothing (random_crop: the largest centered window of its aspect ratio, resized). */
TLVK_API tlvk_tensor tlvk_resizing(tlvk_tensor x, const tlvk_resizing_desc *desc);
TLVK_API tlvk_tensor tlvk_center_crop(tlvk_tensor x, int height, int width, const char *name);
TLVK_API tlvk_tensor tlvk_random_crop(tlvk_tensor x, int height, int width, const char *name);
TLVK_API tlvk_tensor tlvk_random_flip(tlvk_tensor x, tlvk_flip_mode mode, const char *name);
TLVK_API tlvk_tensor tlvk_random_rotation(tlvk_tensor x, const tlvk_random_rotation_desc *desc);
TLVK_API tlvk_tensor tlvk_random_zoom(tlvk_tensor x, const tlvk_random_zoom_desc *desc);
TLVK_API tlvk_tensor tlvk_random_translation(tlvk_tensor x, const tlvk_random_translation_desc *desc);
TLVK_API tlvk_tensor tlvk_random_contrast(tlvk_tensor x, const tlvk_random_color_desc *desc);
TLVK_API tlvk_tensor tlvk_random_brightness(tlvk_tensor x, const tlvk_random_color_desc *desc);
TLVK_API tlvk_tensor tlvk_activation(tlvk_tensor x, tlvk_activation_kind kind, const char *name);
TLVK_API tlvk_tensor tlvk_relu(tlvk_tensor x, const tlvk_relu_desc *desc); /* desc NULL: plain */
TLVK_API tlvk_tensor tlvk_leaky_relu(tlvk_tensor x, float negative_slope, const char *name);
TLVK_API tlvk_tensor tlvk_prelu(tlvk_tensor x, const tlvk_prelu_desc *desc); /* desc NULL: an alpha for every element of a sample */
TLVK_API tlvk_tensor tlvk_elu(tlvk_tensor x, float alpha, const char *name);
TLVK_API tlvk_tensor tlvk_softmax(tlvk_tensor x, const char *name);

typedef enum tlvk_call_mode { TLVK_CALL_DEFAULT = 0, TLVK_CALL_INFERENCE = 1, TLVK_CALL_TRAINING = 2 } tlvk_call_mode; /* Keras's training=None, False, True */
/* Applies a layer (or a whole model, below) again: its variables are shared. */
TLVK_API tlvk_tensor tlvk_layer_call(tlvk_layer *layer, tlvk_tensor x, tlvk_call_mode mode);
TLVK_API tlvk_tensor tlvk_model_call(tlvk_model *model, tlvk_tensor x, tlvk_call_mode mode, const char *name);
/* The same on several tensors, in the order of the layer's or model's inputs. Of a model with several outputs the first is returned;
 * tlvk_call_output gives the others. */
TLVK_API tlvk_tensor tlvk_layer_call_inputs(tlvk_layer *layer, const tlvk_tensor *x, int count, tlvk_call_mode mode);
TLVK_API tlvk_tensor tlvk_model_call_inputs(tlvk_model *model, const tlvk_tensor *x, int count, tlvk_call_mode mode, const char *name);
/* Output `index` of the call that y is an output of. */
TLVK_API tlvk_tensor tlvk_call_output(tlvk_tensor y, int index);

/* --- models -------------------------------------------------------------------------------------------------------------------- */

typedef struct tlvk_model_desc {
    const char *name;
    tlvk_tensor inputs[TLVK_MAX_IO], outputs[TLVK_MAX_IO]; /* each ends at the first empty entry */
    bool sequential;            /* Keras's Sequential: one chain of layers from one input to one output; its InputLayer is no layer of it */
} tlvk_model_desc;
TLVK_API tlvk_status tlvk_model_create(tlvk_context *ctx, const tlvk_model_desc *desc, tlvk_model **out);
TLVK_API void tlvk_model_destroy(tlvk_model *model);

typedef enum tlvk_pooling { TLVK_POOLING_NONE = 0, TLVK_POOLING_AVG, TLVK_POOLING_MAX } tlvk_pooling;
typedef struct tlvk_net_desc {
    const char *weights;        /* NULL or "random": Keras's initializers; "imagenet"; or a path to a weights file */
    bool no_top;                /* include_top=False */
    int64_t input_shape[3];     /* height, width, channels; zero: the network's own (with no_top: open) */
    tlvk_pooling pooling;       /* with no_top */
    int classes;                /* 1000 */
    tlvk_activation_kind classifier_activation; /* 0: softmax */
    float alpha;                /* width of mobilenet, mobilenetv2 and mobilenetv3*; 0: 1 */
    uint64_t seed;              /* of random weights */
    const char *name;
    bool logits;                /* Keras's classifier_activation=None: the classifier ends without an activation */
    float dropout;              /* before the classifier of mobilenet and mobilenetv3*; 0: Keras's own, TLVK_ZERO: none */
    int depth_multiplier;       /* of mobilenet; 0: 1 */
    void (*fetch_progress)(int64_t done, int64_t total, void *user); /* while "imagenet" weights are fetched: bytes; total -1 while unknown */
    void *fetch_user;
} tlvk_net_desc;
TLVK_API tlvk_status tlvk_net(tlvk_context *ctx, const char *net, const tlvk_net_desc *desc, tlvk_model **out); /* "vgg16", ... */
TLVK_API tlvk_status tlvk_vgg16(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_vgg19(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_resnet50(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_resnet101(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_resnet152(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_resnet50v2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_resnet101v2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_resnet152v2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_inceptionv3(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_xception(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_mobilenet(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_mobilenetv2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_densenet121(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_densenet169(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_densenet201(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb0(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb1(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb3(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb4(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb5(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb6(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetb7(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2b0(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2b1(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2b2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2b3(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2s(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2m(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_efficientnetv2l(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_mobilenetv3small(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_mobilenetv3large(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_nasnetmobile(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_nasnetlarge(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_convnexttiny(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_convnextsmall(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_convnextbase(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_convnextlarge(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API tlvk_status tlvk_convnextxlarge(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out);
TLVK_API const char *tlvk_net_name(int index); /* of the built-in networks; NULL past the last */

/* Official weights. They lie where Keras keeps them ($KERAS_HOME/models, else ~/.keras/models); tlvk_net with weights "imagenet" fetches what is missing
 * unless the context says no_download. A file takes its name only when its hash is right; two processes wait for each other; what a broken connection
 * left is gone on with. $TLVK_WEIGHTS_URL names a mirror: it takes the place of "https://storage.googleapis.com" in every address. */
typedef struct tlvk_fetch_desc {
    bool no_top;
    float alpha;                 /* mobilenet, mobilenetv2, mobilenetv3*; 0: 1 */
    int size;                    /* mobilenet, mobilenetv2: 128, 160, 192, 224, of mobilenetv2 96 too; 0: 224 */
    void (*progress)(int64_t done, int64_t total, void *user); /* bytes; total -1 while unknown */
    void *user;
} tlvk_fetch_desc;
/* *path (the caller's, tlvk_free) is the file in the cache. `net` is a network's name, or "imagenet_class_index". TLVK_ERROR_FILE names the address
 * and where to put the file by hand. desc NULL: with the classifier. */
TLVK_API tlvk_status tlvk_fetch(tlvk_context *ctx, const char *net, const tlvk_fetch_desc *desc, char **path);
/* What tlvk_fetch would fetch, without looking for it. */
typedef struct tlvk_official_file {
    char name[128];              /* in the cache folder */
    char address[256];           /* of Keras, whatever mirror is named */
    char hash[72];               /* as published, lower-case: MD5 (32 digits) or SHA-256 (64); "": none was published */
} tlvk_official_file;
TLVK_API tlvk_status tlvk_fetch_info(tlvk_context *ctx, const char *net, const tlvk_fetch_desc *desc, tlvk_official_file *file);

/* Whole models: .keras (Keras 3), .h5 and .hdf5 (Keras's HDF5). Class names, preprocessing and resize rule travel with the file. */
TLVK_API tlvk_status tlvk_model_load(tlvk_context *ctx, const char *path, tlvk_model **out);
TLVK_API tlvk_status tlvk_model_save(tlvk_model *model, const char *path);
/* What tlvk_model_save would refuse, without writing: a form of that name, a layer that the form has no word for. To be asked before a long training. */
TLVK_API tlvk_status tlvk_model_check_save(const tlvk_model *model, const char *path);
/* Weights alone: .weights.h5 (Keras 3), other .h5 and .hdf5; reading takes those of whole models too. */
typedef enum tlvk_weights_match { TLVK_BY_ORDER = 0, TLVK_BY_NAME = 1 } tlvk_weights_match;
TLVK_API tlvk_status tlvk_model_load_weights(tlvk_model *model, const char *path, tlvk_weights_match match);
TLVK_API tlvk_status tlvk_model_save_weights(tlvk_model *model, const char *path);
/* The architecture alone, as Keras's JSON: model.to_json() and keras.models.model_from_json(). input_shape (without the batch; ends at 0) is for a
 * Sequential whose text does not say its input's, and may be NULL. The caller frees *json with tlvk_free. */
TLVK_API tlvk_status tlvk_model_from_json(tlvk_context *ctx, const char *json, const int64_t *input_shape, tlvk_model **out);
TLVK_API tlvk_status tlvk_model_to_json(const tlvk_model *model, char **json);

TLVK_API const char *tlvk_model_name(const tlvk_model *model);
TLVK_API int tlvk_model_input_count(const tlvk_model *model);
TLVK_API int tlvk_model_output_count(const tlvk_model *model);
TLVK_API tlvk_tensor tlvk_model_input(const tlvk_model *model, int index);
TLVK_API tlvk_tensor tlvk_model_output(const tlvk_model *model, int index);
/* Output of the layer of that name at any depth ("a/b/c" where a name stands twice), as a tensor to build on. It is connected to this model's
 * inputs, also where the layer lies in a nested model: the nested model's calls up to the layer are repeated on the tensors it is called on
 * here, with the same layers and weights. So tlvk_model_create({tlvk_model_input(model, 0)} -> {that tensor and what is built on it}) works.
 * Of a layer that the model calls several times it is the output of the call that was made first, as Keras's get_output_at counts them. Of a nested
 * model with several outputs it is the first; tlvk_call_output(that, k) gives the others. */
TLVK_API tlvk_tensor tlvk_layer_output(const tlvk_model *model, const char *name);
/* Keras's Sequential.pop: the last layer goes, and with it the class names; its weights live on where another model has it. Compile again afterwards.
 * TLVK_ERROR_ARGUMENT for a model that is no Sequential, has but one layer, or is called as a layer of another model (whose shapes are settled). */
TLVK_API tlvk_status tlvk_model_pop(tlvk_model *model);
/* What takes a layer's place: builds on the tensors the layer is called on and returns the tensor that stands for its output. Returning x[0] takes
 * the layer out; calling the layer itself (tlvk_layer_call_inputs) and building on that puts layers behind it; such a call with TLVK_CALL_DEFAULT
 * keeps the mode of the call it stands for. An empty tensor or an error ends the work with that error. */
typedef tlvk_tensor (*tlvk_replace_fn)(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user);
/* A new model in which every call of the layer of that name (at any depth: the nested models around it are made anew) is replaced by what `replace`
 * gives; all other layers are the same layers, weights shared, called again in order and mode on what now stands before them; calls before the change are
 * the very same. As Keras's clone_model with a call_function. Nested models keep name, flags and outputs; a Sequential stays one unless a branch comes in.
 * What replaces a model with several outputs must be output 0 of a call that has as many. The new model has the old one's usage, and is not compiled;
 * the old one stays as it is. TLVK_ERROR_ARGUMENT names the layer behind the change that does not fit, its weights' shapes and the new input's. */
TLVK_API tlvk_status tlvk_model_replace_layer(tlvk_model *model, const char *name, tlvk_replace_fn replace, void *user, tlvk_model **out);
/* Shape without the batch (TLVK_ANY where open); returns the rank, 0 for an empty tensor. */
TLVK_API int tlvk_tensor_shape(tlvk_tensor x, int64_t shape[TLVK_MAX_DIMS]);

typedef struct tlvk_layer_info {
    const char *name, *class_name;
    char output_shape[96];       /* as Keras prints it */
    int64_t params, trainable_params;
    bool trainable, is_model;
    int depth;                   /* 0: a layer of the model itself; 1: of a model inside it ... (listing all depths) */
    const char *inbound[TLVK_MAX_IO]; /* names of the layers it reads; ends at NULL */
} tlvk_layer_info;
TLVK_API int tlvk_model_layer_count(const tlvk_model *model);                 /* Keras's len(model.layers) */
TLVK_API tlvk_layer *tlvk_model_layer(const tlvk_model *model, int index);    /* negative counts from the end; NULL out of range */
TLVK_API tlvk_layer *tlvk_model_find_layer(const tlvk_model *model, const char *name); /* any depth; NULL when absent or ambiguous */
/* Below tlvk_model_layer_count, `index` is that of tlvk_model_layer; the layers of nested models follow, depth first, each once, until
 * TLVK_ERROR_ARGUMENT tells that there are no more. The texts belong to the model. */
TLVK_API tlvk_status tlvk_model_layer_info(const tlvk_model *model, int index, tlvk_layer_info *info);
TLVK_API tlvk_model *tlvk_layer_model(tlvk_layer *layer); /* the model a nested-model layer wraps, borrowed; NULL for others */
TLVK_API const char *tlvk_layer_name(const tlvk_layer *layer);
TLVK_API const char *tlvk_layer_class(const tlvk_layer *layer);
TLVK_API bool tlvk_layer_trainable(const tlvk_layer *layer);
TLVK_API void tlvk_layer_set_trainable(tlvk_layer *layer, bool trainable);
/* Renames; a name that another layer of a model that has this one carries, or an empty one, is TLVK_ERROR_ARGUMENT. A model and the layers that stand for
 * it under its own name are renamed together. A '/' in a name is written to files as '_', since Keras 3 refuses it. */
TLVK_API tlvk_status tlvk_layer_set_name(tlvk_layer *layer, const char *name);
TLVK_API tlvk_status tlvk_model_set_name(tlvk_model *model, const char *name);
/* layer.activation = ...: of layers that have such a setting (Conv2D, Dense, Activation ...), with Keras's default parameters. Every model that has the
 * layer works with it from its next call on, compiled ones too; the optimizer's state stays. */
TLVK_API tlvk_status tlvk_layer_set_activation(tlvk_layer *layer, tlvk_activation_kind activation);
TLVK_API int tlvk_layer_weight_count(const tlvk_layer *layer);
/* Name, shape and number of values of weight i in Keras's order; any out pointer may be NULL. */
TLVK_API tlvk_status tlvk_layer_weight_info(const tlvk_layer *layer, int i, const char **name, int64_t shape[TLVK_MAX_DIMS], int *rank, size_t *elements);
TLVK_API tlvk_status tlvk_layer_get_weight(const tlvk_layer *layer, int i, float *values, size_t elements);
TLVK_API tlvk_status tlvk_layer_set_weight(tlvk_layer *layer, int i, const float *values, size_t elements);

/* Sets `trainable` by Keras's words: a slice of layers (":10", "-3:", "5:9"), a layer's name or a glob at any depth ("block4_*"),
 * "base", "*" (every layer). Slices count the layers of the innermost feature extractor, as cli.md's --freeze does. */
TLVK_API tlvk_status tlvk_model_set_trainable(tlvk_model *model, const char *spec, bool trainable);
/* Sets `trainable` of every layer at every depth (models aside) for which `wanted` says true. */
typedef bool (*tlvk_layer_predicate)(tlvk_layer *layer, void *user);
TLVK_API tlvk_status tlvk_model_set_trainable_if(tlvk_model *model, tlvk_layer_predicate wanted, void *user, bool trainable);
TLVK_API tlvk_status tlvk_model_count_params(const tlvk_model *model, int64_t *total, int64_t *trainable);
/* Keras's summary table; the caller frees *text with tlvk_free. */
TLVK_API tlvk_status tlvk_model_summary(const tlvk_model *model, char **text);
/* The same table, printed to `file`, a FILE *, or NULL for the standard output. */
TLVK_API tlvk_status tlvk_print_summary(const tlvk_model *model, void *file);
TLVK_API void tlvk_free(void *p);

/* How pictures are made ready for this model; travels with its file. */
typedef enum tlvk_preprocess { TLVK_PREPROCESS_AUTO = 0, TLVK_PREPROCESS_NONE, TLVK_PREPROCESS_TF, TLVK_PREPROCESS_CAFFE, TLVK_PREPROCESS_TORCH, TLVK_PREPROCESS_SCALE } tlvk_preprocess;
typedef enum tlvk_color_mode { TLVK_COLOR_AUTO = 0, TLVK_RGB, TLVK_GRAYSCALE, TLVK_RGBA } tlvk_color_mode;
typedef struct tlvk_usage {
    tlvk_preprocess preprocess; tlvk_color_mode color_mode; tlvk_resize resize;
    int class_count; const char *const *class_names; /* borrowed from the model by get, copied by set; NULL: unknown */
} tlvk_usage;
TLVK_API void tlvk_model_usage(const tlvk_model *model, tlvk_usage *usage);
TLVK_API tlvk_status tlvk_model_set_usage(tlvk_model *model, const tlvk_usage *usage);

/* --- data ------------------------------------------------------------------------------------------------------------------------ */

typedef enum tlvk_label_mode { TLVK_LABEL_AUTO = 0, TLVK_LABEL_INT, TLVK_LABEL_CATEGORICAL, TLVK_LABEL_BINARY } tlvk_label_mode;
typedef enum tlvk_subset { TLVK_SUBSET_ALL = 0, TLVK_SUBSET_TRAINING, TLVK_SUBSET_VALIDATION } tlvk_subset;
/* Keras's image_dataset_from_directory: a folder per class, classes in alphanumeric order. */
typedef struct tlvk_image_folder_desc {
    const char *path;            /* a folder; or of a .zip, .tar, .tar.gz archive: "pets.zip//train", "pets.zip" */
    int image_size[2];           /* height, width; 256 x 256 */
    int batch_size;              /* 32 */
    tlvk_color_mode color_mode;  /* rgb */
    tlvk_resize resize;          /* bilinear */
    tlvk_preprocess preprocess;  /* none */
    tlvk_label_mode label_mode;  /* int */
    bool no_shuffle;
    uint64_t seed;
    double validation_split;     /* with subset */
    tlvk_subset subset;
    bool strict;                 /* a picture that cannot be decoded ends the run (default: named, counted, left out) */
    const char *const *class_names; /* order of classes, NULL: sorted folders */
    int class_count;
    bool unlabeled;              /* pictures straight in the folder or below, no classes */
    bool fast_decode;            /* JPEGs much larger than image_size are shrunk while they are decoded: several times faster and smoother pictures,
                                    no longer those of Keras. Without effect in a library built without libjpeg. */
} tlvk_image_folder_desc;
TLVK_API tlvk_status tlvk_image_dataset_from_directory(tlvk_context *ctx, const tlvk_image_folder_desc *desc, tlvk_dataset **out);
/* A list of picture files ("pets.zip//train/1.jpg" too), in the given order, without labels. */
TLVK_API tlvk_status tlvk_image_dataset_from_files(tlvk_context *ctx, const char *const *paths, size_t count, const tlvk_image_folder_desc *desc, tlvk_dataset **out);

typedef struct tlvk_array { const float *values; int64_t shape[TLVK_MAX_DIMS]; /* samples first; ends at 0 */ } tlvk_array;
typedef struct tlvk_array_desc {
    const float *x; int64_t x_shape[TLVK_MAX_DIMS]; /* samples first; ends at 0 */
    const float *y; int64_t y_shape[TLVK_MAX_DIMS]; /* (samples) or (samples, 1): class numbers or targets; (samples, k): one-hot or targets; y NULL: none */
    int batch_size; bool no_shuffle; uint64_t seed;
    bool borrow;                                    /* keep the pointers instead of copying */
    tlvk_array inputs[TLVK_MAX_IO], targets[TLVK_MAX_IO]; /* instead of x and y, for models with several inputs or outputs, in their order; each ends
                                                             at the first empty entry, all with the same number of samples */
} tlvk_array_desc;
TLVK_API tlvk_status tlvk_dataset_from_arrays(tlvk_context *ctx, const tlvk_array_desc *desc, tlvk_dataset **out);
/* The samples as arrays in memory, in the dataset's order, after resizing and preprocessing; pictures that cannot be read are left out. x->shape is (samples,
 * ...); y->shape is (samples), or (samples, classes) with categorical labels, and empty without labels. y may be NULL. The values are the caller's, to be
 * freed with tlvk_free((void *)x->values). Both fit tlvk_array_desc.inputs and targets. TLVK_ERROR_ARGUMENT for several inputs or targets. */
TLVK_API tlvk_status tlvk_dataset_to_arrays(tlvk_context *ctx, tlvk_dataset *dataset, tlvk_array *x, tlvk_array *y);
TLVK_API void tlvk_dataset_destroy(tlvk_dataset *dataset);
TLVK_API int64_t tlvk_dataset_size(const tlvk_dataset *dataset);
TLVK_API int tlvk_dataset_class_count(const tlvk_dataset *dataset);
TLVK_API const char *tlvk_dataset_class_name(const tlvk_dataset *dataset, int index);
TLVK_API const char *tlvk_dataset_path(const tlvk_dataset *dataset, int64_t sample); /* NULL for arrays */
TLVK_API int tlvk_dataset_label(const tlvk_dataset *dataset, int64_t sample);        /* class number, -1 without labels */
TLVK_API int64_t tlvk_dataset_failed_count(const tlvk_dataset *dataset);             /* pictures found unreadable so far */
TLVK_API const char *tlvk_dataset_failed(const tlvk_dataset *dataset, int64_t index); /* "path: why" */

/* --- training ---------------------------------------------------------------------------------------------------------------------- */

typedef enum tlvk_optimizer_kind { TLVK_ADAM = 0, TLVK_SGD, TLVK_RMSPROP, TLVK_ADAMW } tlvk_optimizer_kind;
typedef enum tlvk_schedule_kind { TLVK_SCHEDULE_CONSTANT = 0, TLVK_SCHEDULE_COSINE, TLVK_SCHEDULE_EXPONENTIAL, TLVK_SCHEDULE_PLATEAU } tlvk_schedule_kind;
typedef struct tlvk_schedule { /* step counts are optimizer steps */
    tlvk_schedule_kind kind;
    int64_t decay_steps; /* cosine: to alpha*lr; exponential: lr * decay_rate^(step/decay_steps); 0: the whole fit */
    float decay_rate;    /* exponential; 0: 0.96 */
    float alpha;         /* cosine: the last share of lr */
    float factor;        /* plateau; 0: 0.1 */
    int patience;        /* plateau, epochs; 0: 10 */
    float min_lr;        /* plateau */
} tlvk_schedule;
typedef struct tlvk_optimizer {
    tlvk_optimizer_kind kind;
    float learning_rate;   /* Adam, AdamW, RMSprop 1e-3; SGD 1e-2 */
    float momentum;        /* SGD, RMSprop */
    bool nesterov;         /* SGD */
    float beta_1, beta_2;  /* 0.9, 0.999 */
    float rho;             /* RMSprop 0.9 */
    float epsilon;         /* 1e-7 */
    bool centered, amsgrad;
    float weight_decay;    /* decoupled; AdamW 0.004, others none */
    float clipnorm, global_clipnorm, clipvalue;
    tlvk_schedule schedule;
} tlvk_optimizer;

typedef enum tlvk_loss_kind {
    TLVK_LOSS_AUTO = 0, /* from the last layer and labels: sparse categorical for softmax, binary for one sigmoid unit */
    TLVK_CATEGORICAL_CROSSENTROPY, TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, TLVK_BINARY_CROSSENTROPY, TLVK_MEAN_SQUARED_ERROR
} tlvk_loss_kind;
typedef struct tlvk_loss { tlvk_loss_kind kind; bool from_logits; float label_smoothing; } tlvk_loss;
typedef enum tlvk_metric_kind { TLVK_METRIC_NONE = 0, TLVK_ACCURACY, TLVK_BINARY_ACCURACY, TLVK_CATEGORICAL_ACCURACY, TLVK_SPARSE_CATEGORICAL_ACCURACY, TLVK_METRIC_MSE } tlvk_metric_kind;

typedef enum tlvk_cache { TLVK_CACHE_MEMORY = 0, TLVK_CACHE_DISK, TLVK_CACHE_OFF } tlvk_cache; /* of the frozen prefix; memory spills to disk */
typedef enum tlvk_precision {
    TLVK_FP32 = 0,
    TLVK_MIXED /* activations in fp16; matrix products of fp16 with fp32 sums where the device has VK_KHR_cooperative_matrix for them and the library its shaders;
                  weights, gradients and all else fp32, dynamic loss scaling. fit is TLVK_ERROR_UNSUPPORTED on a device that can neither */
} tlvk_precision;
typedef struct tlvk_compile_desc {
    tlvk_optimizer optimizer;
    tlvk_loss loss;
    tlvk_metric_kind metrics[8]; /* ends at 0 */
    bool deterministic;          /* kernels by the static tables alone, also where the context says TLVK_TUNE_ON; a resumed fit goes by its checkpoint's */
    /* Models with several outputs, in their order: the loss is the sum of loss_weights[i] * losses[i]. A loss left at 0 is `loss`, a weight left at 0
     * is 1, a metric left at 0 is metrics[0]. TLVK_ZERO as a weight leaves an output out of the loss; it is still measured. */
    tlvk_loss losses[TLVK_MAX_IO];
    float loss_weights[TLVK_MAX_IO];
    tlvk_metric_kind output_metrics[TLVK_MAX_IO];
    tlvk_precision precision;    /* of fit and train_on_batch; evaluate and predict are fp32 */
} tlvk_compile_desc;
TLVK_API tlvk_status tlvk_model_compile(tlvk_model *model, const tlvk_compile_desc *desc);

typedef struct tlvk_logs { /* what an epoch or a step gave; val_* are NaN without validation data */
    double loss, accuracy, val_loss, val_accuracy, learning_rate, seconds;
    int64_t samples;
    /* of each output where the model has several, Keras's OUTPUT_loss and OUTPUT_accuracy, before weighting; NaN for the others.
     * `loss` is then the whole, `accuracy` the first output's. */
    int outputs;
    struct { double loss, accuracy, val_loss, val_accuracy; } output[TLVK_MAX_IO];
} tlvk_logs;
typedef enum tlvk_event_kind {
    TLVK_EVENT_EPOCH_BEGIN = 0, TLVK_EVENT_STEP_END, TLVK_EVENT_EPOCH_END, TLVK_EVENT_FEATURES,
    TLVK_EVENT_PLANNED           /* before all others: tlvk_model_memory tells what the fit will take; nothing of it is allocated yet but what a checkpoint brings */
} tlvk_event_kind;
typedef struct tlvk_event {
    tlvk_event_kind kind;
    int epoch, epochs;           /* from 0 */
    int64_t step, steps;         /* of this epoch; for FEATURES: pictures done and to do of the frozen prefix */
    tlvk_logs logs;              /* running means within the epoch, as Keras's progress bar */
} tlvk_event;
typedef enum tlvk_verdict { TLVK_CONTINUE = 0, TLVK_STOP = 1 } tlvk_verdict;
/* Called by fit between steps. It may predict with, evaluate and save the model. Compiling, training or popping it or its augmentation is
 * TLVK_ERROR_ARGUMENT until fit has returned, and neither the model nor its data may be destroyed. After tlvk_cancel its calls are cancelled as fit is. */
typedef tlvk_verdict (*tlvk_callback_fn)(const tlvk_event *event, void *user);

/* A callback for programs that want a line for each epoch, as Keras prints; `file` is a FILE *, or NULL for the standard output. */
TLVK_API tlvk_verdict tlvk_print_epoch(const tlvk_event *event, void *file);

typedef struct tlvk_fit_desc {
    int epochs;                    /* 1 */
    int initial_epoch;
    tlvk_dataset *validation;
    tlvk_cache cache;
    uint64_t seed;                 /* of dropout and of the order of pictures */
    const float *class_weight;     /* one per class; NULL: 1 */
    int class_weight_count;
    int early_stopping_patience;   /* epochs without a better val_loss (loss without validation); 0: off */
    bool restore_best_weights;     /* at the end, the epoch with the best val_accuracy (else val_loss, else loss) */
    const char *checkpoint;        /* written after each epoch and on cancel; NULL: none */
    const char *resume;            /* a checkpoint to go on from, of the same model, optimizer, frozen layers and data; another model's changes nothing */
    bool batch_norm_inference;     /* every BatchNormalization stays in inference mode, also where its gamma and beta are trained: base(x, training=False) */
    tlvk_callback_fn callback; void *callback_user;
    /* A model of picture layers (tlvk_random_flip, ...) through which every training batch goes before the model, anew in each epoch, on the device;
     * never in validation, and not part of what is saved. A frozen prefix is then computed in every step instead of once. */
    tlvk_model *augmentation;
} tlvk_fit_desc;
/* Trains. *history (may be NULL as an out pointer) is the caller's. */
TLVK_API tlvk_status tlvk_model_fit(tlvk_model *model, tlvk_dataset *train, const tlvk_fit_desc *desc, tlvk_history **history);
/* Device memory of a model's training: predicted before anything is allocated, and measured. */
typedef struct tlvk_memory {
    uint64_t limit_bytes;          /* the context's memory_limit, or what the device has */
    uint64_t predicted_bytes;      /* the peak: the sum of what follows */
    uint64_t weights_bytes, gradients_bytes, optimizer_bytes, prepared_bytes /* packed weights */, activations_bytes /* with their gradients and all working memory */,
        staging_bytes, other_bytes /* what the context's other models had when training began */;
    uint64_t measured_bytes;       /* the most that was allocated at once since the last fit began */
    int micro_batches;             /* parts in which a batch is done so that it fits; 1: the whole at once */
    int recomputed;                /* operations done a second time in the backward so that their results need not be kept */
    int activations, activations_fp16; /* tensors that a step's forward pass writes, and how many of them lie in fp16 */
    bool products_fp16;            /* products of matrices are of fp16; like the line before, what TLVK_MIXED comes to on this device */
} tlvk_memory;
/* Of the last fit or train_on_batch, or of the fit that runs; TLVK_ERROR_ARGUMENT for a model that was not trained since it was compiled. */
TLVK_API tlvk_status tlvk_model_memory(const tlvk_model *model, tlvk_memory *memory);
/* By the losses and metrics of compile, else of the file that the model came from, else by a loss told from the data, and accuracy. */
TLVK_API tlvk_status tlvk_model_evaluate(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs);
/* scores: dataset size x elements of the output per sample, rows in the dataset's own order; unreadable pictures give NaN rows. */
TLVK_API tlvk_status tlvk_model_predict(tlvk_model *model, tlvk_dataset *data, float *scores, size_t elements);
typedef struct tlvk_prediction { int index; const char *label; /* borrowed from the model; NULL where it knows no names */ float score; } tlvk_prediction;
/* Keras's decode_predictions of one row of `classes` scores: fills the best `count`, the best first, and returns how many those are.
 * Labels are the model's class names; `model` may be NULL. */
TLVK_API int tlvk_decode_predictions(const tlvk_model *model, const float *scores, int classes, tlvk_prediction *top, int count);
/* tlvk_model_predict for a model with several outputs: outputs[i] has room for dataset size x elements of output i; elements[i] says how many that are. */
TLVK_API tlvk_status tlvk_model_predict_outputs(tlvk_model *model, tlvk_dataset *data, float *const *outputs, const size_t *elements);
/* Writes the first `count` pictures of epoch `epoch` to `folder` as 00000.png, 00001.png, ... in their order, as a fit with this seed and augmentation
 * trains on them; values are brought back from the dataset's preprocessing to 0..255. The folder is made where it is missing. */
TLVK_API tlvk_status tlvk_augmentation_preview(tlvk_model *augmentation, tlvk_dataset *train, uint64_t seed, int epoch, int count, const char *folder);
/* One training step, as Keras's train_on_batch. x: samples of the model's input, dense. y: what the compiled loss takes: class numbers (samples)
 * for sparse_categorical_crossentropy, else numbers of the output's shape; a loss left at AUTO is TLVK_ERROR_ARGUMENT. */
TLVK_API tlvk_status tlvk_model_train_on_batch(tlvk_model *model, const float *x, const float *y, int64_t samples, tlvk_logs *logs);
/* The same for a model with several inputs or outputs, or with an open height and width: one array for each input and for each output, in the
 * model's order, all with the same number of samples. */
TLVK_API tlvk_status tlvk_model_train_on_arrays(tlvk_model *model, const tlvk_array *inputs, const tlvk_array *targets, tlvk_logs *logs);

/* Errors of the calls on a history are found under the context of the model that was trained, and under NULL. */
TLVK_API int tlvk_history_epochs(const tlvk_history *history);
/* Measured kernel choices that the fit went by, in words ("Conv2D forward 14x14x256 3x3 to 14x14x256: winograd"); NULL past the last. */
TLVK_API const char *tlvk_history_choice(const tlvk_history *history, int index);
TLVK_API tlvk_status tlvk_history_logs(const tlvk_history *history, int epoch, tlvk_logs *logs); /* negative counts from the end: -1 is the last */
/* One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, seconds, learning_rate. With several outputs as Keras's CSVLogger: OUTPUT_accuracy,
 * OUTPUT_loss, loss, val_... sorted by name, OUTPUT the layer's name, without what was never measured; then seconds and learning_rate. */
TLVK_API tlvk_status tlvk_history_save_csv(const tlvk_history *history, const char *path);
/* Draws accuracy and val_accuracy, and loss and val_loss, over the epochs to a .png or .svg file. TLVK_ERROR_UNSUPPORTED where the library was built
 * without the drawing library. */
TLVK_API tlvk_status tlvk_history_plot(const tlvk_history *history, const char *path);
/* Puts the epochs of `more` behind those of `history`: phases of one training. */
TLVK_API tlvk_status tlvk_history_append(tlvk_history *history, const tlvk_history *more);
TLVK_API void tlvk_history_destroy(tlvk_history *history);

/* --- self-test and measurements --------------------------------------------------------------------------------------------------- */

typedef struct tlvk_selftest_case { const char *name; double max_error, bound; bool ok; const char *message; } tlvk_selftest_case;
typedef struct tlvk_selftest_desc {
    bool full;                     /* the layers of real networks too, everything in pieces, and tensors larger than a binding however large that is */
    const char *filter;            /* only cases with this text in their names; NULL: all */
    uint64_t seed;                 /* of the cases' values */
    void (*report)(const tlvk_selftest_case *c, void *user); void *user;
    char *verdict; size_t verdict_size; /* room for the line that the self-test ends in: "this device is fit for: training fp32, mixed precision"; may be NULL */
    const char *file;              /* a text file of device, driver, limits and failing cases with their seeds, to be shown to others; NULL: none */
} tlvk_selftest_desc;
/* Every operation, forward and backward, against the reference; chains of writes, reductions and cut submissions, for equal bits; the limit of the device's
 * memory; tensors larger than a binding; and a small fine-tuning, whose losses must be those of the same in double on the host.
 * *failed receives the number of failing cases; TLVK_OK also when cases fail. Where the device stops answering the status says so, and verdict and file are
 * there all the same. */
TLVK_API tlvk_status tlvk_selftest(tlvk_context *ctx, const tlvk_selftest_desc *desc, int *cases, int *failed);

/* What is measured: the device's peaks (always, reported with PEAK); whole networks forward, with one training step of the head on a frozen base, and with
 * one training step of everything; the whole job, a fit of `pictures` x `epochs` with a frozen base; and each distinct operation of the networks alone. */
enum { TLVK_BENCH_PEAK = 1, TLVK_BENCH_FORWARD = 2, TLVK_BENCH_HEAD = 4, TLVK_BENCH_STEP = 8, TLVK_BENCH_JOB = 16, TLVK_BENCH_OPERATIONS = 32 };
typedef struct tlvk_bench_case {
    const char *name; double ms_min, ms_median, gflops, images_per_s;
    const char *part;              /* "peak", "network", "job", "operation", "layer", "kind": sums of layers */
    const char *kind;              /* what it may be compared with: the operation's class, the network */
    const char *network, *layer, *pass; /* NULL where there is none; an operation's networks are separated by commas */
    int runs, count, dispatches;   /* times taken; how often the networks have this operation; of one run, 0: not counted */
    double gflop, gbyte;           /* work of one run by definition: no shortcut counted, each operand read or written once */
    double gbytes_per_s;
    double gflops_share, bandwidth_share; /* of the device's peaks of multiply-adds and of copying; 0: unknown */
    double ceiling_images_per_s;   /* of a network: every operation at the peak that holds it up; 0: none */
    double time_share;             /* of a layer's or kind's pass in its step */
    uint64_t device_bytes;         /* in use on the device */
    int pictures, epochs;          /* of a job */
    bool host_clock;               /* the host's clock, submission included, and not the device's timestamps */
} tlvk_bench_case;
typedef struct tlvk_bench_desc {
    const char *filter;            /* only cases with this text in their name */
    int repeats;                   /* runs of each case; 0: at least three, fewer of what takes seconds */
    int batch_size;                /* 8 */
    void (*report)(const tlvk_bench_case *c, void *user); void *user;
    unsigned parts;                /* TLVK_BENCH_*; 0: PEAK, FORWARD, HEAD, STEP; with `layers` STEP */
    const char *networks;          /* names separated by commas, or "all"; NULL: vgg16,resnet50,inceptionv3,xception,mobilenet */
    int image_size;                /* 224 */
    bool layers;                   /* instead of whole networks: time per layer and pass, the slowest first */
    int pictures, epochs;          /* of the job: 100, 10 */
    tlvk_cache cache;              /* of the job */
    tlvk_precision precision;      /* of networks, layers and the job */
} tlvk_bench_desc;
/* Where the device has no timestamps, operations and layers are submitted one by one and timed by the host's clock, submission included. */
TLVK_API tlvk_status tlvk_bench(tlvk_context *ctx, const tlvk_bench_desc *desc);

/* One recorded operation of the last step, with its time where the device has timestamps. */
typedef struct tlvk_trace_entry { const char *operation, *layer; double ms, gflop; } tlvk_trace_entry;
/* Runs one training step (train true; random data) or forward pass of `batch` samples and reports each dispatch in order. */
TLVK_API tlvk_status tlvk_model_trace(tlvk_model *model, int64_t batch, bool train, void (*report)(const tlvk_trace_entry *e, void *user), void *user);

#ifdef __cplusplus
}
#endif
#endif
