// The streaming loop, included by limit.cc once for each instruction set, in a namespace that has
// Line, load_line, xor_lines, store_line, stream_line, fence; SEEDNORM_BENCH_TARGET is the attribute.

template <int kSources, Shape kShape>
SEEDNORM_BENCH_TARGET void move(const char* a, const char* b, char* out, size_t bytes) {
  constexpr size_t kGroupBytes = kShape.pages * kPageBytes;
  const size_t whole = bytes / kGroupBytes * kGroupBytes;
  for (size_t group = 0; group < whole; group += kGroupBytes) {
    for (size_t at = group; at < group + kPageBytes; at += kShape.lines * kLineBytes) {
      Line lines[kShape.pages * kShape.lines];
#pragma GCC unroll 16
      for (int i = 0; i < kShape.pages * kShape.lines; ++i) {
        const size_t offset = at + i / kShape.lines * kPageBytes + i % kShape.lines * kLineBytes;
        if constexpr (kShape.ahead == Ahead::kL2) {
          __builtin_prefetch(a + offset + kShape.distance, 0, 2);
          if constexpr (kSources == 2) __builtin_prefetch(b + offset + kShape.distance, 0, 2);
        }
        if constexpr (kShape.ahead == Ahead::kWrite) __builtin_prefetch(out + offset + kShape.distance, 1, 3);
        lines[i] = load_line(a + offset);
        if constexpr (kSources == 2) lines[i] = xor_lines(lines[i], load_line(b + offset));
      }
#pragma GCC unroll 16
      for (int i = 0; i < kShape.pages * kShape.lines; ++i) {
        const size_t offset = at + i / kShape.lines * kPageBytes + i % kShape.lines * kLineBytes;
        if constexpr (kShape.non_temporal) {
          stream_line(lines[i], out + offset);
        } else {
          store_line(lines[i], out + offset);
        }
      }
    }
  }
  for (size_t offset = whole; offset < bytes; offset += kLineBytes) {
    Line line = load_line(a + offset);
    if constexpr (kSources == 2) line = xor_lines(line, load_line(b + offset));
    store_line(line, out + offset);
  }
  if constexpr (kShape.non_temporal) fence();
}

// One entry for each of kShapes.
template <int kSources, size_t... kI>
std::vector<Stream> list(const char* target, std::index_sequence<kI...>) {
  return {Stream{name_of(target, kShapes[kI]), !kShapes[kI].non_temporal, move<kSources, kShapes[kI]>}...};
}
