#include "lab/language/data/tokenize.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/language/data/reader.h"
#include "lab/language/data/shard_writer.h"

namespace seednorm::lab {
namespace {

constexpr size_t kBatchBytes = size_t{1} << 20;

// Workers take batches from the reader in turn, encode them, and write them in the same order.
class Pipeline {
 public:
  Pipeline(RecordReader& reader, ShardWriter& writer, const Tokenizer& tokenizer, const std::string& field,
           const std::function<void(const TokenizeProgress&)>& report)
      : reader_(reader), writer_(writer), tokenizer_(tokenizer), field_(field), report_(report) {}

  void run(int workers) {
    std::vector<std::thread> threads;
    try {
      for (int i = 1; i < workers; ++i) threads.emplace_back([this] { work(); });
    } catch (const std::exception&) {
      // The system has no more threads; the running ones do the same work.
    }
    work();
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

  int64_t empty_documents = 0, altered_documents = 0;

 private:
  struct Batch {
    std::vector<Record> records;
    std::vector<int32_t> ids;  // of all its documents
    std::vector<size_t> ends, text_bytes;
    int64_t altered = 0;
    uint64_t bytes_done = 0;
    int64_t turn = -1;
    std::exception_ptr error;
  };

  void work() {
    try {
      Encoder encoder(tokenizer_);
      Batch batch;
      while (read(batch)) {
        encode(encoder, batch);
        if (!write(batch)) return;
      }
    } catch (...) {  // what is not of a batch: no memory
      stop(std::current_exception());
    }
  }

  bool read(Batch& batch) {
    const std::lock_guard lock(read_mutex_);
    batch.records.clear();
    if (at_end_) return false;
    batch.error = nullptr;
    try {
      check_interrupt();
      Record record;
      for (size_t bytes = 0; bytes < kBatchBytes; bytes += batch.records.back().bytes.size() + 1) {
        if (!reader_.next(record)) {
          at_end_ = true;
          break;
        }
        batch.records.push_back(std::move(record));
      }
      batch.bytes_done = reader_.bytes_done();
    } catch (...) {  // it has its turn like a batch, so that which error is reported does not depend on the
                     // workers
      batch.error = std::current_exception();
      at_end_ = true;
    }
    if (batch.records.empty() && batch.error == nullptr) return false;
    batch.turn = next_read_++;
    return true;
  }

  void encode(Encoder& encoder, Batch& batch) {
    batch.ids.clear();
    batch.ends.clear();
    batch.text_bytes.clear();
    batch.altered = 0;
    try {
      for (Record& record : batch.records) {
        const std::string text = text_of(record, reader_, field_);
        if (encoder.encode(text, batch.ids) > 0) ++batch.altered;
        batch.ends.push_back(batch.ids.size());
        batch.text_bytes.push_back(text.size());
      }
    } catch (...) {
      batch.error = std::current_exception();  // comes before one of the reader's in this batch
    }
  }

  // Returns false if the work has ended early.
  bool write(Batch& batch) {
    std::unique_lock lock(write_mutex_);
    turn_changed_.wait(lock, [&] { return stopped_ || next_write_ == batch.turn; });
    if (stopped_) return false;
    if (batch.error) {
      error_ = batch.error;
      stopped_ = true;
    } else {
      try {
        append(batch);
      } catch (...) {
        error_ = std::current_exception();
        stopped_ = true;
      }
    }
    ++next_write_;
    turn_changed_.notify_all();
    return !stopped_;
  }

  void append(const Batch& batch) {
    size_t begin = 0;
    for (size_t i = 0; i < batch.ends.size(); ++i) {
      const std::span<const int32_t> ids(batch.ids.data() + begin, batch.ends[i] - begin);
      begin = batch.ends[i];
      if (ids.empty()) {
        ++empty_documents;
      } else {
        writer_.add(ids, reader_.files()[batch.records[i].file], batch.text_bytes[i]);
      }
    }
    altered_documents += batch.altered;
    report_({batch.bytes_done, reader_.bytes_total(), writer_.documents(), writer_.tokens(),
             writer_.text_bytes()});
  }

  void stop(std::exception_ptr error) {
    const std::lock_guard lock(write_mutex_);
    if (!stopped_) error_ = std::move(error);
    stopped_ = true;
    turn_changed_.notify_all();
  }

  RecordReader& reader_;
  ShardWriter& writer_;
  const Tokenizer& tokenizer_;
  const std::string& field_;
  const std::function<void(const TokenizeProgress&)>& report_;

  std::mutex read_mutex_;  // of the reader and these
  bool at_end_ = false;
  int64_t next_read_ = 0;

  std::mutex write_mutex_;  // of the writer and these
  std::condition_variable turn_changed_;
  int64_t next_write_ = 0;
  bool stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace

TokenizeResult tokenize(const TokenizeOptions& options, const Tokenizer& tokenizer,
                        const std::function<void(const TokenizeProgress&)>& report) {
  RecordReader reader(expand_inputs(options.inputs));
  NewFolder folder(options.out);
  ShardWriter writer(folder.path(), tokenizer, options.shard_tokens);
  Pipeline pipeline(reader, writer, tokenizer, options.field, report);
  pipeline.run(options.workers);
  check_interrupt();
  TokenizeResult result{writer.finish(), pipeline.empty_documents, pipeline.altered_documents};
  replace_file(folder.path() / kTokenizerFile, tokenizer.json());
  folder.commit();
  return result;
}

}  // namespace seednorm::lab
