/* optimizer_files.c - what an optimizer remembers, from files and into files.
 *
 * Hides: the orders in which Keras's generations list it. All begin with the number of steps; Keras 3 then has the learning rate. Then come the slots:
 * Adam of Keras 3 and of tf_keras has momentum and velocity of each variable in turn, and velocity_hat behind them all; RMSprop and SGD one kind behind
 * the other (keras/src/optimizers, tf_keras/src/optimizers), as had every optimizer of Keras 2.10 and before (optimizers/legacy). */
#include "weights/config.h"

#include "ops/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the variables, in the order in which an optimizer is built for them: those that are trained --- */

typedef struct trained { tlvk__variable **list; int count; } trained;

static tlvk_status find_trained(const tlvk_model *model, trained *t) {
    int count = tlvk__model_variables(model, NULL, NULL, 0);
    t->list = tlvk__calloc((size_t)TLVK__MAX(count, 0) + 1, sizeof *t->list);
    bool *trains = tlvk__calloc((size_t)TLVK__MAX(count, 0) + 1, sizeof *trains);
    bool ok = count >= 0 && t->list && trains && tlvk__model_variables(model, t->list, trains, count) == count;
    t->count = 0;
    for (int i = 0; ok && i < count; i++)
        if (trains[i])
            t->list[t->count++] = t->list[i];
    free(trains);
    return ok ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its optimizer", model->name);
}

/* Where slot k of variable i stands behind the scalars. `in_turn`: the first two slots of each variable together. */
static int place_of(int variable, int slot, int count, bool in_turn) {
    if (in_turn && slot < 2)
        return 2 * variable + slot;
    return slot * count + variable;
}

static bool is_adam(const tlvk_optimizer *o) { return o->kind == TLVK_ADAM || o->kind == TLVK_ADAMW; }

/* --- reading --- */

static bool fits(const tlvk__h5_array *arrays, const trained *t, int slots, bool in_turn) {
    for (int i = 0; i < t->count; i++)
        for (int k = 0; k < slots; k++)
            if (!tlvk__shape_equal(&arrays[place_of(i, k, t->count, in_turn)].shape, &t->list[i]->spec.shape))
                return false;
    return true;
}

/* Do the names say that all momenta stand before all velocities? Keras 2.10 and before: "Adam/dense/kernel/m:0", or "training/Adam/Variable_3:0". */
static bool names_say_apart(const tlvk__h5_group *group, int first, int count) {
    if (group->weight_count <= first + 1 || count < 2)
        return false;
    const char *name = group->weights[first].path, *next = group->weights[first + 1].path;
    size_t m = strlen(name), n = strlen(next);
    bool legacy = m > 4 && n > 4 && strcmp(name + m - 4, "/m:0") == 0 && strcmp(next + n - 4, "/m:0") == 0;
    return legacy || strstr(name, "/Variable") != NULL || strncmp(name, "training", 8) == 0;
}

static bool give_up(const char *why) {
    tlvk__fail(TLVK_ERROR_FORMAT, "the optimizer's state in it %s; the optimizer starts anew", why);
    return false;
}

static bool take_slots(tlvk_model *model, const tlvk__h5_group *group, const trained *t, int first) {
    const tlvk_optimizer *o = &model->compiled.optimizer;
    int slots = tlvk__optimizer_slots(o);
    const tlvk__h5_array *arrays = group->weights + first;
    bool in_turn = is_adam(o) && !names_say_apart(group, first, t->count);
    if (in_turn && !fits(arrays, t, slots, true) && fits(arrays, t, slots, false))
        in_turn = false;
    if (!fits(arrays, t, slots, in_turn))
        return give_up("has not the shapes of the trained weights");
    tlvk__optimizer_state *s = tlvk__optimizer_state_create(t->list, t->count, slots);
    if (!s)
        return false;
    s->iterations = (int64_t)group->weights[0].values[0];
    for (int i = 0; i < t->count; i++)
        for (int k = 0; k < slots; k++)
            memcpy(s->values[i * slots + k], arrays[place_of(i, k, t->count, in_turn)].values, t->list[i]->elements * sizeof(float));
    tlvk__optimizer_state_destroy(model->optimizer_state);
    model->optimizer_state = s;
    return true;
}

static bool is_number(const tlvk__h5_array *a) { return a->elements == 1 && a->shape.rank == 0; }

static bool take_group(tlvk_model *model, const tlvk__h5_group *group, const trained *t) {
    int wanted = t->count * tlvk__optimizer_slots(&model->compiled.optimizer), scalars = group->weight_count - wanted;
    if (group->weight_count < 1 || !is_number(&group->weights[0]) || !(group->weights[0].values[0] >= 0 && group->weights[0].values[0] < 9e15f))
        return give_up("does not begin with the number of steps");
    bool rate = group->weight_count > 1 && is_number(&group->weights[1]) && group->weights[1].values[0] > 0 && isfinite(group->weights[1].values[0]);
    if (group->weight_count <= 2 && wanted > 0 && group->weights[0].values[0] == 0)
        return true; /* compiled, and never used */
    if (scalars == 2 && rate)
        model->compiled.optimizer.learning_rate = group->weights[1].values[0];
    else if (scalars != 1 && !(scalars > 1 && names_say_apart(group, 1, t->count))) /* Keras 2.4 and before add empty velocity_hats */
        return give_up("has not as many arrays as the trained weights need");
    return take_slots(model, group, t, scalars == 2 && rate ? 2 : 1);
}

static const tlvk__h5_group *find_group(const tlvk__h5_content *content) {
    if (content->form == TLVK__FORM_LAYERS)
        return content->optimizer.weight_count ? &content->optimizer : NULL;
    for (int i = 0; i < content->layer_count; i++)
        if (strcmp(content->layers[i].name, "optimizer") == 0 && content->layers[i].weight_count)
            return &content->layers[i];
    return NULL;
}

bool tlvk__optimizer_state_take(tlvk_model *model, const tlvk__h5_content *content) {
    const tlvk__h5_group *group = model->compiled.set ? find_group(content) : NULL;
    trained t = {0};
    bool ok = !group || (!find_trained(model, &t) && take_group(model, group, &t));
    free(t.list);
    return ok;
}

/* --- writing --- */

#if TLVK_WITH_HDF5

#include "weights/h5_writer.h"

static tlvk_status write_slots(hid_t group, const char *const *names, const tlvk_model *model, const trained *t, int slots) {
    tlvk_status status = TLVK_OK;
    for (int i = 0; !status && i < t->count; i++) {
        float *const *values = tlvk__optimizer_state_of(model->optimizer_state, t->list[i]);
        float *zeros = values ? NULL : tlvk__calloc(t->list[i]->elements + 1, sizeof *zeros); /* trained, but out of the loss's reach */
        if (!values && !zeros)
            status = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the optimizer's state");
        for (int k = 0; !status && k < slots; k++)
            status = tlvk__h5_write_floats(group, names[2 + place_of(i, k, t->count, is_adam(&model->compiled.optimizer))], &t->list[i]->spec.shape,
                                           values ? values[k] : zeros);
        free(zeros);
    }
    return status;
}

/* Keras 3's list: iteration, learning rate, slots. Names: numbers, or those of the older form. */
static tlvk_status name_arrays(const tlvk_model *model, const trained *t, int slots, bool numbers, tlvk__h5_texts *names) {
    const tlvk_optimizer *o = &model->compiled.optimizer;
    int count = 2 + t->count * slots;
    names->text = tlvk__calloc((size_t)count + 1, sizeof *names->text);
    names->count = names->text ? (size_t)count : 0;
    bool ok = names->text != NULL;
    for (int i = 0; ok && i < 2; i++)
        names->text[i] = numbers ? tlvk__format("%d", i) : tlvk__strdup(i ? "optimizer/learning_rate" : "optimizer/iteration");
    for (int i = 0; ok && i < t->count; i++)
        for (int k = 0; k < slots; k++) {
            int at = 2 + place_of(i, k, t->count, is_adam(o));
            names->text[at] = numbers ? tlvk__format("%d", at) : tlvk__format("optimizer/%d_%s_%s", i, t->list[i]->name, tlvk__optimizer_slot_name(o, k));
        }
    for (int i = 0; ok && i < count; i++)
        ok = names->text[i] != NULL;
    return ok ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the optimizer's state");
}

tlvk_status tlvk__h5_write_optimizer(hid_t file, const char *path, bool numbers, const tlvk_model *model) {
    if (!model->compiled.set || !model->optimizer_state)
        return TLVK_OK;
    int slots = tlvk__optimizer_slots(&model->compiled.optimizer);
    trained t = {0};
    tlvk__h5_texts names = {0};
    tlvk_status status = find_trained(model, &t);
    if (!status)
        status = name_arrays(model, &t, slots, numbers, &names);
    hid_t group = status ? -1 : tlvk__h5_make_group(file, path);
    if (!status && group < 0)
        status = tlvk__h5_fail_write(path);
    if (!status && !numbers)
        status = tlvk__h5_write_names(group, "weight_names", &names);
    if (!status)
        status = tlvk__h5_write_count(group, names.text[0], model->optimizer_state->iterations);
    if (!status)
        status = tlvk__h5_write_floats(group, names.text[1], &(tlvk__shape){0}, &model->compiled.optimizer.learning_rate);
    if (!status)
        status = write_slots(group, (const char *const *)names.text, model, &t, slots);
    if (group >= 0 && H5Gclose(group) < 0 && !status)
        status = tlvk__h5_fail_write(path);
    tlvk__h5_texts_free(&names);
    free(t.list);
    return status;
}

#endif
