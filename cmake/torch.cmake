# seednorm_libtorch: the libtorch of the Python package torch, for sources of the lab. find_package(Torch) would add
# compile options and a search for CUDA, which are not needed here.
set(SEEDNORM_TORCH_DIR "" CACHE STRING
    "Folder of the Python package torch, or a pattern of it; empty: build/venv's, or the one that Python finds")
# The versions that the sources are compiled against.
set(seednorm_torch_versions 2.13 2.14)
if(SEEDNORM_TORCH_DIR)
  file(GLOB seednorm_torch_dir "${SEEDNORM_TORCH_DIR}")
  if(NOT seednorm_torch_dir)
    message(FATAL_ERROR "SEEDNORM_TORCH_DIR: there is no folder ${SEEDNORM_TORCH_DIR}; script/setup-torch --cuda makes the one of "
                        "the preset lab-cuda")
  endif()
else()
  file(GLOB seednorm_torch_dir "${PROJECT_SOURCE_DIR}/build/venv/lib/python3*/site-packages/torch")
endif()
if(NOT seednorm_torch_dir)
  find_package(Python3 COMPONENTS Interpreter REQUIRED)
  # Finds torch without importing it, which would take seconds.
  execute_process(COMMAND "${Python3_EXECUTABLE}" -c
                          "import importlib.util; print(*importlib.util.find_spec('torch').submodule_search_locations)"
                  OUTPUT_VARIABLE seednorm_torch_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT EXISTS "${seednorm_torch_dir}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "The lab needs PyTorch 2.13 or 2.14: run script/setup-torch, or set SEEDNORM_TORCH_DIR")
endif()
file(STRINGS "${seednorm_torch_dir}/version.py" seednorm_torch_version REGEX "^__version__ = ")
string(REGEX MATCH "[0-9]+\\.[0-9]+" seednorm_torch_version "${seednorm_torch_version}")
if(NOT seednorm_torch_version IN_LIST seednorm_torch_versions)
  list(JOIN seednorm_torch_versions " and " versions)
  message(WARNING "The lab is written for PyTorch ${versions}; ${seednorm_torch_dir} is ${seednorm_torch_version}")
endif()

add_library(seednorm_libtorch INTERFACE)
# Comes after all others, because the folder has copies of other libraries' headers (fmt, protobuf).
target_compile_options(seednorm_libtorch INTERFACE "SHELL:-idirafter ${seednorm_torch_dir}/include"
                       "SHELL:-idirafter ${seednorm_torch_dir}/include/torch/csrc/api/include")
# The OpenMP library that libtorch itself uses, under whatever name the package has it; lab/nn/cpu/one_thread.cc talks to it.
file(GLOB seednorm_torch_openmp "${seednorm_torch_dir}/lib/libgomp*.so*" "${seednorm_torch_dir}/../torch.libs/libgomp*.so*")
if(NOT seednorm_torch_openmp)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  set(seednorm_torch_openmp OpenMP::OpenMP_CXX)
endif()
# libtorch's operators for GPUs are in libraries of which no symbol is used; a linker may leave such out if it is not told.
if(EXISTS "${seednorm_torch_dir}/lib/libtorch_cuda.so")
  target_link_options(seednorm_libtorch INTERFACE "LINKER:--no-as-needed,${seednorm_torch_dir}/lib/libtorch_cuda.so,--as-needed")
endif()
target_link_libraries(seednorm_libtorch INTERFACE "${seednorm_torch_dir}/lib/libtorch.so"
                      "${seednorm_torch_dir}/lib/libtorch_cpu.so" "${seednorm_torch_dir}/lib/libc10.so" ${seednorm_torch_openmp})
