#include "lab/train/setting.h"

#include <array>
#include <charconv>
#include <type_traits>

#include "lab/base/error.h"
#include "lab/base/utf8.h"

namespace seednorm::lab {
namespace {

template <class T>
void parse_number(std::string_view value, T& out) {
  // Underscores may separate digits, as in TOML.
  std::string digits;
  for (const char c : value) {
    if (c != '_') digits += c;
  }
  T parsed{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    constexpr const char* kWhat = std::is_integral_v<T> ? "a whole number" : "a number";
    throw UserError(std::string("expected ") + kWhat + ", got " + quote(value));
  }
  out = parsed;
}

// Recipes are written as TOML, which is UTF-8.
void parse_text(std::string_view text, std::string& out) {
  if (valid_utf8_size(text) != text.size()) throw UserError("expected UTF-8, got " + quote(text));
  out = text;
}

template <class T>
std::string number_text(T value) {
  std::array<char, 32> buffer;
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr};
}

template <class T>
std::function<void(std::string_view)> number_setter(T& value) {
  return [&value](std::string_view text) { parse_number(text, value); };
}
template <class T>
std::function<std::string()> number_getter(const T& value) {
  return [&value] { return number_text(value); };
}

void parse_bool(std::string_view text, bool& out) {
  if (text != "true" && text != "false") throw UserError("expected true or false, got " + quote(text));
  out = text == "true";
}

}  // namespace

Setting::Setting(std::string n, std::string h, int64_t& value, Scope s)
    : Setting(std::move(n), std::move(h), number_setter(value), number_getter(value), s) {
  is_text = false;
}

Setting::Setting(std::string n, std::string h, double& value, Scope s)
    : Setting(std::move(n), std::move(h), number_setter(value), number_getter(value), s) {
  is_text = false;
}

Setting::Setting(std::string n, std::string h, bool& value, Scope s)
    : Setting(
          std::move(n), std::move(h), [&value](std::string_view text) { parse_bool(text, value); },
          [&value] { return std::string(value ? "true" : "false"); }, s) {
  is_text = false;
}

Setting::Setting(std::string n, std::string h, std::string& value, Scope s)
    : Setting(
          std::move(n), std::move(h), [&value](std::string_view text) { parse_text(text, value); },
          [&value] { return value; }, s) {}

Setting::Setting(std::string n, std::string h, NormSpec& value, Scope s)
    : Setting(
          std::move(n), std::move(h), [&value](std::string_view text) { value = NormSpec::parse(text); },
          [&value] { return value.text(); }, s) {}

Setting::Setting(std::string n, std::string h, std::function<void(std::string_view)> setter,
                 std::function<std::string()> getter, Scope s)
    : name(std::move(n)),
      help(std::move(h)),
      scope(s),
      is_text(true),
      set(std::move(setter)),
      get(std::move(getter)) {}

}  // namespace seednorm::lab
