# seednorm_simd: Highway, and the instruction sets that this build makes kernels for. Everything that
# includes Highway links this target: were the list not the same in all files, their dispatch tables
# would have different indices.

if(TARGET hwy AND NOT TARGET hwy::hwy)
  add_library(hwy::hwy ALIAS hwy)  # the parent project builds Highway
elseif(NOT TARGET hwy::hwy AND SEEDNORM_HIGHWAY_DIR)
  foreach(part CONTRIB EXAMPLES TESTS)
    set(HWY_ENABLE_${part} OFF CACHE BOOL "Highway: not needed here")
  endforeach()
  add_subdirectory("${SEEDNORM_HIGHWAY_DIR}" "${CMAKE_BINARY_DIR}/highway" SYSTEM)
  if(NOT TARGET hwy::hwy)
    add_library(hwy::hwy ALIAS hwy)
  endif()
elseif(NOT TARGET hwy::hwy)
  find_package(hwy 1.0.3 REQUIRED GLOBAL)
endif()

# SSSE3:         machines that have it and not SSE4 are rare by now; one target less to compile.
# AVX3_DL:       adds nothing over AVX3 that the kernels use.
# SVE, RVV:      the kernels keep arrays of vectors, which types without a fixed size do not allow.
# WASM:          not tested.
# All these names exist in Highway 1.0.3 and in the newest one (1.3).
set(seednorm_disabled_targets HWY_SSSE3 HWY_AVX3_DL HWY_SVE HWY_SVE2 HWY_SVE_256 HWY_SVE2_128 HWY_RVV HWY_WASM
    HWY_WASM_EMU256)
set(SEEDNORM_DISABLE_SIMD "" CACHE STRING "More of Highway's targets to leave out, as in HWY_SSE4;HWY_AVX3")
list(APPEND seednorm_disabled_targets ${SEEDNORM_DISABLE_SIMD})
list(JOIN seednorm_disabled_targets "|" seednorm_disabled_targets)

add_library(seednorm_simd INTERFACE)
target_link_libraries(seednorm_simd INTERFACE hwy::hwy)
target_compile_definitions(seednorm_simd INTERFACE "HWY_DISABLED_TARGETS=(${seednorm_disabled_targets})")
# On 64-bit Arm NEON is the baseline and the only target, so nothing needs to be chosen at run time. By this
# definition Highway leaves out the function attributes for it. With them GCC refuses structs of vectors: their
# implicit constructors do not get the attributes, and then may not inline the vectors' own.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  target_compile_definitions(seednorm_simd INTERFACE TOOLCHAIN_MISS_SYS_AUXV_H)
endif()
