// The version of the library, of the C++ headers and of the C ABI.
#ifndef SEEDNORM_VERSION_H_
#define SEEDNORM_VERSION_H_

#define SEEDNORM_VERSION_MAJOR 0
#define SEEDNORM_VERSION_MINOR 1
#define SEEDNORM_VERSION_PATCH 0
#define SEEDNORM_VERSION "0.1.0"

#endif  // SEEDNORM_VERSION_H_
