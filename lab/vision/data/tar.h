// The members of tar archives, found without unpacking: USTAR, pax and GNU's long names.
#ifndef SEEDNORM_LAB_VISION_DATA_TAR_H_
#define SEEDNORM_LAB_VISION_DATA_TAR_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

struct TarMember {
  std::string name;
  uint64_t offset, size;  // of its bytes in the archive
};

// The regular files of an archive, in its order. `file` stands in errors. Throws UserError if the bytes are
// no tar archive, end early (an archive without its closing blocks was cut off), go on after the end, or have
// sparse members.
std::vector<TarMember> parse_tar(std::string_view bytes, const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_TAR_H_
