/* features.c - see features.h. On disk a store is one file of fixed-size records: a 32-byte header, then per picture its content hash and
 * the features; a record cut short by a crash is overwritten by the next. */
#include "train/features.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

typedef struct file_header { char magic[8]; uint64_t record_bytes; uint64_t key[2]; } file_header;
static const char feature_magic[8] = { 't', 'l', 'v', 'k', 'f', 't', 'r', '1' };

typedef struct record { tlvk__hash content; } record;

struct tlvk__features {
    int count;
    tlvk__shape shapes[TLVK_MAX_IO];
    int64_t elements[TLVK_MAX_IO], total;
    int64_t samples;
    float *memory;           /* samples x total; NULL on disk */
    bool *has;
    FILE *file;
    char *path;
    bool temporary;
    int64_t *record_of;      /* sample -> record, -1 */
    record *records; size_t record_count, record_capacity;
    int64_t *table; size_t table_size; /* hash of content -> record, open addressing */
};

static uint64_t record_bytes(const tlvk__features *f) { return sizeof(tlvk__hash) + (uint64_t)f->total * sizeof(float); }

static int64_t *table_slot(tlvk__features *f, const tlvk__hash *content) {
    size_t i = (size_t)content->h[0] & (f->table_size - 1);
    while (f->table[i] >= 0 && memcmp(&f->records[f->table[i]].content, content, sizeof *content) != 0) i = (i + 1) & (f->table_size - 1);
    return &f->table[i];
}

static tlvk_status grow_table(tlvk__features *f) {
    if (f->table_size > 2 * (f->record_count + 1)) return TLVK_OK;
    size_t size = f->table_size ? 2 * f->table_size : 1024;
    while (size <= 2 * (f->record_count + 1)) size *= 2;
    int64_t *table = tlvk__calloc(size, sizeof *table);
    if (!table) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory for an index of %zu", size);
    for (size_t i = 0; i < size; i++) table[i] = -1;
    free(f->table);
    f->table = table;
    f->table_size = size;
    for (size_t i = 0; i < f->record_count; i++) *table_slot(f, &f->records[i].content) = (int64_t)i;
    return TLVK_OK;
}

static tlvk_status add_record(tlvk__features *f, const tlvk__hash *content) {
    record *grown = tlvk__grow(f->records, &f->record_capacity, f->record_count + 1, sizeof *f->records);
    if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    f->records = grown;
    tlvk_status st = grow_table(f);
    if (st) return st;
    f->records[f->record_count].content = *content;
    *table_slot(f, content) = (int64_t)f->record_count++;
    return TLVK_OK;
}

static bool seek_record(tlvk__features *f, uint64_t index, uint64_t within) {
    return tlvk__file_seek(f->file, sizeof(file_header) + index * record_bytes(f) + within);
}

/* Reads the content hashes of an existing file; anything that is not this store's file is started anew. */
static tlvk_status read_index(tlvk__features *f, const file_header *want) {
    file_header have;
    if (fread(&have, sizeof have, 1, f->file) == 1 && memcmp(&have, want, sizeof have) == 0) {
        uint64_t size;
        if (!tlvk__file_size(f->file, &size)) return tlvk__fail(TLVK_ERROR_FILE, "%s: cannot tell its size", f->path);
        uint64_t records = (size - sizeof have) / record_bytes(f);
        for (uint64_t i = 0; i < records; i++) {
            tlvk__hash content;
            if (!seek_record(f, i, 0) || fread(&content, sizeof content, 1, f->file) != 1) break;
            tlvk_status st = add_record(f, &content);
            if (st) return st;
        }
        return TLVK_OK;
    }
    fclose(f->file);
    f->file = tlvk__file_open(f->path, "w+b");
    if (!f->file || fwrite(want, sizeof *want, 1, f->file) != 1) return tlvk__fail(TLVK_ERROR_FILE, "%s: cannot write cached features", f->path);
    return TLVK_OK;
}

static tlvk_status open_file(tlvk__features *f, const tlvk__features_desc *desc) {
    char hex[33];
    tlvk__hash_hex(&desc->key, hex);
    char *folder = tlvk__format("%s/features", desc->folder);
    if (!folder) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    tlvk_status st = tlvk__make_folders(folder);
    char *name = tlvk__format("%s/%s.bin", folder, hex);
    free(folder);
    if (!st && !name) st = tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    if (!st && f->temporary) f->path = tlvk__file_temp_name(name);
    else if (!st) f->path = tlvk__strdup(name);
    free(name);
    if (st || !f->path) return st ? st : tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    f->file = tlvk__file_open(f->path, "r+b");
    if (!f->file) f->file = tlvk__file_open(f->path, "w+b");
    if (!f->file) return tlvk__fail(TLVK_ERROR_FILE, "%s: cannot be opened for cached features", f->path);
    file_header header = { .record_bytes = record_bytes(f), .key = { desc->key.h[0], desc->key.h[1] } };
    memcpy(header.magic, feature_magic, sizeof header.magic);
    return read_index(f, &header);
}

static tlvk_status create(tlvk__features *f, const tlvk__features_desc *desc) {
    f->samples = desc->samples;
    f->count = desc->count;
    for (int i = 0; i < desc->count; i++) {
        f->shapes[i] = desc->shapes[i];
        if (!tlvk__shape_elements(&desc->shapes[i], &f->elements[i])) return tlvk__fail(TLVK_ERROR_ARGUMENT, "features: output %d has an open shape", i);
        f->total += f->elements[i];
    }
    f->has = tlvk__calloc((size_t)desc->samples + 1, sizeof *f->has);
    if (!f->has) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    size_t values, bytes;
    bool fits = tlvk__mul_size((size_t)desc->samples, (size_t)f->total, &values) && tlvk__mul_size(values, sizeof(float), &bytes) && bytes <= desc->memory_bytes;
    if (desc->policy != TLVK_CACHE_DISK && fits) f->memory = malloc(bytes ? bytes : 1);
    if (f->memory) return TLVK_OK;
    if (desc->folder[0] == '\0') return tlvk__fail(TLVK_ERROR_MEMORY, "features of %lld pictures do not fit in memory and there is no cache folder", (long long)desc->samples);
    f->temporary = desc->policy != TLVK_CACHE_DISK;
    f->record_of = tlvk__calloc((size_t)desc->samples + 1, sizeof *f->record_of);
    if (!f->record_of) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    tlvk_status st = grow_table(f);
    return st ? st : open_file(f, desc);
}

tlvk_status tlvk__features_create(const tlvk__features_desc *desc, tlvk__features **out) {
    *out = NULL;
    tlvk__features *f = tlvk__calloc(1, sizeof *f);
    if (!f) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    tlvk_status st = create(f, desc);
    if (st) tlvk__features_destroy(f);
    else *out = f;
    return st;
}

void tlvk__features_destroy(tlvk__features *f) {
    if (!f) return;
    if (f->file) fclose(f->file);
    if (f->path && f->temporary) tlvk__file_remove(f->path);
    free(f->path);
    free(f->memory);
    free(f->has);
    free(f->record_of);
    free(f->records);
    free(f->table);
    free(f);
}

uint64_t tlvk__features_memory_bytes(const tlvk__features *f) { return f->memory ? (uint64_t)f->samples * (uint64_t)f->total * sizeof(float) : 0; }
int tlvk__features_count(const tlvk__features *f) { return f->count; }
int64_t tlvk__features_elements(const tlvk__features *f, int output) { return f->elements[output]; }
const tlvk__shape *tlvk__features_shape(const tlvk__features *f, int output) { return &f->shapes[output]; }
bool tlvk__features_on_disk(const tlvk__features *f) { return f->file != NULL; }
bool tlvk__features_has(const tlvk__features *f, int64_t sample) { return f->has[sample]; }

bool tlvk__features_lookup(tlvk__features *f, int64_t sample, const tlvk__hash *content) {
    if (!f->file) return false;
    int64_t found = *table_slot(f, content);
    if (found < 0) return false;
    f->record_of[sample] = found;
    f->has[sample] = true;
    return true;
}

static tlvk_status put_record(tlvk__features *f, int64_t sample, const tlvk__hash *content, const float *const *values) {
    uint64_t index = f->record_count;
    bool written = seek_record(f, index, 0) && fwrite(content, sizeof *content, 1, f->file) == 1;
    for (int i = 0; written && i < f->count; i++) written = fwrite(values[i], sizeof(float), (size_t)f->elements[i], f->file) == (size_t)f->elements[i];
    if (!written || fflush(f->file) != 0) return tlvk__fail(TLVK_ERROR_FILE, "%s: cannot write cached features; is the disk full?", f->path);
    f->record_of[sample] = (int64_t)index;
    return add_record(f, content);
}

tlvk_status tlvk__features_put(tlvk__features *f, int64_t sample, const tlvk__hash *content, const float *const *values) {
    tlvk_status st = TLVK_OK;
    if (f->file) {
        st = put_record(f, sample, content, values);
    } else {
        float *to = f->memory + sample * f->total;
        for (int i = 0; i < f->count; i++) {
            memcpy(to, values[i], (size_t)f->elements[i] * sizeof *to);
            to += f->elements[i];
        }
    }
    f->has[sample] = !st;
    return st;
}

tlvk_status tlvk__features_get(tlvk__features *f, int64_t sample, float *const *values) {
    if (!f->has[sample]) return tlvk__fail(TLVK_ERROR_INTERNAL, "features of sample %lld are not there", (long long)sample);
    if (f->memory) {
        const float *from = f->memory + sample * f->total;
        for (int i = 0; i < f->count; i++) {
            memcpy(values[i], from, (size_t)f->elements[i] * sizeof *from);
            from += f->elements[i];
        }
        return TLVK_OK;
    }
    bool read = seek_record(f, (uint64_t)f->record_of[sample], sizeof(tlvk__hash));
    for (int i = 0; read && i < f->count; i++) read = fread(values[i], sizeof(float), (size_t)f->elements[i], f->file) == (size_t)f->elements[i];
    return read ? TLVK_OK : tlvk__fail(TLVK_ERROR_FILE, "%s: cannot read cached features", f->path);
}
