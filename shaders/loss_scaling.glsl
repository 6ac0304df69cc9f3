// loss_scaling.glsl - the words of loss scaling; tlvk__loss_scaling of engine/ops/optimizer.h.
const uint TLVK_SCALE = 0, TLVK_INVERSE = 1, TLVK_FINITE_STEPS = 2, TLVK_POWER_1 = 3, TLVK_POWER_2 = 4, TLVK_SKIPPED = 5;
