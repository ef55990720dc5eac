// The whole C++ surface of seednorm's core.
#ifndef SEEDNORM_SEEDNORM_H_
#define SEEDNORM_SEEDNORM_H_

#include "seednorm/dtype.h"     // IWYU pragma: export
#include "seednorm/norm.h"      // IWYU pragma: export
#include "seednorm/parallel.h"  // IWYU pragma: export
#include "seednorm/simd.h"      // IWYU pragma: export
#include "seednorm/version.h"   // IWYU pragma: export

#endif  // SEEDNORM_SEEDNORM_H_
