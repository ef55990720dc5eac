# CUDA, for core/cuda: the compiler, and which GPUs to compile for.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  # A100; RTX 30; L4, RTX 40; H100, H200; B200; RTX 50. Set before the compiler is checked, since CMake would try an
  # architecture that newer compilers no longer support.
  set(CMAKE_CUDA_ARCHITECTURES 80 86 89 90 100 120 CACHE STRING "GPUs to compile for")
endif()
enable_language(CUDA)
# CMake 3.25 does not know nvcc's option for C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
find_package(CUDAToolkit REQUIRED)
