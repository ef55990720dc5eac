// The sequence of versions of a row-wise forward pass that led to core/cpu/row_engine-inl.h.
//
//   1 one row at a time: a pass for the sums, a pass for the output
//   2 four rows at a time: every load of a parameter serves four rows
//   3 like 2, but the second pass prefetches the next four rows
//   4 fused: the sweep that normalizes four rows also sums the next four
//   5 like 4, with the activation and the root of four rows in one vector instead of the C library's tanh
//   6 like 5, but the sweep prefetches 1 KB ahead in the stream into the first-level cache
//   7 like 6, but into the second-level cache
//   8 like 7, with a prefetch 512 bytes ahead from there into the first-level cache
// Each version runs for RMSNorm and for SeeDNorm with one head, in float32 with non-temporal stores, beside
// copies of the same bytes.
//
// g++ -O2 -std=c++20 -march=x86-64-v4 experiments/forward_ladder.cc -o /tmp/ladder -pthread && /tmp/ladder
// [width] [MB] [rounds]
// Result: version 8 became the engine. Needs AVX-512; findings in docs/notes/cpu_kernels.md.
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using V = __m512;
constexpr int64_t kLanes = 16;
constexpr int kRows = 4;

int64_t dim = 2048, num_rows = 0;
float *x, *y, *gamma_, *alpha, *beta;

enum Prefetch { kNone, kL1, kL2 };

template <Prefetch kTo>
void prefetch(const float* p) {
  if constexpr (kTo == kL1) _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  if constexpr (kTo == kL2) _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}

struct Sums {
  V squares = _mm512_setzero_ps(), dot = _mm512_setzero_ps();
};
struct Scalars {
  V scale, u;
};

template <int R, bool kSeed>
void reduce(const float* rows, Sums* sums) {
  for (int i = 0; i < R; ++i) sums[i] = Sums();
  for (int64_t c = 0; c < dim; c += kLanes) {
    const V b = kSeed ? _mm512_loadu_ps(beta + c) : _mm512_setzero_ps();
    for (int i = 0; i < R; ++i) {
      const V v = _mm512_loadu_ps(rows + i * dim + c);
      sums[i].squares = _mm512_fmadd_ps(v, v, sums[i].squares);
      if (kSeed) sums[i].dot = _mm512_fmadd_ps(v, b, sums[i].dot);
    }
  }
}

template <int R, bool kSeed>
void finish(const Sums* sums, Scalars* out) {
  for (int i = 0; i < R; ++i) {
    const float mean = _mm512_reduce_add_ps(sums[i].squares) / static_cast<float>(dim);
    out[i].scale = _mm512_set1_ps(1 / std::sqrt(mean + 1e-6f));
    if (kSeed) out[i].u = _mm512_set1_ps(std::tanh(_mm512_reduce_add_ps(sums[i].dot)));
  }
}

// Lane sums of four vectors at once.
__m128 sum4(V a, V b, V c, V d) {
  const auto halves = [](V p, V q) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(p, q, 0x44), _mm512_shuffle_f32x4(p, q, 0xEE));
  };
  const V ab = halves(a, b), cd = halves(c, d);
  V t = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  t = _mm512_add_ps(t, _mm512_shuffle_ps(t, t, 0xB1));
  t = _mm512_add_ps(t, _mm512_shuffle_ps(t, t, 0x4E));
  const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_castps512_ps128(_mm512_permutexvar_ps(first, t));
}

// x (27 + x^2) / (27 + 9 x^2), clamped: of tanh's cost, not of its accuracy.
__m128 cheap_tanh(__m128 v) {
  v = _mm_min_ps(_mm_max_ps(v, _mm_set1_ps(-3)), _mm_set1_ps(3));
  const __m128 s = _mm_mul_ps(v, v), k27 = _mm_set1_ps(27);
  return _mm_div_ps(_mm_mul_ps(v, _mm_add_ps(k27, s)), _mm_fmadd_ps(_mm_set1_ps(9), s, k27));
}

template <bool kSeed>
void finish_vector(const Sums* s, Scalars* out) {
  alignas(16) float scale[4], u[4] = {};
  const __m128 mean = _mm_div_ps(sum4(s[0].squares, s[1].squares, s[2].squares, s[3].squares),
                                 _mm_set1_ps(static_cast<float>(dim)));
  _mm_store_ps(scale, _mm_div_ps(_mm_set1_ps(1), _mm_sqrt_ps(_mm_add_ps(mean, _mm_set1_ps(1e-6f)))));
  if (kSeed) _mm_store_ps(u, cheap_tanh(sum4(s[0].dot, s[1].dot, s[2].dot, s[3].dot)));
  for (int i = 0; i < 4; ++i) out[i] = {_mm512_set1_ps(scale[i]), _mm512_set1_ps(u[i])};
}

template <bool kSeed>
V map(V v, const Scalars& s, V g, V a) {
  const V gain = kSeed ? _mm512_fmadd_ps(s.u, a, g) : g;
  return _mm512_mul_ps(gain, _mm512_mul_ps(v, s.scale));
}

// Versions 1 to 3.
template <int R, bool kSeed, Prefetch kTo>
void two_passes(int64_t begin, int64_t end) {
  Sums sums[R];
  Scalars scalars[R];
  for (int64_t r = begin; r + R <= end; r += R) {
    const float* in = x + r * dim;
    reduce<R, kSeed>(in, sums);
    finish<R, kSeed>(sums, scalars);
    for (int64_t c = 0; c < dim; c += kLanes) {
      const V g = _mm512_loadu_ps(gamma_ + c), a = kSeed ? _mm512_loadu_ps(alpha + c) : g;
      for (int i = 0; i < R; ++i) {
        prefetch<kTo>(in + (R + i) * dim + c);
        _mm512_stream_ps(y + (r + i) * dim + c,
                         map<kSeed>(_mm512_loadu_ps(in + i * dim + c), scalars[i], g, a));
      }
    }
  }
}

// Versions 4 to 8.
template <bool kSeed, bool kVectorFinish, Prefetch kTo, bool kNear = false>
void fused(int64_t begin, int64_t end) {
  constexpr int R = kRows;
  constexpr int64_t kAhead = 1024 / sizeof(float), kNearAhead = 512 / sizeof(float);
  Sums sums[R];
  Scalars scalars[R];
  reduce<R, kSeed>(x + begin * dim, sums);
  for (int64_t r = begin; r + R <= end; r += R) {
    kVectorFinish ? finish_vector<kSeed>(sums, scalars) : finish<R, kSeed>(sums, scalars);
    const float* in = x + r * dim;
    const float* next = r + 2 * R <= end ? in + R * dim : in;
    const float* after = r + 3 * R <= end ? next + R * dim : next;
    for (int i = 0; i < R; ++i) sums[i] = Sums();
    for (int64_t c = 0; c < dim; c += kLanes) {
      const V g = _mm512_loadu_ps(gamma_ + c), a = kSeed ? _mm512_loadu_ps(alpha + c) : g;
      const V b = kSeed ? _mm512_loadu_ps(beta + c) : g;
      const float* far = c + kAhead < dim ? next + c + kAhead : after + (c + kAhead - dim) % dim;
      for (int i = 0; i < R; ++i) {
        prefetch<kTo>(far + i * dim);
        if (kNear) {
          prefetch<kL1>(next + i * dim + c + kNearAhead);
          prefetch<kL1>(in + i * dim + c + kNearAhead);
        }
        _mm512_stream_ps(y + (r + i) * dim + c,
                         map<kSeed>(_mm512_loadu_ps(in + i * dim + c), scalars[i], g, a));
        const V v = _mm512_loadu_ps(next + i * dim + c);
        sums[i].squares = _mm512_fmadd_ps(v, v, sums[i].squares);
        if (kSeed) sums[i].dot = _mm512_fmadd_ps(v, b, sums[i].dot);
      }
    }
  }
}

void copy_libc(int64_t begin, int64_t end) {
  std::memcpy(y + begin * dim, x + begin * dim, (end - begin) * dim * sizeof(float));
}
template <Prefetch kTo>
void copy_stream(int64_t begin, int64_t end) {
  const int64_t n = (end - begin) * dim;
  const float* in = x + begin * dim;
  for (int64_t i = 0; i < n; i += kLanes) {
    prefetch<kTo>(in + i + 8192 / sizeof(float));
    _mm512_stream_ps(y + begin * dim + i, _mm512_loadu_ps(in + i));
  }
}

using Kernel = void (*)(int64_t, int64_t);
struct Variant {
  const char* name;
  Kernel kernel;
  std::vector<double> seconds;
};

// Two threads, each with half of the rows.
class Pair {
 public:
  Pair() : other_([this] { work(); }) {}
  ~Pair() {
    kernel_ = nullptr;
    ++started_;
    other_.join();
  }
  double time(Kernel kernel) {
    const auto begin = std::chrono::steady_clock::now();
    kernel_ = kernel;
    const int64_t ticket = ++started_;
    kernel(0, num_rows / 2);
    while (finished_ != ticket) _mm_pause();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  void work() {
    for (int64_t seen = 0;; ++seen) {
      while (started_ == seen) _mm_pause();
      if (kernel_ == nullptr) return;
      kernel_.load()(num_rows / 2, num_rows);
      ++finished_;
    }
  }
  std::atomic<Kernel> kernel_{nullptr};
  std::atomic<int64_t> started_{0}, finished_{0};
  std::thread other_;
};

float* allocate(size_t elements) {
  void* p =
      mmap(nullptr, elements * sizeof(float), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(p, elements * sizeof(float), MADV_HUGEPAGE);
  return static_cast<float*>(p);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) dim = std::atoll(argv[1]);
  const double mb = argc > 2 ? std::atof(argv[2]) : 268;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 15;
  num_rows = static_cast<int64_t>(mb * 1e6 / 4 / static_cast<double>(dim)) / 64 * 64;
  const size_t elements = static_cast<size_t>(num_rows * dim);
  x = allocate(elements + 16 * dim), y = allocate(elements);
  gamma_ = allocate(dim), alpha = allocate(dim), beta = allocate(dim);
  for (size_t i = 0; i < elements; ++i) x[i] = static_cast<float>((i * 2654435761u >> 8) % 1000) / 500.f - 1;
  for (int64_t i = 0; i < dim; ++i)
    gamma_[i] = 1, alpha[i] = 0.5f, beta[i] = 0.01f * static_cast<float>(i % 13 - 6);
  std::memset(y, 0, elements * sizeof(float));

  constexpr size_t kCopies = 3;
  std::vector<Variant> variants = {
      {"copy: memcpy", copy_libc, {}},
      {"copy: stream", copy_stream<kNone>, {}},
      {"copy: stream, L2 prefetch", copy_stream<kL2>, {}},
      {"rms 1 row, two passes", two_passes<1, false, kNone>, {}},
      {"rms 2 four rows", two_passes<4, false, kNone>, {}},
      {"rms 3 prefetch", two_passes<4, false, kL1>, {}},
      {"rms 4 fused", fused<false, false, kNone>, {}},
      {"rms 5 vector finish", fused<false, true, kNone>, {}},
      {"rms 6 prefetch L1", fused<false, true, kL1>, {}},
      {"rms 7 prefetch L2", fused<false, true, kL2>, {}},
      {"rms 8 and near", fused<false, true, kL2, true>, {}},
      {"seed 1 row, two passes", two_passes<1, true, kNone>, {}},
      {"seed 2 four rows", two_passes<4, true, kNone>, {}},
      {"seed 3 prefetch", two_passes<4, true, kL1>, {}},
      {"seed 4 fused", fused<true, false, kNone>, {}},
      {"seed 5 vector finish", fused<true, true, kNone>, {}},
      {"seed 6 prefetch L1", fused<true, true, kL1>, {}},
      {"seed 7 prefetch L2", fused<true, true, kL2>, {}},
      {"seed 8 and near", fused<true, true, kL2, true>, {}},
  };
  Pair pair;
  for (int round = 0; round <= rounds; ++round) {  // the first does not count
    for (Variant& v : variants) {
      const double t = pair.time(v.kernel);
      if (round > 0) v.seconds.push_back(t);
    }
  }
  double limit = 1e9;
  for (size_t i = 0; i < kCopies; ++i) limit = std::min(limit, median(variants[i].seconds));
  std::printf("width %lld, %lld rows, %.0f MB a tensor, 2 threads, median of %d rounds\n",
              static_cast<long long>(dim), static_cast<long long>(num_rows),
              static_cast<double>(elements) * 4 / 1e6, rounds);
  for (const Variant& v : variants) {
    const double t = median(v.seconds);
    std::printf("%-26s %8.3f ms %6.1f GB/s  %.3f of the fastest copy\n", v.name, t * 1e3,
                8 * static_cast<double>(elements) / t / 1e9, limit / t);
  }
}
