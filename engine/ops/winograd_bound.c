/* winograd_bound.c - how far float32 F(4x4, 3x3) may be from the exact convolution and its gradient of the weights, element by element.
 *
 * Of a tile, with V = B' d B and U = G g G' per channel, and what the roundings see, |V|~ = |B'||d||B| and |U|~ = |G||g||G'|:
 *   - a plane's product is a chain over channels, in error by dot_bound(c + T, sum over channels of |U V|), with the T roundings of the output's
 *     transform at the end of it;
 *   - U and V come rounded, in error by dot_bound(T, |U|~) and dot_bound(T, |V|~), independently in every channel: root of the sum of squares;
 *   - the errors of the 36 planes are independent too: in y = A' M A they add up as the root of the sum of squares, weighted by A.
 * T = 8 counts two passes of at most four roundings. Independence: Higham and Mary, as in convolution.h.
 * The gradient of the weights is the same with the chain over tiles, Y = A dy A' in place of U, and G in place of A at the end. */
#include "ops/convolution.h"
#include "ops/winograd.h"

#include <math.h>
#include <stdlib.h>

enum { IN = 6, OUT = 4, TAPS = 3, POSITIONS = IN * IN, ROUNDINGS = 8, COLUMNS = 16 /* of weights transformed at a time */ };

#define A 0.70710678118654752440
#define B 1.41421356237309504880
static const double input_matrix[IN][IN] = {{1, 0, -2.5, 0, 1, 0}, {0, -2 * A, -2, A, 1, 0}, {0, 2 * A, -2, -A, 1, 0},
                                            {0, -0.5 * B, -0.5, B, 1, 0}, {0, 0.5 * B, -0.5, -B, 1, 0}, {0, 1, 0, -2.5, 0, 1}};
static const double weight_matrix[IN][TAPS] = {{1, 0, 0}, {-2.0 / 3, -2 * A / 3, -1.0 / 3}, {-2.0 / 3, 2 * A / 3, -1.0 / 3},
                                               {1.0 / 6, B / 6, 1.0 / 3}, {1.0 / 6, -B / 6, 1.0 / 3}, {0, 0, 1}};
static const double output_matrix[OUT][IN] = {{1, 1, 1, 1, 1, 0}, {0, A, -A, B, -B, 0}, {0, 0.5, 0.5, 2, 2, 0}, {0, 0.5 * A, -0.5 * A, 2 * B, -2 * B, 1}};

typedef struct transformed { double v[POSITIONS], sum[POSITIONS]; } transformed; /* the value; the same of absolute values throughout */

/* to = M from M', with M(i, k) = matrix[i * row_step + k * step], i < IN, k < count, and from count x count. */
static void transform(const double *matrix, int row_step, int step, int count, const double *from, transformed *to) {
    for (int i = 0; i < IN; i++)
        for (int j = 0; j < IN; j++) {
            double v = 0, sum = 0;
            for (int k = 0; k < count; k++)
                for (int l = 0; l < count; l++) {
                    double term = matrix[i * row_step + k * step] * matrix[j * row_step + l * step] * from[k * count + l];
                    v += term;
                    sum += fabs(term);
                }
            to->v[i * IN + j] = v;
            to->sum[i * IN + j] = sum;
        }
}

typedef struct tile { int64_t n, y, x; } tile;

static void transform_input(const tlvk__winograd_sizes *s, tile t, int64_t c, transformed *to) {
    double d[POSITIONS] = {0};
    for (int r = 0; r < IN; r++)
        for (int q = 0; q < IN; q++) {
            int64_t y = t.y * OUT + s->offset[0] + r, x = t.x * OUT + s->offset[1] + q;
            if (y >= 0 && y < s->h && x >= 0 && x < s->w)
                d[r * IN + q] = s->in[((t.n * s->h + y) * s->w + x) * s->c + c];
        }
    transform(&input_matrix[0][0], IN, 1, IN, d, to);
}

static void transform_inputs(const tlvk__winograd_sizes *s, tile t, transformed *to) {
    for (int64_t c = 0; c < s->c; c++)
        transform_input(s, t, c, &to[c]);
}

static void transform_weights(const tlvk__winograd_sizes *s, int64_t o, transformed *to) {
    for (int64_t c = 0; c < s->c; c++) {
        double g[TAPS * TAPS];
        for (int tap = 0; tap < TAPS * TAPS; tap++)
            g[tap] = s->weights[tap * s->tap_step + c * s->c_step + o * s->o_step];
        transform(&weight_matrix[0][0], TAPS, 1, TAPS, g, &to[c]);
    }
}

/* Squares of the errors of the planes of one chain, over channels or tiles. */
static void plane_errors(int64_t length, const transformed *v, const transformed *u, double squares[POSITIONS]) {
    double operand = tlvk__dot_bound(ROUNDINGS, 1);
    for (int p = 0; p < POSITIONS; p++) {
        double products = 0, operands = 0;
        for (int64_t c = 0; c < length; c++) {
            double from_u = u[c].sum[p] * v[c].v[p], from_v = u[c].v[p] * v[c].sum[p];
            products += fabs(u[c].v[p] * v[c].v[p]);
            operands += from_u * from_u + from_v * from_v;
        }
        double chain = tlvk__dot_bound((double)(length + ROUNDINGS), products);
        squares[p] = chain * chain + operand * operand * operands;
    }
}

static void tile_errors(const tlvk__winograd_sizes *s, tile t, int64_t o, const double squares[POSITIONS], double *e) {
    for (int i = 0; i < OUT && t.y * OUT + i < s->oh; i++)
        for (int j = 0; j < OUT && t.x * OUT + j < s->ow; j++) {
            double sum = 0;
            for (int p = 0; p < POSITIONS; p++) {
                double weight = output_matrix[i][p / IN] * output_matrix[j][p % IN];
                sum += weight * weight * squares[p];
            }
            e[((t.n * s->oh + t.y * OUT + i) * s->ow + t.x * OUT + j) * s->o + o] = sqrt(sum);
        }
}

tlvk_status tlvk__winograd_bound(const tlvk__winograd_sizes *s, double *e) {
    transformed *inputs = tlvk__calloc((size_t)s->c, sizeof *inputs), *weights = tlvk__calloc((size_t)s->c, COLUMNS * sizeof *weights);
    tlvk_status status = inputs && weights ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the bounds of a convolution of %lld channels", (long long)s->c);
    for (int64_t first = 0; !status && first < s->o; first += COLUMNS) {
        int64_t columns = TLVK__MIN(s->o - first, (int64_t)COLUMNS);
        for (int64_t o = 0; o < columns; o++)
            transform_weights(s, first + o, weights + o * s->c);
        for (tile t = {0}; t.n < s->n; t.n++)
            for (t.y = 0; t.y * OUT < s->oh; t.y++)
                for (t.x = 0; t.x * OUT < s->ow; t.x++) {
                    double squares[POSITIONS];
                    transform_inputs(s, t, inputs);
                    for (int64_t o = 0; o < columns; o++) {
                        plane_errors(s->c, inputs, weights + o * s->c, squares);
                        tile_errors(s, t, first + o, squares, e);
                    }
                }
    }
    free(inputs);
    free(weights);
    return status;
}

/* --- the gradient of the weights -------------------------------------------------------------------------------------------------------------- */

static int64_t tile_count(const tlvk__winograd_sizes *s) { return s->n * tlvk__div_up(s->oh, OUT) * tlvk__div_up(s->ow, OUT); }

static tile tile_at(const tlvk__winograd_sizes *s, int64_t i) {
    int64_t across = tlvk__div_up(s->ow, OUT), down = tlvk__div_up(s->oh, OUT);
    return (tile){i / (down * across), i / across % down, i % across};
}

static void transform_gradient(const tlvk__winograd_sizes *s, const double *dy, tile t, int64_t o, transformed *to) {
    double d[OUT * OUT] = {0};
    for (int r = 0; r < OUT && t.y * OUT + r < s->oh; r++)
        for (int q = 0; q < OUT && t.x * OUT + q < s->ow; q++)
            d[r * OUT + q] = dy[((t.n * s->oh + t.y * OUT + r) * s->ow + t.x * OUT + q) * s->o + o];
    transform(&output_matrix[0][0], 1, IN, OUT, d, to);
}

static void tap_errors(const tlvk__winograd_sizes *s, int64_t c, int64_t o, const double squares[POSITIONS], double *e) {
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) {
            double sum = 0;
            for (int p = 0; p < POSITIONS; p++) {
                double weight = weight_matrix[p / IN][i] * weight_matrix[p % IN][j];
                sum += weight * weight * squares[p];
            }
            e[((i * TAPS + j) * s->c + c) * s->o + o] = sqrt(sum);
        }
}

tlvk_status tlvk__winograd_weights_bound(const tlvk__winograd_sizes *s, const double *dy, double *e) {
    int64_t tiles = tile_count(s);
    transformed *inputs = tlvk__calloc((size_t)tiles, COLUMNS * sizeof *inputs), *gradients = tlvk__calloc((size_t)tiles, sizeof *gradients);
    tlvk_status status = inputs && gradients ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the bounds of a gradient over %lld tiles", (long long)tiles);
    for (int64_t first = 0; !status && first < s->c; first += COLUMNS) {
        int64_t channels = TLVK__MIN(s->c - first, (int64_t)COLUMNS);
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < tiles; i++)
                transform_input(s, tile_at(s, i), first + c, &inputs[c * tiles + i]);
        for (int64_t o = 0; o < s->o; o++) {
            for (int64_t i = 0; i < tiles; i++)
                transform_gradient(s, dy, tile_at(s, i), o, &gradients[i]);
            for (int64_t c = 0; c < channels; c++) {
                double squares[POSITIONS];
                plane_errors(tiles, inputs + c * tiles, gradients, squares);
                tap_errors(s, first + c, o, squares, e);
            }
        }
    }
    free(inputs);
    free(gradients);
    return status;
}
