# Precompiled headers. A source that includes libtorch spends 13 of its 16 seconds parsing it, and one that includes
# nlohmann/json 2 of 3 seconds; reading the same headers precompiled takes a second.
#
# seednorm_precompile(KIND TARGET...): the targets' sources start with the headers of
#   plain  the standard library and JSON
#   torch  those, and libtorch
# Tests begin with GoogleTest as well. GCC uses a precompiled header only for code with the same compile options, so programs
# (-fPIE) and libraries (-fPIC) have separate ones.
set(seednorm_plain_headers <algorithm> <cmath> <cstdio> <filesystem> <fstream> <functional> <map> <memory> <optional> <set>
    <span> <stdexcept> <string> <string_view> <utility> <vector> <nlohmann/json.hpp>)
set(seednorm_torch_headers ${seednorm_plain_headers} <ATen/Functions.h> <ATen/Parallel.h> <ATen/TensorOperators.h>
    <torch/csrc/autograd/autograd.h> <torch/csrc/autograd/custom_function.h> <torch/nn/module.h>)

# ccache needs to see the use of the header in the preprocessed text.
set(seednorm_precompiled_options $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)

function(seednorm_add_precompiled kind use)
  set(source "${CMAKE_BINARY_DIR}/precompiled_${kind}_${use}.cc")
  if(NOT EXISTS "${source}")
    file(WRITE "${source}" "// Owns the precompiled header.\n")
  endif()
  set(target seednorm_precompiled_${kind}_${use})
  add_library(${target} OBJECT EXCLUDE_FROM_ALL "${source}")
  target_link_libraries(${target} PRIVATE nlohmann_json::nlohmann_json)
  if(kind STREQUAL "torch")
    target_link_libraries(${target} PRIVATE seednorm_libtorch)
  endif()
  set(headers ${seednorm_${kind}_headers})
  if(use STREQUAL "tests")
    target_link_libraries(${target} PRIVATE GTest::gtest)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIE)
    list(APPEND headers <gtest/gtest.h>)
  endif()
  target_compile_options(${target} PRIVATE ${seednorm_precompiled_options})
  target_precompile_headers(${target} PRIVATE ${headers})
endfunction()

function(seednorm_precompile kind)
  foreach(target IN LISTS ARGN)
    get_target_property(type ${target} TYPE)
    set(use libraries)
    if(type STREQUAL "EXECUTABLE")
      set(use tests)
    endif()
    if(NOT TARGET seednorm_precompiled_${kind}_${use})
      seednorm_add_precompiled(${kind} ${use})
    endif()
    target_compile_options(${target} PRIVATE ${seednorm_precompiled_options})
    target_precompile_headers(${target} REUSE_FROM seednorm_precompiled_${kind}_${use})
  endforeach()
endfunction()
