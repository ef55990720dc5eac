#include "lab/vision/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "lab/base/error.h"
#include "lab/base/permutation.h"

namespace seednorm::lab {
namespace {

// Rows of a step.
struct Request {
  int64_t step, first_row, rows;
  bool operator==(const Request&) const = default;
};

void require(bool holds, const std::string& what) {
  if (!holds) throw UserError("pictures: " + what);
}

}  // namespace

// The workers, and the batches that they make. They take two rows at once, since these are mixed.
class ImageLoader::Pool {
 public:
  explicit Pool(const ImageLoader& loader)
      : loader_(loader), set_(*loader.set_), options_(loader.options_), augment_(options_.augment) {
    for (int i = 0; i < options_.num_workers; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      is_ending_ = true;
    }
    has_work_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  ImageBatch read(const Request& request) {
    std::unique_lock lock(mutex_);
    if (tasks_.empty() || tasks_.front()->request != request) {
      tasks_.clear();  // a worker that is at one of them finishes its rows for nobody
      tasks_.push_back(make_task(request));
    }
    while (tasks_.size() <= static_cast<size_t>(options_.num_ahead)) {
      const Request next = following(tasks_.back()->request);
      if (loader_.index_of(next.step, next.first_row) < 0) break;
      tasks_.push_back(make_task(next));
    }
    has_work_.notify_all();
    const std::shared_ptr<Task> task = tasks_.front();
    is_done_.wait(lock, [&] { return task->rows_done == task->batch.rows(); });
    tasks_.pop_front();
    damaged_.merge(task->damaged);
    lock.unlock();
    if (task->error) std::rethrow_exception(task->error);
    return std::move(task->batch);
  }

  std::vector<std::string> damaged() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& [index, what] : damaged_) out.push_back(what);
    return out;
  }

 private:
  struct Task {
    Request request;
    ImageBatch batch;
    int64_t rows_taken = 0, rows_done = 0;
    std::exception_ptr error;
    int64_t error_row = 0;
    std::map<int64_t, std::string> damaged;  // what was wrong with pictures of the set that were left out
  };

  std::shared_ptr<Task> make_task(const Request& request) const {
    auto task = std::make_shared<Task>();
    task->request = request;
    ImageBatch& batch = task->batch;
    int64_t rows = request.rows;
    while (rows > 0 && loader_.index_of(request.step, request.first_row + rows - 1) < 0) --rows;
    const int size = batch.size = options_.augment.size;
    batch.pixels.resize(rows * size * size * 3);
    batch.labels.resize(rows);
    batch.indices.resize(rows);
    if (!options_.is_training) return task;
    batch.targets.resize(rows * set_.classes().size());
    Draws draws(options_.seed, DrawsFor::kMix, request.step, 0);
    batch.mix = draw_mix(options_.mix, size, size, draws);
    return task;
  }

  Request following(const Request& request) const {
    const int64_t next = request.first_row + request.rows, end = options_.first_row + options_.num_rows;
    if (next < end) return {request.step, next, std::min(options_.rows_at_once, end - next)};
    return {request.step + 1, options_.first_row, std::min(options_.rows_at_once, options_.num_rows)};
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto open = [](const std::shared_ptr<Task>& task) {
        return task->rows_taken < task->batch.rows();
      };
      auto found = tasks_.end();
      has_work_.wait(lock, [&] {
        found = std::find_if(tasks_.begin(), tasks_.end(), open);
        return is_ending_ || found != tasks_.end();
      });
      if (is_ending_) return;
      const std::shared_ptr<Task> task = *found;
      const int64_t row = task->rows_taken, rows = std::min<int64_t>(2, task->batch.rows() - row);
      task->rows_taken += rows;
      lock.unlock();
      std::exception_ptr error;
      try {
        make_rows(*task, row, rows);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && (!task->error || row < task->error_row)) {
        task->error = error;
        task->error_row = row;
      }
      task->rows_done += rows;
      if (task->rows_done == task->batch.rows()) is_done_.notify_all();
    }
  }

  std::span<float> pixels_of(ImageBatch& batch, int64_t row) const {
    const size_t size = size_t(batch.size) * batch.size * 3;
    return std::span(batch.pixels).subspan(row * size, size);
  }

  void make_rows(Task& task, int64_t row, int64_t rows) {
    for (int64_t i = row; i < row + rows; ++i) make_row(task, i);
    if (!options_.is_training) return;
    ImageBatch& batch = task.batch;
    const double lambda = batch.mix.lambda;
    if (lambda != 1) mix_pair(batch.mix, batch.size, pixels_of(batch, row), pixels_of(batch, row + 1));
    const size_t classes = set_.classes().size();
    for (int64_t i = row; i < row + rows; ++i) {
      const int64_t other = lambda != 1 ? (i == row ? row + 1 : row) : i;
      mix_targets(lambda, options_.smoothing, batch.labels[i], batch.labels[other],
                  std::span(batch.targets).subspan(i * classes, classes));
    }
  }

  void make_row(Task& task, int64_t row) {
    ImageBatch& batch = task.batch;
    const int64_t row_of_step = task.request.first_row + row,
                  wanted = loader_.index_of(task.request.step, row_of_step);
    for (int64_t tries = 0; tries < set_.size(); ++tries) {
      const int64_t index = (wanted + tries) % set_.size();
      batch.indices[row] = index;
      batch.labels[row] = set_.label(index);
      try {
        const Augment::Key key{options_.seed, static_cast<uint64_t>(task.request.step),
                               static_cast<uint64_t>(row_of_step)};
        augment_.numbers(set_, index, key, pixels_of(batch, row));
        return;
      } catch (const DamagedImage& error) {
        if (!options_.skip_damaged) {
          throw DamagedImage(std::string(error.what()) + "; " + options_.skip_option +
                             " leaves out pictures that cannot be read");
        }
        const std::lock_guard lock(mutex_);
        task.damaged.emplace(index, error.what());
      }
      if (options_.is_training) continue;
      batch.labels[row] = -1;
      return;
    }
    throw UserError("pictures: every picture of the set is damaged");
  }

  const ImageLoader& loader_;
  const ImageSet& set_;
  const LoaderOptions& options_;
  const Augment augment_;

  mutable std::mutex mutex_;
  std::condition_variable has_work_, is_done_;
  std::deque<std::shared_ptr<Task>> tasks_;  // in the order in which they will be asked for
  bool is_ending_ = false;

  std::map<int64_t, std::string> damaged_;  // of all batches that were read
  std::vector<std::thread> workers_;
};

ImageLoader::ImageLoader(const ImageSet& set, const LoaderOptions& options) : set_(&set), options_(options) {
  LoaderOptions& o = options_;
  require(o.batch_size >= 1, "expected at least one in a batch");
  require(o.num_workers >= 1 && o.num_workers <= 1024, "expected 1 to 1024 workers");
  require(o.num_ahead >= 0, "expected 0 or more batches ahead");
  require(o.smoothing >= 0 && o.smoothing < 1, "expected a label smoothing from 0 to below 1");
  if (o.num_rows == 0) o.num_rows = o.batch_size;
  if (o.rows_at_once == 0) o.rows_at_once = o.num_rows;
  require(o.first_row >= 0 && o.first_row + o.num_rows <= o.batch_size,
          "the rows of this process lie outside of the batch");
  if (o.is_training && o.mix.is_on()) {
    require(o.first_row % 2 == 0 && o.num_rows % 2 == 0 && o.rows_at_once % 2 == 0,
            "mixup and CutMix need an even number in each batch and micro-batch");
  }
  pool_ = std::make_unique<Pool>(*this);
}

ImageLoader::~ImageLoader() = default;

int64_t ImageLoader::index_of(int64_t step, int64_t row) const {
  const int64_t position = step * options_.batch_size + row, size = set_->size();
  if (!options_.is_training) return position < size ? position : -1;
  const Permutation order(size, options_.seed, position / size);
  return static_cast<int64_t>(order(position % size));
}

ImageBatch ImageLoader::read(int64_t step, int64_t first_row, int64_t rows) {
  require(step >= 0 && first_row >= 0 && rows >= 0 && first_row + rows <= options_.batch_size,
          "rows outside of the batch were asked for");
  if (options_.is_training && options_.mix.is_on()) {
    require(first_row % 2 == 0 && rows % 2 == 0,
            "mixup and CutMix need an even number in each batch and micro-batch");
  }
  return pool_->read({step, first_row, rows});
}

ImageBatch ImageLoader::read(int64_t step) { return read(step, options_.first_row, options_.num_rows); }

std::vector<std::string> ImageLoader::damaged() const { return pool_->damaged(); }

}  // namespace seednorm::lab
