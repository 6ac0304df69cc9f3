/* norm.c - a trained BatchNormalization in inference mode behind a convolution without bias, taken in as its epilogue.
 *
 * With z = conv(x, W), y = act(gamma * rstd * (z - mean) + beta) and dz the gradient behind the activation:
 *     dbeta  = sum dz
 *     dgamma = rstd * (sum dz * z - mean * dbeta), and sum over positions dz * z = sum over the kernel W * (dconv_W of dz)
 *     dW     = scale * (dconv_W of dz),  dx = dconv_x of dz with the kernel W * scale,   scale = gamma * rstd
 * so z is neither kept nor read: everything beyond the convolution's own gradients has the size of the kernel. The identity is Euler's for
 * a function that is linear in W. Depthwise convolutions and Dense have it too. */
#include "ops/elementwise.h"
#include "ops/gemm.h"
#include "plan/program.h"

#define ROW_GROUP 64

static int uses(const tlvk__plan *plan, const tlvk__variable *v) {
    int count = 0;
    for (int i = 0; i < plan->step_count; i++) {
        for (int k = 0; !plan->steps[i].removed && k < plan->steps[i].variable_count; k++) count += plan->steps[i].variables[k] == v;
    }
    return count;
}

/* The kernel alone is trained with it, nothing is shared, and the kernel fits one binding (and so one chunk). Without a gradient any convolution will do. */
bool tlvk__plan_norm_fits(const tlvk__plan *plan, const plan_step *producer, const plan_step *norm) {
    if (plan->desc.mode != TLVK__PLAN_TRAIN) return true;
    if (producer->op == &tlvk__op_conv2d_transpose) return false; /* the columns of its kernel are its inputs, not its outputs */
    if (producer->variable_count != 1 || !producer->trained[0] || uses(plan, producer->variables[0]) != 1) return false;
    for (int k = 0; k < norm->variable_count; k++) {
        if (uses(plan, norm->variables[k]) != 1) return false;
    }
    tlvk__tensor w;
    uint64_t bytes;
    const tlvk__variable *v = producer->variables[0];
    return !tlvk__variable_layout(&v->spec.shape, v->spec.layout, &w) && tlvk__tensor_bytes(&w, &bytes) &&
           bytes + TLVK__BLOCK * sizeof(float) <= TLVK__MIN(plan->caps.max_binding_bytes, plan->caps.max_allocation_bytes) && w.n <= UINT32_MAX;
}

tlvk_status tlvk__plan_norm_forward(const plan_step *s, tlvk__recorder *r) {
    return tlvk__record_batch_norm_affine(r, s->norm_attrs, s->norm_w, NULL, &s->scale, &s->shift, s->path);
}

/* Scratch: the sums of dz where no beta takes them, the parts they are summed from, and the scaled kernel; where the batch is done in parts, this part's
 * gradients of kernel and gamma before they are added to those before. */
typedef struct norm_room { tlvk__span sums, parts, kernel, dkernel, dgamma; } norm_room;
enum { ROOM_PARTS = 5 };

static uint64_t kernel_bytes(const plan_step *s) {
    tlvk__tensor w;
    const tlvk__variable *v = s->variables[0];
    return tlvk__variable_layout(&v->spec.shape, v->spec.layout, &w) ? 0 : (uint64_t)(w.n * w.pitch) * sizeof(float);
}

static norm_room room_of(const tlvk__plan *plan, const plan_step *s, uint64_t *bytes) {
    const tlvk__tensor *y = &plan->tensors[s->output].t;
    tlvk__span all = s->norm_scratch.segments ? s->norm_scratch.segments[0] : (tlvk__span){ 0 };
    bool divided = plan->desc.divided;
    uint64_t vector = tlvk__plan_norm_vector_bytes(plan, s), kernel = kernel_bytes(s);
    uint64_t sizes[ROOM_PARTS] = { vector, tlvk__column_sums_bytes(y), s->want_dx ? kernel : 0, divided ? kernel : 0, divided ? vector : 0 };
    tlvk__span spans[ROOM_PARTS];
    *bytes = 0;
    for (int i = 0; i < ROOM_PARTS; i++) {
        spans[i] = (tlvk__span){ .buffer = all.buffer, .offset = all.offset + *bytes, .bytes = sizes[i] };
        *bytes += tlvk__round_up(sizes[i], 256);
    }
    return (norm_room){ .sums = spans[0], .parts = spans[1], .kernel = spans[2], .dkernel = spans[3], .dgamma = spans[4] };
}

uint64_t tlvk__plan_norm_scratch_bytes(const tlvk__plan *plan, const plan_step *s) {
    uint64_t bytes;
    room_of(plan, s, &bytes);
    return bytes;
}

/* dW *= scale, and dgamma from W, dW and dbeta: one workgroup for each four columns of the kernel. */
static tlvk_status record_kernel_gradients(const plan_step *s, tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *sums,
                                           const tlvk__tensor *dgamma) {
    const tlvk__batch_normalization_attrs *a = s->norm_attrs;
    const tlvk__tensor *dw = call->dw[0];
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "norm_kernel_gradients", .few = true, .operation = "batch_norm_kernel_gradients", .layer = s->path,
        .specs = { { "HAS_GAMMA", dgamma != NULL } },
        .operands = { { call->w[0], TLVK__READ, true }, { &s->scale, TLVK__READ, true }, { s->norm_w[2], TLVK__READ, true }, { s->norm_w[3], TLVK__READ, true },
                      { sums, TLVK__READ, true }, { dw, TLVK__READ_WRITE, true }, { dgamma, TLVK__READ_WRITE, true } },
        .operand_count = 7, .n = 1, .items = (uint64_t)(dw->pitch / TLVK__LANES), .group_items = 1,
        .words = { (uint32_t)dw->n, tlvk__float_bits(a->epsilon) }, .word_count = 2, .flops = 4.0 * (double)(dw->n * dw->pitch) });
}

/* dgamma is a product of the part's own dW, so what is there from other parts of the batch is added at the end. */
static tlvk_status add_to_others(const plan_step *s, tlvk__recorder *r, const tlvk__tensor *dw, const tlvk__tensor *sums, const tlvk__tensor *dkernel,
                                 const tlvk__tensor *dgamma) {
    tlvk_status st = tlvk__record_add(r, dw, dkernel, dw, s->path);
    if (!st && dgamma) st = tlvk__record_add(r, s->norm_dw[0], dgamma, s->norm_dw[0], s->path);
    return st || !s->norm_dw[1] ? st : tlvk__record_add(r, s->norm_dw[1], sums, s->norm_dw[1], s->path);
}

/* `t` as one segment elsewhere. */
static tlvk__tensor placed(const tlvk__tensor *t, const tlvk__span *span) {
    tlvk__tensor other = *t;
    other.segments = span;
    other.segment_count = 1;
    other.segment_n = t->n;
    return other;
}

tlvk_status tlvk__plan_norm_backward(const tlvk__plan *plan, const plan_step *s, tlvk__recorder *r, const tlvk__op_call *call, bool accumulate) {
    uint64_t bytes;
    norm_room room = room_of(plan, s, &bytes);
    tlvk__tensor sums = placed(&s->scale, &room.sums), kernel = placed(call->w[0], &room.kernel);
    tlvk__tensor dkernel = placed(call->w[0], &room.dkernel), gamma = placed(&s->scale, &room.dgamma);
    const tlvk__tensor *to = s->norm_dw[1] && !accumulate ? s->norm_dw[1] : &sums, *dgamma = accumulate && s->norm_dw[0] ? &gamma : s->norm_dw[0];
    tlvk_status st = tlvk__record_column_sums(r, call->dy, to, false, room.parts, "batch_norm_backward_sums", s->path);
    tlvk__op_call weights = *call;
    for (int k = 0; k < call->inputs; k++) weights.dx[k] = NULL;
    if (accumulate) weights.dw[0] = &dkernel;
    weights.dw_accumulate[0] = false;
    if (!st) st = s->op->backward(r, &weights);
    if (!st && s->want_dx) {
        tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
        st = tlvk__record_activation_backward(r, &linear, call->w[0], call->w[0], &s->scale, &kernel, s->path);
        tlvk__op_call data = *call;
        data.w[0] = &kernel;
        data.dw[0] = NULL;
        if (!st) st = s->op->backward(r, &data);
    }
    if (!st) st = record_kernel_gradients(s, r, &weights, to, dgamma);
    return st || !accumulate ? st : add_to_others(s, r, call->dw[0], to, &dkernel, dgamma);
}
