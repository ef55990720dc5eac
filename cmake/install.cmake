# `cmake --install`: library, headers, CMake package and pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/seednorm")
get_target_property(seednorm_library_type seednorm TYPE)

install(TARGETS seednorm EXPORT seednorm_targets FILE_SET HEADERS)
if(SEEDNORM_BUILD_CUDA)
  install(TARGETS seednorm_cuda EXPORT seednorm_targets)
endif()
install(EXPORT seednorm_targets NAMESPACE seednorm:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/seednormConfig.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/seednormConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
# Until 1.0 a minor version may change the interface.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/seednormConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/seednormConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/seednormConfigVersion.cmake"
        DESTINATION "${package_dir}")

# pkg-config: a static library lists its own dependencies, so that one command serves both kinds.
if(seednorm_library_type STREQUAL "STATIC_LIBRARY")
  set(seednorm_pc_requires libhwy)
  set(seednorm_pc_libs "-pthread -lstdc++ -lm")
endif()
file(RELATIVE_PATH seednorm_pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/seednorm.pc.in "${CMAKE_CURRENT_BINARY_DIR}/seednorm.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/seednorm.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
