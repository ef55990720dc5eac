# Writes OUT, a source file with what `git describe` says of SOURCE, if it says something new.
execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty
                OUTPUT_VARIABLE version RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(failed)
  set(version "unknown")
endif()
file(CONFIGURE OUTPUT "${OUT}" CONTENT [[
#include "bench/source_version.h"

const char* const seednorm::bench::kSourceVersion = "@version@";
]] @ONLY)
