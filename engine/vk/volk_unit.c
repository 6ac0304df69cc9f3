/* volk_unit.c - compiles volk as the system ships it, inside this library and with its names hidden.
 * Hides: how the Vulkan loader is found and opened. */
#include <volk.c>
