# Installation: headers, both libraries, a CMake package (tlvk::tlvk, tlvk::tlvk_static) and a pkg-config file.
include(CMakePackageConfigHelpers)

install(TARGETS tlvk EXPORT tlvkTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${TLVK_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY engine/include/tlvk DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

string(REPLACE ";" " " TLVK_OPTIONAL_WORDS "${TLVK_OPTIONAL_MODULES}")
set(TLVK_CMAKE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/tlvk)
install(EXPORT tlvkTargets NAMESPACE tlvk:: DESTINATION ${TLVK_CMAKE_FOLDER})
configure_package_config_file(cmake/tlvkConfig.cmake.in ${PROJECT_BINARY_DIR}/tlvkConfig.cmake
  INSTALL_DESTINATION ${TLVK_CMAKE_FOLDER}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tlvkConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tlvkConfig.cmake ${PROJECT_BINARY_DIR}/tlvkConfigVersion.cmake DESTINATION ${TLVK_CMAKE_FOLDER})

configure_file(cmake/tlvk.pc.in ${PROJECT_BINARY_DIR}/tlvk.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tlvk.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
