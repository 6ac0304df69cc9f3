# What the build needs from the system; docs/dependencies.md says why each is there. Nothing is downloaded.

function(tlvk_need_file variable file subfolder package)
  find_path(${variable} ${file} PATH_SUFFIXES ${subfolder})
  if(NOT ${variable})
    message(FATAL_ERROR "tlvk: ${file} was not found. On Debian: apt-get install ${package}")
  endif()
  mark_as_advanced(${variable})
endfunction()

function(tlvk_need_program variable program package)
  find_program(${variable} ${program})
  if(NOT ${variable})
    message(FATAL_ERROR "tlvk: the program ${program} was not found. On Debian: apt-get install ${package}")
  endif()
  mark_as_advanced(${variable})
endfunction()

find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "tlvk: pkg-config was not found. On Debian: apt-get install pkg-config")
endif()

# Each call: our name of the imported target, the Debian package, the names the module may have.
function(tlvk_need_module target package)
  pkg_search_module(${target} IMPORTED_TARGET GLOBAL ${ARGN})
  if(NOT ${target}_FOUND)
    message(FATAL_ERROR "tlvk: pkg-config knows none of ${ARGN}. On Debian: apt-get install ${package}")
  endif()
endfunction()

# The library finds the Vulkan loader at run time through volk, so only headers are needed. Debian ships volk as a header and a source file.
tlvk_need_file(TLVK_VULKAN_INCLUDE vulkan/vulkan.h "" libvulkan-dev)
tlvk_need_file(TLVK_VOLK_INCLUDE volk.h volk libvulkan-volk-dev)
tlvk_need_file(TLVK_VOLK_SOURCE volk.c volk libvulkan-volk-dev)
tlvk_need_file(TLVK_STB_INCLUDE stb/stb_image.h "" libstb-dev)
tlvk_need_module(TLVK_JANSSON libjansson-dev jansson)

# What can be left out: each option's name, our name of the target, the Debian package, the names the module may have. The rooms see TLVK_WITH_NAME as 0 or 1.
function(tlvk_may_need name target package)
  option(TLVK_WITH_${name} "Build with ${ARGV3}" ON)
  if(TLVK_WITH_${name})
    pkg_search_module(${target} IMPORTED_TARGET GLOBAL ${ARGN})
    if(NOT ${target}_FOUND)
      message(FATAL_ERROR "tlvk: pkg-config does not know ${ARGV3}. On Debian: apt-get install ${package}. Or leave it out: -DTLVK_WITH_${name}=OFF")
    endif()
    set(TLVK_OPTIONAL_MODULES ${TLVK_OPTIONAL_MODULES} ${${target}_MODULE_NAME} PARENT_SCOPE) # for the installed files
  else()
    add_library(${target}_none INTERFACE)
    add_library(PkgConfig::${target} ALIAS ${target}_none)
  endif()
endfunction()
set(TLVK_OPTIONAL_MODULES)
tlvk_may_need(HDF5 TLVK_HDF5 libhdf5-dev hdf5-serial hdf5)
if(TLVK_WITH_HDF5)
  target_compile_definitions(PkgConfig::TLVK_HDF5 INTERFACE H5_USE_110_API) # the calls of Debian 12's HDF5 in later ones too
endif()
tlvk_may_need(CURL TLVK_CURL libcurl4-openssl-dev libcurl)
tlvk_may_need(ARCHIVE TLVK_LIBARCHIVE libarchive-dev libarchive)
tlvk_may_need(CAIRO TLVK_CAIRO libcairo2-dev cairo)
tlvk_may_need(JPEG TLVK_JPEG libjpeg-dev libjpeg)

tlvk_need_program(TLVK_GLSLANG glslangValidator glslang-tools)
tlvk_need_program(TLVK_SPIRV_OPT spirv-opt spirv-tools)
tlvk_need_program(TLVK_SPIRV_VAL spirv-val spirv-tools)

# Threads are the system's own on Windows (engine/core/platform_windows.c), where MinGW has POSIX's in a library that nothing here needs.
if(WIN32)
  add_library(Threads::Threads INTERFACE IMPORTED)
else()
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
endif()

if(TLVK_TESTS)
  tlvk_need_module(TLVK_CMOCKA libcmocka-dev cmocka)
endif()
