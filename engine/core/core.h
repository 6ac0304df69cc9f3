/* core.h - what every room stands on: status and error text, checked sizes, strings, shapes, counter-based random numbers.
 *
 * Hides: where error text lives until the API boundary publishes it, and how sizes are checked.
 * Nothing here knows of Vulkan, Keras or files. Thread safety: error text is per thread; everything else is pure or owned by the caller. */
#ifndef TLVK_CORE_H
#define TLVK_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tlvk/tlvk.h>

#if defined(_WIN32) && defined(__GNUC__) && !defined(__clang__) /* printf would stand for Microsoft's there, and ISO C's is what MinGW gives */
#define TLVK__PRINTF(fmt, args) __attribute__((format(gnu_printf, fmt, args)))
#elif defined(__GNUC__)
#define TLVK__PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define TLVK__PRINTF(fmt, args)
#endif

#define TLVK__COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TLVK__MIN(a, b) ((a) < (b) ? (a) : (b))
#define TLVK__MAX(a, b) ((a) > (b) ? (a) : (b))

/* --- errors --------------------------------------------------------------------------------------------------------------
 * An internal call that fails writes its text with tlvk__fail and returns the status; callers pass the status up and may put
 * their own words in front ("conv2d_3: ...") with tlvk__fail_context. The text is this thread's until the next tlvk__fail. */
tlvk_status tlvk__fail(tlvk_status status, const char *format, ...) TLVK__PRINTF(2, 3);
tlvk_status tlvk__fail_context(tlvk_status status, const char *format, ...) TLVK__PRINTF(2, 3); /* "format: " before the present text; returns status */
/* As tlvk__fail, of a call on something empty that an earlier call has failed to make: the text of that failure goes on behind. */
tlvk_status tlvk__fail_after(tlvk_status status, const char *format, ...) TLVK__PRINTF(2, 3);
void tlvk__fail_note(bool failed); /* how this thread's public call ended, with the present text where it failed */
const char *tlvk__fail_text(void);
void tlvk__fail_clear(void);

/* --- sizes and memory ----------------------------------------------------------------------------------------------------- */
bool tlvk__mul_size(size_t a, size_t b, size_t *out); /* false on overflow; *out untouched then */
bool tlvk__add_size(size_t a, size_t b, size_t *out);
bool tlvk__mul_i64(int64_t a, int64_t b, int64_t *out);
static inline uint64_t tlvk__round_up(uint64_t v, uint64_t to) { return (v + to - 1) / to * to; }
static inline int64_t tlvk__div_up(int64_t v, int64_t by) { return (v + by - 1) / by; }

void *tlvk__calloc(size_t count, size_t size); /* zeroed; NULL when the product overflows or memory is short (no text written) */
void *tlvk__grow(void *array, size_t *capacity, size_t need, size_t size); /* realloc by doubling; new room zeroed; NULL on failure, array then untouched */
char *tlvk__strdup(const char *s);
char *tlvk__format(const char *format, ...) TLVK__PRINTF(1, 2); /* malloc'd; NULL when memory is short */

/* --- shapes --------------------------------------------------------------------------------------------------------------
 * Activations: dim[0] is the batch, -1 unknown (Keras's None); images are (n, h, w, c). Variables: all dims known. */
#define TLVK__MAX_RANK 8
typedef struct tlvk__shape {
    int rank;
    int64_t dim[TLVK__MAX_RANK];
} tlvk__shape;

bool tlvk__shape_equal(const tlvk__shape *a, const tlvk__shape *b);
bool tlvk__shape_elements(const tlvk__shape *s, int64_t *out); /* false when a dim is unknown or the product overflows */
char *tlvk__shape_text(const tlvk__shape *s, char *buffer, size_t size); /* Keras's "(None, 224, 224, 3)"; returns buffer */

/* --- random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) -------------------
 * Counter-based: the same (key, counter) gives the same four words here and in shaders/philox.glsl. */
typedef struct tlvk__philox_key { uint32_t k[2]; } tlvk__philox_key;
typedef struct tlvk__philox_out { uint32_t v[4]; } tlvk__philox_out;
tlvk__philox_out tlvk__philox(tlvk__philox_key key, uint64_t counter_lo, uint64_t counter_hi);

typedef struct tlvk__rng { /* a sequential stream over Philox, for initializers, shuffles and tests */
    tlvk__philox_key key;
    uint64_t stream, counter;
    tlvk__philox_out block;
    int used;
} tlvk__rng;
void tlvk__rng_seed(tlvk__rng *r, uint64_t seed, uint64_t stream);
uint32_t tlvk__rng_u32(tlvk__rng *r);
uint64_t tlvk__rng_below(tlvk__rng *r, uint64_t n); /* unbiased, n > 0 */
double tlvk__rng_uniform(tlvk__rng *r);             /* [0, 1), 53 bits */
double tlvk__rng_normal(tlvk__rng *r);              /* mean 0, deviation 1 (Box-Muller) */

/* --- content hash: 128 bits, not cryptographic: two 64-bit lanes mixed as in MurmurHash3 (Appleby, 2011; x64, 128 bits) ----------------
 * Each tlvk__hash_add folds in one piece and its length, so the pieces "ab", "c" and "a", "bc" give different hashes.
 * The same on every byte order. For telling pictures and files apart, never against somebody who wants a clash. */
typedef struct tlvk__hash { uint64_t h[2]; } tlvk__hash;
void tlvk__hash_init(tlvk__hash *h);
void tlvk__hash_add(tlvk__hash *h, const void *bytes, size_t size);
void tlvk__hash_hex(const tlvk__hash *h, char out[33]);

#endif
