/* config_fields.c - a layer's config in JSON to and from the operation's attribute struct, by the operation's table of fields.
 * Hides: how each type of field is spelled. No operation is known by name here. */
#include "weights/config.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static tlvk_status unfit(const tlvk__config_place *at, const char *key, const json_t *value, const char *wanted) {
    char brief[160];
    return tlvk__fail(TLVK_ERROR_FORMAT, TLVK__PLACE_FORMAT ": its %s is %s; %s was expected", TLVK__PLACE_ARGS(at), key,
                      tlvk__json_brief(value, brief, sizeof brief), wanted);
}

/* --- reading one field --- */

static bool int_of(const json_t *value, int *out) {
    double v;
    if (!tlvk__json_number(value, &v) || v != floor(v) || v < INT_MIN || v > INT_MAX)
        return false;
    *out = (int)v;
    return true;
}

static bool float_of(const json_t *value, float *out) {
    double v;
    if (!tlvk__json_number(value, &v) || !isfinite((float)v))
        return false;
    *out = (float)v;
    return true;
}

/* Tuples of Keras's own JSON form, {"class_name": "__tuple__", "items": [...]}, are lists. */
static const json_t *list_of(const json_t *value) {
    const char *class_name = json_string_value(json_object_get(value, "class_name"));
    return class_name && strcmp(class_name, "__tuple__") == 0 ? json_object_get(value, "items") : value;
}

/* n, or exactly `count` of them. */
static bool ints_of(const json_t *value, int *out, int count) {
    value = list_of(value);
    if (json_is_array(value) && json_array_size(value) == (size_t)count) {
        for (int i = 0; i < count; i++)
            if (!int_of(json_array_get(value, (size_t)i), &out[i]))
                return false;
        return true;
    }
    if (!int_of(value, &out[0]))
        return false;
    for (int i = 1; i < count; i++)
        out[i] = out[0];
    return true;
}

/* n; (h, w); ((top, bottom), (left, right)) -> top, bottom, left, right */
static bool pad_of(const json_t *value, int out[4]) {
    value = list_of(value);
    if (json_is_array(value) && json_array_size(value) == 2)
        return ints_of(json_array_get(value, 0), out, 2) && ints_of(json_array_get(value, 1), out + 2, 2);
    return !json_is_array(value) && ints_of(value, out, 4);
}

static bool shape_of(const json_t *value, tlvk__shape *out) {
    value = list_of(value);
    if (!json_is_array(value) || json_array_size(value) > TLVK__MAX_RANK)
        return false;
    tlvk__shape s = {.rank = (int)json_array_size(value)};
    for (int i = 0; i < s.rank; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);
        int v = -1;
        if (!json_is_null(dim) && !int_of(dim, &v))
            return false;
        s.dim[i] = v;
    }
    *out = s;
    return true;
}

static bool floats_of(const json_t *value, tlvk__floats *out) {
    value = list_of(value);
    tlvk__floats f = {.count = 1, .list = json_is_array(value)};
    if (f.list && (json_array_size(value) < 1 || json_array_size(value) > TLVK__MAX_FLOATS))
        return false;
    if (f.list)
        f.count = (int)json_array_size(value);
    for (int i = 0; i < f.count; i++)
        if (!float_of(f.list ? json_array_get(value, (size_t)i) : value, &f.v[i]))
            return false;
    *out = f;
    return true;
}

static bool float_pair_of(const json_t *value, float out[2]) {
    tlvk__floats f;
    if (!floats_of(value, &f) || (f.list && f.count != 2))
        return false;
    out[0] = f.v[0];
    out[1] = f.v[f.list ? 1 : 0];
    return true;
}

static bool range_of(const json_t *value, float out[2]) {
    float pair[2];
    if (!float_pair_of(value, pair))
        return false;
    bool list = json_is_array(list_of(value));
    out[0] = list ? fminf(pair[0], pair[1]) : -fabsf(pair[0]);
    out[1] = list ? fmaxf(pair[0], pair[1]) : fabsf(pair[0]);
    return true;
}

static bool choice_of(const json_t *value, const char *const *choices, int *out) {
    const char *text = json_string_value(value);
    for (int i = 0; text && choices[i]; i++)
        if (strcmp(text, choices[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool padding_of(const json_t *value, tlvk_padding *out) {
    static const char *const names[] = {"valid", "same", NULL};
    int index = 0;
    if (!choice_of(value, names, &index))
        return false;
    *out = index ? TLVK_SAME : TLVK_VALID;
    return true;
}

static tlvk_status must_be(const tlvk__config_place *at, const tlvk__field *f, const json_t *value) {
    json_t *must = json_loads(f->must, JSON_DECODE_ANY, NULL);
    bool same = must && tlvk__json_same(list_of(value), must);
    json_decref(must);
    char brief[160];
    if (same)
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": its %s is %s, which this library does not do; only %s is", TLVK__PLACE_ARGS(at),
                      f->key, tlvk__json_brief(value, brief, sizeof brief), f->must);
}

/* null means the default, which is in the struct already. */
static tlvk_status read_field(const tlvk__config_place *at, const tlvk__field *f, const json_t *value, unsigned char *attrs) {
    void *to = attrs + f->offset;
    if (json_is_null(value))
        return TLVK_OK;
    switch (f->type) {
    case TLVK__FIELD_INT: return int_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "an integer");
    case TLVK__FIELD_FLOAT: return float_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "a number");
    case TLVK__FIELD_BOOL:
        if (!json_is_boolean(value))
            return unfit(at, f->key, value, "true or false");
        *(bool *)to = json_is_true(value);
        return TLVK_OK;
    case TLVK__FIELD_PAIR: return ints_of(value, to, 2) ? TLVK_OK : unfit(at, f->key, value, "an integer or two");
    case TLVK__FIELD_PADDING: return padding_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "\"valid\" or \"same\"");
    case TLVK__FIELD_PAD4: return pad_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "n, [h, w] or [[top, bottom], [left, right]]");
    case TLVK__FIELD_ACTIVATION: return tlvk__activation_from_json(at, f->key, value, to);
    case TLVK__FIELD_SHAPE: return shape_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "a list of up to 8 integers");
    case TLVK__FIELD_INITIALIZER: return tlvk__initializer_from_json(at, f->key, value, to);
    case TLVK__FIELD_REGULARIZER: return tlvk__regularizer_from_json(at, f->key, value, to);
    case TLVK__FIELD_AXIS:
        value = list_of(value);
        if (json_is_array(value) && json_array_size(value) == 1)
            value = json_array_get(value, 0);
        return int_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "an integer, or a list of one");
    case TLVK__FIELD_CHOICE: return choice_of(value, f->choices, to) ? TLVK_OK : unfit(at, f->key, value, f->choices[0]);
    case TLVK__FIELD_FLOATS: return floats_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "a number or a list of up to 8 numbers");
    case TLVK__FIELD_FLOAT_PAIR: return float_pair_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "a number or two");
    case TLVK__FIELD_RANGE: return range_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "a number or two");
    case TLVK__FIELD_DIMS: return shape_of(value, to) ? TLVK_OK : unfit(at, f->key, value, "a list of up to 8 integers or nulls");
    case TLVK__FIELD_MUST: return must_be(at, f, value);
    case TLVK__FIELD_ABSENT:
    case TLVK__FIELD_IGNORE: return TLVK_OK;
    }
    return tlvk__fail(TLVK_ERROR_INTERNAL, TLVK__PLACE_FORMAT ": the field '%s' has no type", TLVK__PLACE_ARGS(at), f->key);
}

/* --- keys that every layer may have; the graph is their reader, or they may only say nothing --- */

static bool read_elsewhere(const char *key) {
    static const char *const keys[] = {"name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "input_dtype", "batch_size",
                                       "autocast", "build_input_shape"};
    for (size_t i = 0; i < TLVK__COUNT(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static tlvk_status check_unlisted(const tlvk__config_place *at, const char *key, const json_t *value) {
    const char *text = json_string_value(value);
    char brief[160];
    bool says_nothing = json_is_null(value) || json_is_false(value);
    bool groups = strcmp(key, "groups") == 0 && json_is_integer(value) && json_integer_value(value) == 1; /* TensorFlow 2.3's DepthwiseConv2D */
    bool format = strcmp(key, "data_format") == 0 && text && strcmp(text, "channels_last") == 0;
    if (read_elsewhere(key) || says_nothing || groups || format)
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": its %s is %s, which this library does not do", TLVK__PLACE_ARGS(at), key,
                      tlvk__json_brief(value, brief, sizeof brief));
}

static const tlvk__field *field_of(const tlvk__op *op, const char *key) {
    for (const tlvk__field *f = op->fields; f && f->key; f++)
        if (strcmp(f->key, key) == 0)
            return f;
    return NULL;
}

tlvk_status tlvk__attrs_from_json(const tlvk__config_place *at, const tlvk__op *op, json_t *config, void *attrs) {
    if (op->attr_bytes)
        memset(attrs, 0, op->attr_bytes);
    if (op->defaults)
        op->defaults(attrs);
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value) {
        const tlvk__field *f = field_of(op, key);
        tlvk_status status = f ? read_field(at, f, value, attrs) : check_unlisted(at, key, value);
        if (status)
            return status;
    }
    return TLVK_OK;
}

/* --- writing --- */

static json_t *ints_to_json(const int *v, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

static json_t *shape_to_json(const tlvk__shape *s, bool batch) {
    json_t *list = json_array();
    for (int i = 0; i < s->rank; i++)
        json_array_append_new(list, batch && s->dim[i] < 0 ? json_null() : json_integer(s->dim[i]));
    return list;
}

static json_t *dims_to_json(const tlvk__shape *s) { return s->rank ? shape_to_json(s, true) : json_null(); }

static json_t *floats_to_json(const tlvk__floats *f) {
    if (f->count == 0)
        return json_null();
    if (!f->list)
        return tlvk__json_float(f->v[0]);
    json_t *list = json_array();
    for (int i = 0; i < f->count; i++)
        json_array_append_new(list, tlvk__json_float(f->v[i]));
    return list;
}

static json_t *float_pair_to_json(const float *v) {
    return isnan(v[0]) ? json_null() : json_pack("[o, o]", tlvk__json_float(v[0]), tlvk__json_float(v[1]));
}

/* *value is NULL where there is nothing to write or no memory for it. */
static tlvk_status field_to_json(const tlvk__config_place *at, const tlvk__op *op, const tlvk__field *f, const unsigned char *attrs, json_t **value) {
    const void *from = attrs + f->offset;
    const int *ints = from;
    float number;
    switch (f->type) {
    case TLVK__FIELD_INT:
    case TLVK__FIELD_AXIS: *value = json_integer(*ints); break;
    case TLVK__FIELD_FLOAT:
        memcpy(&number, from, sizeof number);
        *value = isfinite(number) ? tlvk__json_float(number) : json_null();
        break;
    case TLVK__FIELD_BOOL: *value = json_boolean(*(const bool *)from); break;
    case TLVK__FIELD_PAIR: *value = ints[0] || ints[1] ? ints_to_json(ints, 2) : json_null(); break;
    case TLVK__FIELD_PADDING: *value = json_string(*(const tlvk_padding *)from == TLVK_SAME ? "same" : "valid"); break;
    case TLVK__FIELD_PAD4: *value = json_pack("[o, o]", ints_to_json(ints, 2), ints_to_json(ints + 2, 2)); break;
    case TLVK__FIELD_ACTIVATION:
        *value = tlvk__activation_to_json(from, at->keras_version);
        if (!*value)
            return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": its activation %s has no %s", TLVK__PLACE_ARGS(at),
                              tlvk__activation_name(((const tlvk__activation *)from)->kind),
                              at->keras_version >= 3 ? "form in Keras 3" : "name in .h5 files by which Keras 3 and Keras 2 compute the same");
        break;
    case TLVK__FIELD_SHAPE: *value = shape_to_json(from, op->flags & TLVK__OP_INPUT); break;
    case TLVK__FIELD_INITIALIZER: *value = tlvk__initializer_to_json(from, at->keras_version); break;
    case TLVK__FIELD_REGULARIZER: *value = tlvk__regularizer_to_json(from, at->keras_version); break;
    case TLVK__FIELD_CHOICE: *value = json_string(f->choices[*ints]); break;
    case TLVK__FIELD_FLOATS: *value = floats_to_json(from); break;
    case TLVK__FIELD_FLOAT_PAIR:
    case TLVK__FIELD_RANGE: *value = float_pair_to_json(from); break;
    case TLVK__FIELD_DIMS: *value = dims_to_json(from); break;
    case TLVK__FIELD_ABSENT: *value = NULL; break;
    case TLVK__FIELD_MUST:
    case TLVK__FIELD_IGNORE: *value = f->must ? json_loads(f->must, JSON_DECODE_ANY, NULL) : NULL; break;
    }
    return TLVK_OK;
}

/* An initializer left to Keras's default, and an ignored field with nothing to say, are not written. */
static bool may_be_absent(const tlvk__field *f) { return f->type == TLVK__FIELD_INITIALIZER || (f->type == TLVK__FIELD_IGNORE && !f->must); }

static bool is_default(const tlvk__config_place *at, const tlvk__op *op, const tlvk__field *f, const json_t *value) {
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } attrs = {{0}};
    json_t *other = NULL;
    op->defaults(attrs.bytes);
    bool same = value && !field_to_json(at, op, f, attrs.bytes, &other) && tlvk__json_same(value, other);
    json_decref(other);
    return same;
}

tlvk_status tlvk__attrs_to_json(const tlvk__config_place *at, const tlvk__op *op, const void *attrs, json_t *config) {
    bool keras3 = at->keras_version >= 3;
    for (const tlvk__field *f = op->fields; f && f->key; f++) {
        bool says_nothing = f->type == TLVK__FIELD_MUST || f->type == TLVK__FIELD_IGNORE; /* a key that not every Keras 3 knows */
        if (f->read_only || (keras3 ? f->legacy_only || (f->keras3_only && says_nothing) : f->keras3_only))
            continue;
        json_t *value = NULL;
        tlvk_status status = field_to_json(at, op, f, attrs, &value);
        if (status)
            return status;
        bool left_out = f->type == TLVK__FIELD_ABSENT || (f->unless_default && is_default(at, op, f, value));
        if (f->type == TLVK__FIELD_ABSENT)
            json_object_del(config, f->key);
        if (left_out)
            json_decref(value);
        if (left_out || (!value && may_be_absent(f)))
            continue;
        if (json_object_set_new(config, f->key, value) != 0)
            return tlvk__fail(TLVK_ERROR_MEMORY, TLVK__PLACE_FORMAT ": no memory for its %s", TLVK__PLACE_ARGS(at), f->key);
    }
    return TLVK_OK;
}
