/* predictions.c - from a row of scores to the classes it names: keras/src/applications/imagenet_utils.py, decode_predictions, with the model's own classes. */
#include "graph/internal.h"

#include <math.h>

/* Does a come before b: the greater score, then the smaller number; what is not a number comes last. */
static bool before(const tlvk_prediction *a, const tlvk_prediction *b) {
    if (isnan(a->score) || isnan(b->score))
        return !isnan(a->score) || (isnan(b->score) && a->index < b->index);
    return a->score > b->score || (!(a->score < b->score) && a->index < b->index);
}

int tlvk_decode_predictions(const tlvk_model *model, const float *scores, int classes, tlvk_prediction *top, int count) {
    int kept = 0;
    for (int i = 0; scores && top && count > 0 && i < classes; i++) {
        bool named = model && model->usage.class_names && i < model->usage.class_count;
        tlvk_prediction p = {.index = i, .label = named ? model->usage.class_names[i] : NULL, .score = scores[i]};
        if (kept == count && !before(&p, &top[kept - 1]))
            continue;
        int at = kept < count ? kept++ : count - 1;
        for (; at > 0 && before(&p, &top[at - 1]); at--)
            top[at] = top[at - 1];
        top[at] = p;
    }
    return kept;
}
