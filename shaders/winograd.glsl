// winograd.glsl - the transforms of F(4x4, 3x3): 4 x 4 outputs of a 3x3 convolution from 6 x 6 inputs by 36 products instead of 144.
//     y = A' ((G g G') o (B' d B)) A,  and the gradient of the weights, a sum over tiles,  dg = G' ((A dy A') o (B' d B)) G
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), here by the polynomial's points 0, +-sqrt(1/2), +-sqrt(2) and
// infinity, whose products are 1, 2 and 1/2: with them the error is half of that of the usual 0, +-1, +-2 (engine/ops/winograd_bound.c has the
// matrices). Position p = 6 * (along y) + (along x). Planes of a transformed tensor, one per position, lie `plane` vec4 apart.
const int WINOGRAD_OUT = 4, WINOGRAD_IN = 6;
const float WINOGRAD_A = 0.70710678118654752, WINOGRAD_B = 1.41421356237309505;

// B' d
void winograd_input(vec4 d[6], out vec4 v[6]) {
    vec4 even_a = d[4] - 2.0 * d[2], odd_a = WINOGRAD_A * (d[3] - 2.0 * d[1]);
    vec4 even_b = d[4] - 0.5 * d[2], odd_b = WINOGRAD_B * (d[3] - 0.5 * d[1]);
    v[0] = d[0] - 2.5 * d[2] + d[4];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = d[1] - 2.5 * d[3] + d[5];
}

// G g
void winograd_weights(vec4 g[3], out vec4 u[6]) {
    vec4 even_a = (-2.0 / 3.0) * (g[0] + 0.5 * g[2]), odd_a = (-2.0 / 3.0) * WINOGRAD_A * g[1];
    vec4 even_b = (1.0 / 6.0) * (g[0] + 2.0 * g[2]), odd_b = (1.0 / 6.0) * WINOGRAD_B * g[1];
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

// A d, of the gradient of the outputs
void winograd_output_gradient(vec4 d[4], out vec4 v[6]) {
    vec4 even_a = d[0] + 0.5 * d[2], odd_a = WINOGRAD_A * (d[1] + 0.5 * d[3]);
    vec4 even_b = d[0] + 2.0 * d[2], odd_b = WINOGRAD_B * (d[1] + 2.0 * d[3]);
    v[0] = d[0];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = d[3];
}

// G' m, into the gradient of the weights
void winograd_weights_gradient(vec4 m[6], out vec4 g[3]) {
    vec4 sum_a = m[1] + m[2], sum_b = m[3] + m[4];
    g[0] = m[0] - (2.0 / 3.0) * sum_a + (1.0 / 6.0) * sum_b;
    g[1] = (-2.0 / 3.0) * WINOGRAD_A * (m[1] - m[2]) + (1.0 / 6.0) * WINOGRAD_B * (m[3] - m[4]);
    g[2] = (1.0 / 3.0) * (sum_b - sum_a) + m[5];
}

// A' m
void winograd_output(vec4 m[6], out vec4 y[4]) {
    vec4 sum_a = m[1] + m[2], sum_b = m[3] + m[4];
    vec4 difference_a = WINOGRAD_A * (m[1] - m[2]), difference_b = WINOGRAD_B * (m[3] - m[4]);
    y[0] = m[0] + sum_a + sum_b;
    y[1] = difference_a + difference_b;
    y[2] = 0.5 * sum_a + 2.0 * sum_b;
    y[3] = 0.5 * difference_a + 2.0 * difference_b + m[5];
}
