/* step_params.h - what varies from step to step of a replayed recording; shared by C and GLSL.
 * One buffer per slot, 16 words of 32 bits. */
#ifndef TLVK_STEP_PARAMS_H
#define TLVK_STEP_PARAMS_H
#ifdef __STDC__
#include <stdint.h>
typedef struct tlvk__step_params {
    uint32_t seed[2];      /* key of the random numbers (Philox) */
    uint32_t step[2];      /* low and high word of the optimizer step, counter of the random numbers */
    float learning_rate;   /* after the schedule */
    float rate;            /* the optimizer's own step size: Adam lr*sqrt(1-b2^t)/(1-b1^t), others lr */
    float reserved[10];
} tlvk__step_params;
#else
struct StepParams { uvec2 seed; uvec2 step; float learning_rate; float rate; float reserved[10]; };
#endif
#endif
