/* objects.c - every object that the program made and did not destroy. Hides: the table. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 8192

const char *const kind_names[KINDS] = {"VkInstance", "VkDevice", "VkBuffer", "VkDeviceMemory", "VkBufferView", "VkDescriptorSetLayout", "VkPipelineLayout",
                                       "VkShaderModule", "VkPipeline", "VkPipelineCache", "VkDescriptorPool", "VkDescriptorSet", "VkQueryPool",
                                       "VkCommandPool", "VkCommandBuffer", "VkFence"};
static object *table[BUCKETS];

static object **place(kind k, uint64_t handle) {
    object **at = &table[(handle >> 4 ^ handle >> 17 ^ (uint64_t)k * 977) % BUCKETS];
    while (*at && ((*at)->kind != k || (*at)->handle != handle))
        at = &(*at)->next;
    return at;
}

object *find(kind k, uint64_t handle) { return *place(k, handle); }

static void *taken(void *memory) {
    if (!memory) {
        fprintf(stderr, SIM_LAYER ": no memory\n");
        abort();
    }
    return memory;
}

object *add(kind k, uint64_t handle, void *of, uint64_t owner) {
    object **at = place(k, handle);
    if (!*at)
        *at = taken(calloc(1, sizeof **at));
    (*at)->kind = k;
    (*at)->handle = handle;
    (*at)->device = of;
    (*at)->owner = owner;
    return *at;
}

static void remove_at(object **at) {
    object *gone = *at;
    *at = gone->next;
    free(gone->uses);
    free(gone->shadow);
    free(gone);
}

void drop(kind k, uint64_t handle) {
    object **at = place(k, handle);
    if (*at)
        remove_at(at);
    kind part = k == POOL ? SET : k == COMMANDS ? COMMAND : KINDS;
    for (int i = 0; part != KINDS && i < BUCKETS; i++)
        for (at = &table[i]; *at;)
            if ((*at)->kind == part && (*at)->owner == handle)
                remove_at(at);
            else
                at = &(*at)->next;
}

void add_use(object *user, kind k, uint64_t handle) {
    if (user->use_count == user->use_capacity) {
        user->use_capacity = user->use_capacity ? 2 * user->use_capacity : 16;
        user->uses = taken(realloc(user->uses, user->use_capacity * sizeof *user->uses));
    }
    user->uses[user->use_count].kind = k;
    user->uses[user->use_count++].handle = handle;
}

/* Sets go with their pools and need no end of their own. */
static bool counts(const object *o, const void *of) { return o->kind != SET && (of ? o->device == of && o->kind != DEVICE : true); }

int alive_of(const void *of) {
    int count = 0;
    for (int i = 0; i < BUCKETS; i++)
        for (const object *o = table[i]; o; o = o->next)
            count += counts(o, of);
    return count;
}

void name_alive(const void *of, char *text, size_t size) {
    int counted[KINDS] = {0};
    for (int i = 0; i < BUCKETS; i++)
        for (const object *o = table[i]; o; o = o->next)
            if (counts(o, of))
                counted[o->kind]++;
    size_t used = 0;
    for (int k = 0; k < KINDS && used < size; k++)
        if (counted[k])
            used += (size_t)snprintf(text + used, size - used, "%s%d %s", used ? ", " : "", counted[k], kind_names[k]);
}
