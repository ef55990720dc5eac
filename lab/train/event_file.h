// The file of scalars by step that TensorBoard reads.
//
// Records of TFRecord (length, masked CRC-32C of it, data, masked CRC-32C of the data) that hold
// tensorflow.Event messages (tensorflow/core/util/event.proto, framework/summary.proto). Only a few of
// their fields are needed.
#ifndef SEEDNORM_LAB_TRAIN_EVENT_FILE_H_
#define SEEDNORM_LAB_TRAIN_EVENT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace seednorm::lab {

// Its name in a run's directory; TensorBoard looks for "tfevents" in names.
inline constexpr const char* kEventFile = "events.out.tfevents.seednorm";

// The first record of every file.
std::string event_file_begin(double wall_time);
// Reads the time from the first record of a file, given at least its first kEventHeadBytes bytes.
inline constexpr size_t kEventHeadBytes = 21;
double event_time(std::string_view head);

// One record: the scalars of a step. wall_time: seconds since 1970.
std::string event_record(double wall_time, int64_t step,
                         const std::vector<std::pair<std::string, double>>& scalars);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_EVENT_FILE_H_
