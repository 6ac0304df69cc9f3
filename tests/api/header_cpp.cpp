// header_cpp.cpp - the public header in a C++ program, without extensions of the compiler.
#include <tlvk/tlvk.h>

#include <cstdio>

int main()
{
    tlvk_context *ctx = nullptr;
    if (tlvk_context_create(nullptr, &ctx) != TLVK_OK) {
        std::fprintf(stderr, "%s\n", tlvk_last_error(nullptr));
        return 1;
    }
    tlvk_net_desc net = {};
    net.no_top = true;
    net.input_shape[0] = net.input_shape[1] = 64;
    net.input_shape[2] = 3;
    tlvk_model *vgg = nullptr;
    tlvk_status status = tlvk_vgg16(ctx, &net, &vgg);
    int layers = status == TLVK_OK ? tlvk_model_layer_count(vgg) : 0;
    if (layers != 19) {
        std::fprintf(stderr, "VGG16 without its classifier has %d layers, 19 are right: %s\n", layers, tlvk_last_error(ctx));
    }
    tlvk_model_destroy(vgg);
    tlvk_context_destroy(ctx);
    return layers != 19;
}
