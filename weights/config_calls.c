/* config_calls.c - one call of a layer as Keras's JSON has it: which tensors, which mode, which constant.
 * Hides: the two forms, Keras 1 and 2's nested lists with keyword arguments and Keras 3's serialized args and kwargs
 * (tf_keras/src/engine/node.py, keras/src/models/functional.py, serialize_node). */
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LIST_DEPTH 8

static tlvk_status damaged(const tlvk__config_place *at, const json_t *value) {
    char brief[160];
    return tlvk__fail(TLVK_ERROR_FORMAT, TLVK__PLACE_FORMAT ": its inbound node %s is not understood", TLVK__PLACE_ARGS(at),
                      tlvk__json_brief(value, brief, sizeof brief));
}

/* [name, node, tensor, ...]; at least the first three. */
static bool ref_of(const json_t *list, tlvk__config_ref *ref) {
    const json_t *node = json_array_get(list, 1), *tensor = json_array_get(list, 2);
    ref->layer = json_string_value(json_array_get(list, 0));
    if (!ref->layer || !json_is_integer(node) || !json_is_integer(tensor))
        return false;
    json_int_t n = json_integer_value(node), t = json_integer_value(tensor);
    if (n < 0 || n > INT32_MAX || t < 0 || t > INT32_MAX)
        return false;
    ref->node = (int)n;
    ref->tensor = (int)t;
    return true;
}

static tlvk_status add_input(const tlvk__config_place *at, tlvk__config_call *call, tlvk__config_ref ref) {
    if (call->input_count == TLVK__MAX_INPUTS)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": called with more than %d tensors", TLVK__PLACE_ARGS(at), TLVK__MAX_INPUTS);
    if (!call->inputs)
        call->inputs = tlvk__calloc(TLVK__MAX_INPUTS, sizeof *call->inputs);
    if (!call->inputs)
        return tlvk__fail(TLVK_ERROR_MEMORY, TLVK__PLACE_FORMAT ": no memory for its inputs", TLVK__PLACE_ARGS(at));
    call->inputs[call->input_count++] = ref;
    return TLVK_OK;
}

static tlvk_status add_constant(const tlvk__config_place *at, tlvk__config_call *call, const json_t *value) {
    char brief[160];
    double number;
    if (call->has_constant || !tlvk__json_number(value, &number))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": called with the constant %s; one single number is what this library does",
                          TLVK__PLACE_ARGS(at), tlvk__json_brief(value, brief, sizeof brief));
    call->has_constant = true;
    call->constant = number;
    call->constant_first = call->input_count == 0;
    return TLVK_OK;
}

/* Keyword arguments. `y` is the second operand of arithmetic written by tf_keras, "inputs" and "x" the first of Keras 3. */
static tlvk_status add_keywords(const tlvk__config_place *at, tlvk__config_call *call, json_t *kwargs, tlvk_status (*operand)(const tlvk__config_place *at, tlvk__config_call *call, json_t *value, int depth)) {
    const char *key;
    json_t *value;
    char brief[160];
    json_object_foreach(kwargs, key, value) {
        tlvk_status status = TLVK_OK;
        if (strcmp(key, "training") == 0 && json_is_boolean(value))
            call->mode = json_is_true(value) ? TLVK_CALL_TRAINING : TLVK_CALL_INFERENCE;
        else if (strcmp(key, "y") == 0 || strcmp(key, "inputs") == 0 || strcmp(key, "x") == 0)
            status = operand(at, call, value, 0);
        else if (!json_is_null(value) && !json_is_false(value) && strcmp(key, "name") != 0)
            status = tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": called with %s=%s, which this library does not do", TLVK__PLACE_ARGS(at),
                                key, tlvk__json_brief(value, brief, sizeof brief));
        if (status)
            return status;
    }
    return TLVK_OK;
}

/* --- Keras 1 and 2 --- */

static tlvk_status operand_keras2(const tlvk__config_place *at, tlvk__config_call *call, json_t *value, int depth) {
    tlvk__config_ref ref;
    (void)depth;
    return json_is_array(value) && ref_of(value, &ref) ? add_input(at, call, ref) : add_constant(at, call, value);
}

/* [name, node, tensor, kwargs], or a list of such; a constant is ["_CONSTANT_VALUE", -1, value, kwargs]. */
static tlvk_status add_keras2(const tlvk__config_place *at, tlvk__config_call *call, const json_t *node, int depth) {
    tlvk_status status = TLVK_OK;
    if (!json_is_array(node) || json_array_size(node) == 0 || depth > MAX_LIST_DEPTH)
        return damaged(at, node);
    const char *first = json_string_value(json_array_get(node, 0));
    if (!first) {
        for (size_t i = 0; !status && i < json_array_size(node); i++)
            status = add_keras2(at, call, json_array_get(node, i), depth + 1);
        return status;
    }
    tlvk__config_ref ref;
    if (strcmp(first, "_CONSTANT_VALUE") == 0)
        status = add_constant(at, call, json_array_get(node, 2));
    else
        status = ref_of(node, &ref) ? add_input(at, call, ref) : damaged(at, node);
    return status ? status : add_keywords(at, call, json_array_get(node, 3), operand_keras2);
}

/* --- Keras 3 --- */

static tlvk_status add_keras3(const tlvk__config_place *at, tlvk__config_call *call, json_t *value, int depth) {
    const char *class_name = json_string_value(json_object_get(value, "class_name"));
    if (depth > MAX_LIST_DEPTH)
        return damaged(at, value);
    if (class_name && strcmp(class_name, "__keras_tensor__") == 0) {
        tlvk__config_ref ref;
        return ref_of(json_object_get(json_object_get(value, "config"), "keras_history"), &ref) ? add_input(at, call, ref) : damaged(at, value);
    }
    if (class_name && strcmp(class_name, "__tuple__") == 0)
        value = json_object_get(value, "items");
    if (!json_is_array(value))
        return json_is_null(value) ? TLVK_OK : add_constant(at, call, value);
    tlvk_status status = TLVK_OK;
    for (size_t i = 0; !status && i < json_array_size(value); i++)
        status = add_keras3(at, call, json_array_get(value, i), depth + 1);
    return status;
}

tlvk_status tlvk__config_call_read(const tlvk__config_place *at, const json_t *node, tlvk__config_call *call) {
    *call = (tlvk__config_call){.keras3 = json_is_object(node)};
    tlvk_status status;
    if (call->keras3) {
        status = add_keras3(at, call, json_object_get(node, "args"), 0);
        if (!status)
            status = add_keywords(at, call, json_object_get(node, "kwargs"), add_keras3);
    } else {
        status = add_keras2(at, call, node, 0);
    }
    if (!status && call->input_count == 0)
        status = damaged(at, node);
    if (status) {
        free(call->inputs);
        call->inputs = NULL;
    }
    return status;
}

int tlvk__config_ends(const json_t *value, tlvk__config_ref *refs, int capacity) {
    if (capacity < 1 || !json_is_array(value))
        return -1;
    if (ref_of(value, &refs[0]))
        return 1;
    if (json_array_size(value) > (size_t)capacity)
        return -1;
    int count = (int)json_array_size(value);
    for (int i = 0; i < count; i++)
        if (!ref_of(json_array_get(value, (size_t)i), &refs[i]))
            return -1;
    return count;
}
