// What a program is given to print to.
#ifndef SEEDNORM_LAB_BASE_STANDARD_STREAMS_H_
#define SEEDNORM_LAB_BASE_STANDARD_STREAMS_H_

namespace seednorm::lab {

// Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed, so that no file that is opened later
// becomes the standard output. To be called before anything else is opened.
void open_standard_streams();

// Writes out what was printed. Throws std::runtime_error if any of it was lost since the start, for example
// to a full disk; not if the reader of a pipe has gone away, since it wanted no more.
void flush_standard_output();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_STANDARD_STREAMS_H_
