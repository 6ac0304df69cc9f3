# Toolchain for Windows (x86-64) on Linux, by MinGW-w64. $TLVK_CROSS_PREFIX is a folder with include/ and lib/ of what the library needs, made for Windows;
# tests/lanes/mingw.sh makes one. Programs are linked with MinGW's own libraries inside, so that they run without any.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -static)

set(TLVK_CROSS_PREFIX "$ENV{TLVK_CROSS_PREFIX}" CACHE PATH "What the library needs, made for Windows")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TLVK_CROSS_PREFIX)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32 ${TLVK_CROSS_PREFIX})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${TLVK_CROSS_PREFIX}/lib/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "")
set(CMAKE_CROSSCOMPILING_EMULATOR wine)
