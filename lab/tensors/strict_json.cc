#include "lab/tensors/strict_json.h"

#include <set>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/json_field.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::json;

// Checks the structure of a text without keeping its values.
class Structure : public nlohmann::json_sax<Json> {
 public:
  explicit Structure(const std::string& file) : file_(file) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) throw UserError(file_ + ": has the key " + quote(name) + " twice");
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool open() {
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const std::string& file_;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

Json parse_strict_json(std::string_view text, const std::string& file, int max_depth) {
  Json json = parse_json(text, file, max_depth);
  Structure structure(file);
  (void)Json::sax_parse(text, &structure);
  return json;
}

}  // namespace seednorm::lab
