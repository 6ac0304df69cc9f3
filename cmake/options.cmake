# Options of the build, the language and the warnings every target of the project is compiled with.

option(TLVK_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(TLVK_WERROR "Treat warnings as errors" OFF)
option(TLVK_SANITIZE "Build with the address and undefined-behaviour sanitizers" OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()
# -O2 rather than CMake's -O3; a user's own CMAKE_C_FLAGS_RELEASE stays.
if(CMAKE_C_FLAGS_RELEASE STREQUAL "-O3 -DNDEBUG")
  set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

include(GNUInstallDirs)
if(WIN32) # programs find libraries beside themselves
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endif()

# tlvk_build_flags carries the warnings and sanitizers to our own targets only, never to a program that uses the library.
add_library(tlvk_build_flags INTERFACE)
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(tlvk_build_flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    # Contraction into fused multiply-adds differs between compilers and machines; the references must not.
    -ffp-contract=off)
  if(MINGW) # its isnan and isfinite convert to every type there is, and throw away what was not asked for
    target_compile_options(tlvk_build_flags INTERFACE -Wno-float-conversion)
  endif()
  if(TLVK_WERROR)
    target_compile_options(tlvk_build_flags INTERFACE -Werror)
  endif()
  if(TLVK_SANITIZE)
    target_compile_options(tlvk_build_flags INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer)
    target_link_options(tlvk_build_flags INTERFACE -fsanitize=address,undefined)
  endif()
endif()
