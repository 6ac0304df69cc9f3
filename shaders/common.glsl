// common.glsl - what every shader shares: extensions and the linear group index.
// Included by #include "common.glsl"; the build passes shaders/ as include folder.
#extension GL_EXT_control_flow_attributes : require

// Linear workgroup index along x where the recorder folded a large x into (x, z): see vk.h, tlvk__dispatch.groups.
uint tlvk_group_x() { return gl_WorkGroupID.x + gl_WorkGroupID.z * gl_NumWorkGroups.x; }
