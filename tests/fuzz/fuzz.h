// What the fuzz targets share.
#ifndef SEEDNORM_TESTS_FUZZ_FUZZ_H_
#define SEEDNORM_TESTS_FUZZ_FUZZ_H_

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lab/base/error.h"

namespace seednorm::lab {

inline std::string_view bytes_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline void require(bool holds) {
  if (!holds) std::abort();
}

// Runs `read`, which may refuse its input in one line and in no other way.
template <class Read>
int or_one_line(const Read& read) {
  try {
    read();
  } catch (const UserError& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_TESTS_FUZZ_FUZZ_H_
