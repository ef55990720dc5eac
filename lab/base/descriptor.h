// A file descriptor that is closed at the end of its scope.
#ifndef SEEDNORM_LAB_BASE_DESCRIPTOR_H_
#define SEEDNORM_LAB_BASE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace seednorm::lab {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int file) : file_(file) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }

  int get() const { return file_; }  // -1 if nothing is open
  void reset() {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
  }

 private:
  int file_ = -1;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_DESCRIPTOR_H_
