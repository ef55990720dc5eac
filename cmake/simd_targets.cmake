# seednorm_simd: Highway, and the instruction sets for which this build makes kernels. Everything that
# includes Highway must link this target: with different lists, the dispatch tables of the files would have
# different indices.

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

# SSSE3:         machines that have it but not SSE4 are rare by now, and a target takes time to compile.
# AVX3_DL:       has no instructions beyond AVX3 that the kernels use.
# SVE, RVV:      the kernels use arrays of vectors, which is not possible with types without a fixed size.
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
# On 64-bit Arm NEON is the baseline and the only target, so nothing needs to be selected at run time. With this
# definition Highway leaves out the function attributes for it. With the attributes GCC refuses structs of vectors:
# their implicit constructors do not get the attributes, and must then not inline the vectors' own.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  target_compile_definitions(seednorm_simd INTERFACE TOOLCHAIN_MISS_SYS_AUXV_H)
endif()
