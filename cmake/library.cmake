# The library: one OBJECT library per room, and from their objects
#   tlvk          the shared library, which exports the public names only,
#   tlvk_archive  the static library, whose private names are made local,
#   tlvk_internal a static library with everything visible, for the tests.

set(TLVK_ROOMS core vk ops graph plan train data weights nets)
set(TLVK_ROOM_TARGETS)
set(TLVK_OBJECTS)

# Include path and flags of code that sees the library's inside: rooms and tests.
add_library(tlvk_inside INTERFACE)
target_include_directories(tlvk_inside INTERFACE
  ${PROJECT_SOURCE_DIR}/engine ${PROJECT_SOURCE_DIR}/engine/include ${PROJECT_SOURCE_DIR})
target_link_libraries(tlvk_inside INTERFACE tlvk_build_flags)

# What the library's objects need at link time. The Vulkan loader is opened at run time.
add_library(tlvk_needs INTERFACE)
target_link_libraries(tlvk_needs INTERFACE PkgConfig::TLVK_HDF5 PkgConfig::TLVK_JANSSON PkgConfig::TLVK_CURL PkgConfig::TLVK_LIBARCHIVE
  PkgConfig::TLVK_CAIRO PkgConfig::TLVK_JPEG Threads::Threads ${CMAKE_DL_LIBS} m)

foreach(room IN LISTS TLVK_ROOMS)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/engine/${room}/*.c)
  if(room STREQUAL "weights")
    file(GLOB more CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/weights/*.c)
    list(APPEND sources ${more})
  endif()
  # One file of two: what the system is, and whether there is HDF5.
  if(WIN32)
    list(FILTER sources EXCLUDE REGEX "/platform\\.c$")
  else()
    list(FILTER sources EXCLUDE REGEX "/platform_windows\\.c$")
  endif()
  if(TLVK_WITH_HDF5)
    list(FILTER sources EXCLUDE REGEX "/h5_absent\\.c$")
  else()
    list(FILTER sources EXCLUDE REGEX "/(h5_(read|state|values|write|writer)|keras_write)\\.c$")
  endif()
  if(sources)
    add_library(tlvk_${room} OBJECT ${sources})
    target_link_libraries(tlvk_${room} PRIVATE tlvk_inside)
    target_compile_definitions(tlvk_${room} PRIVATE TLVK_BUILD)
    list(APPEND TLVK_ROOM_TARGETS tlvk_${room})
    list(APPEND TLVK_OBJECTS $<TARGET_OBJECTS:tlvk_${room}>)
  endif()
endforeach()

# Headers of a dependency are visible to the rooms that may use them alone, as system headers: their warnings are not ours.
if(TARGET tlvk_vk)
  target_include_directories(tlvk_vk SYSTEM PRIVATE ${TLVK_VULKAN_INCLUDE} ${TLVK_VOLK_INCLUDE} ${TLVK_VOLK_SOURCE})
endif()
if(TARGET tlvk_data)
  target_include_directories(tlvk_data SYSTEM PRIVATE ${TLVK_STB_INCLUDE})
endif()
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang") # loops over pixels, which gcc leaves as they are at -O2
  set_source_files_properties(${PROJECT_SOURCE_DIR}/engine/data/resize.c ${PROJECT_SOURCE_DIR}/engine/data/picture.c PROPERTIES COMPILE_OPTIONS
    $<$<NOT:$<CONFIG:Debug>>:-O3>)
endif()
foreach(room graph plan train weights)
  if(TARGET tlvk_${room})
    target_link_libraries(tlvk_${room} PRIVATE PkgConfig::TLVK_JANSSON)
  endif()
endforeach()
# tlvk_room_may_use(ROOM NAME TARGET): a dependency that can be left out, and whether it is there.
function(tlvk_room_may_use room name target)
  if(TARGET tlvk_${room})
    target_link_libraries(tlvk_${room} PRIVATE PkgConfig::${target})
    target_compile_definitions(tlvk_${room} PRIVATE TLVK_WITH_${name}=$<BOOL:${TLVK_WITH_${name}}>)
  endif()
endfunction()
tlvk_room_may_use(weights HDF5 TLVK_HDF5)       # models and weights
tlvk_room_may_use(weights CURL TLVK_CURL)       # official weights
tlvk_room_may_use(weights ARCHIVE TLVK_LIBARCHIVE) # .keras
tlvk_room_may_use(data ARCHIVE TLVK_LIBARCHIVE)    # pictures in archives
tlvk_room_may_use(train CAIRO TLVK_CAIRO)       # curves
tlvk_room_may_use(data JPEG TLVK_JPEG)          # JPEG as TensorFlow decodes it, and faster


tlvk_probe_shader(COOPERATIVE_MATRIX)
if(TARGET tlvk_vk) # a device is said to have only what there are shaders for
  target_compile_definitions(tlvk_vk PRIVATE TLVK_WITH_COOPERATIVE_MATRIX=$<BOOL:${TLVK_WITH_COOPERATIVE_MATRIX}>)
endif()

file(GLOB TLVK_SHADERS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shaders/*.comp)
tlvk_embed_shaders(tlvk_shaders ${TLVK_SHADERS})
set(TLVK_LIBRARY_OBJECTS ${TLVK_OBJECTS} $<TARGET_OBJECTS:tlvk_shaders>)

add_library(tlvk SHARED ${TLVK_LIBRARY_OBJECTS})
add_library(tlvk::tlvk ALIAS tlvk)
target_include_directories(tlvk INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/engine/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(tlvk PRIVATE $<BUILD_INTERFACE:tlvk_build_flags> $<BUILD_INTERFACE:tlvk_needs>)
set_target_properties(tlvk PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
if(NOT TLVK_SANITIZE) # the sanitizers' own functions come from the program
  target_link_options(tlvk PRIVATE LINKER:--no-undefined)
endif()

# A static archive has no visibility of its own: every object's private names would meet those of the program, volk's
# vkCreateInstance among them. One relocatable object with its hidden symbols made local keeps them apart.
set(TLVK_ARCHIVE ${PROJECT_BINARY_DIR}/${CMAKE_STATIC_LIBRARY_PREFIX}tlvk${CMAKE_STATIC_LIBRARY_SUFFIX})
if(WIN32) # its objects know nothing of hidden symbols: the public ones are told by their names
  set(TLVK_LOCALIZE --wildcard "--keep-global-symbol=tlvk_[!_]*")
else()
  set(TLVK_LOCALIZE --localize-hidden)
endif()
add_custom_command(OUTPUT ${TLVK_ARCHIVE}
  COMMAND ${CMAKE_LINKER} -r -o ${PROJECT_BINARY_DIR}/tlvk_all.o ${TLVK_LIBRARY_OBJECTS}
  COMMAND ${CMAKE_OBJCOPY} ${TLVK_LOCALIZE} ${PROJECT_BINARY_DIR}/tlvk_all.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${TLVK_ARCHIVE}
  COMMAND ${CMAKE_AR} rcs ${TLVK_ARCHIVE} ${PROJECT_BINARY_DIR}/tlvk_all.o
  DEPENDS ${TLVK_LIBRARY_OBJECTS}
  COMMENT "Linking C static library libtlvk.a"
  COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(tlvk_archive ALL DEPENDS ${TLVK_ARCHIVE})
add_library(tlvk_static INTERFACE)
add_library(tlvk::tlvk_static ALIAS tlvk_static)
add_dependencies(tlvk_static tlvk_archive)
target_include_directories(tlvk_static INTERFACE ${PROJECT_SOURCE_DIR}/engine/include)
target_link_libraries(tlvk_static INTERFACE ${TLVK_ARCHIVE} tlvk_needs)

if(TLVK_TESTS)
  # The tests' table holds the library's shaders and the tests' own.
  file(GLOB TLVK_TEST_SHADERS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/shaders/*.comp)
  if(TLVK_TEST_SHADERS)
    tlvk_embed_shaders(tlvk_test_shaders ${TLVK_SHADERS} ${TLVK_TEST_SHADERS})
    add_library(tlvk_internal STATIC EXCLUDE_FROM_ALL ${TLVK_OBJECTS} $<TARGET_OBJECTS:tlvk_test_shaders>)
    # The same with the shuffle core on lanes that are emulated: a program that has these objects takes no table from the library.
    tlvk_embed_shaders(tlvk_lane_shaders ONLY -DCORE_SGB FLAGS -DEMULATED_LANES -I${PROJECT_SOURCE_DIR}/tests/shaders
      IN_PLACE_OF tlvk_test_shaders SOURCES ${TLVK_SHADERS})
  else()
    add_library(tlvk_internal STATIC EXCLUDE_FROM_ALL ${TLVK_LIBRARY_OBJECTS})
  endif()
  set_target_properties(tlvk_internal PROPERTIES LINKER_LANGUAGE C)
  target_link_libraries(tlvk_internal PUBLIC tlvk_inside tlvk_needs)
endif()
