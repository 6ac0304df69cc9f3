/* augmentation.c - picture layers before a model in training: what they must be, and which random numbers they draw. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

int tlvk__batch_of(const tlvk_dataset *data) { return (int)TLVK__MIN((int64_t)tlvk__dataset_batch_size(data), tlvk_dataset_size(data)); }

/* The key is the fit's seed moved away by a constant (digits of the square root of 2), so that no layer of the model draws the same words. */
void tlvk__augmentation_params(uint64_t seed, int64_t epoch, int64_t step, tlvk__step_params *params) {
    uint64_t key = seed ^ UINT64_C(0x6A09E667F3BCC908);
    memset(params, 0, sizeof *params);
    params->seed[0] = (uint32_t)key;
    params->seed[1] = (uint32_t)(key >> 32);
    params->step[0] = (uint32_t)step;
    params->step[1] = (uint32_t)epoch;
}

tlvk_status tlvk__augmentation_check(const tlvk_model *augmentation, const tlvk_dataset *data) {
    if (augmentation->input_count != 1 || augmentation->output_count != 1 || tlvk__dataset_input_count(data) != 1) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "augmentation %s has %d inputs and %d outputs, the data %d inputs: one of each is needed", augmentation->name,
                          augmentation->input_count, augmentation->output_count, tlvk__dataset_input_count(data));
    }
    tlvk__task task;
    tlvk_status st = tlvk__task_shapes(augmentation, data, &task);
    if (st) return tlvk__fail_context(st, "augmentation");
    if (tlvk__shape_equal(&task.inputs[0], &task.outputs[0])) return TLVK_OK;
    char a[96], b[96];
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "augmentation %s makes %s of pictures of %s; it must leave their shape", augmentation->name,
                      tlvk__shape_text(&task.outputs[0], a, sizeof a), tlvk__shape_text(&task.inputs[0], b, sizeof b));
}
