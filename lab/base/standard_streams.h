// The standard streams of the program.
#ifndef SEEDNORM_LAB_BASE_STANDARD_STREAMS_H_
#define SEEDNORM_LAB_BASE_STANDARD_STREAMS_H_

namespace seednorm::lab {

// Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed, so that no file that is opened later
// becomes the standard output. Must be called before anything else is opened.
void open_standard_streams();

// Flushes the standard output. Throws std::runtime_error if any output since the start was lost, for example
// because the disk is full, but not if the reader of a pipe has closed it.
void flush_standard_output();

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_STANDARD_STREAMS_H_
