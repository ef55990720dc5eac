#include "lab/vision/data/decode.h"

#include <gtest/gtest.h>

#include "tests/lab/support.h"
#include "tests/lab/vision/data/pictures.h"

namespace seednorm::lab {
namespace {

std::string error_of(const std::string& bytes, const DecodeOptions& options = {}) {
  return user_error([&] { decode_image(bytes, "a.jpg", whole_image, options); });
}

void put(std::string& bytes, size_t at, const std::string& what) { bytes.replace(at, what.size(), what); }

TEST(Decode, PngIsWithoutLoss) {
  for (const auto& [width, height] : {std::pair{1, 1}, {33, 20}, {7, 100}}) {
    const Image image = made_up(width, height);
    const Image decoded = decode_image(encode_png(image), "a.png");
    EXPECT_EQ(decoded.width(), width);
    EXPECT_EQ(decoded.height(), height);
    EXPECT_EQ(text_of(decoded), text_of(image));
  }
}

TEST(Decode, AsPartOfTheWhole) {
  const Image image = made_up(120, 90);
  for (const std::string& bytes : {encode_png(image), encode_jpeg(image)}) {
    const Image whole = decode_image(bytes, "a");
    for (const Rect part :
         {Rect{0, 0, 120, 90}, {0, 0, 1, 1}, {119, 89, 1, 1}, {17, 33, 50, 40}, {16, 16, 16, 16}}) {
      const Image got = decode_image(bytes, "a", [&](int width, int height) {
        EXPECT_EQ(width, 120);
        EXPECT_EQ(height, 90);
        return part;
      });
      EXPECT_EQ(text_of(got), text_of(copy_of(ImageView(whole, part)))) << part.x << " " << part.y;
    }
    for (const Rect part :
         {Rect{0, 0, 121, 90}, {-1, 0, 5, 5}, {0, 0, 0, 5}, {2147483647, 0, 2147483647, 1}}) {
      EXPECT_THROW(decode_image(bytes, "a", [&](int, int) { return part; }), std::logic_error);
    }
  }
}

TEST(Decode, WhatIsNoPicture) {
  EXPECT_EQ(error_of(""), "a.jpg: is empty");
  EXPECT_EQ(error_of("GIF89a\x01\x02\x03"),
            "a.jpg: is neither JPEG nor PNG; it begins with \"GIF89a\\x01\\x02\"");
  EXPECT_EQ(error_of("<html>"), "a.jpg: is neither JPEG nor PNG; it begins with \"<html>\"");
}

TEST(Decode, WhatEndsEarly) {
  const Image image = made_up(64, 48);
  for (const std::string& bytes : {encode_png(image), encode_jpeg(image)}) {
    for (size_t size = 8; size < bytes.size(); ++size) {
      const std::string error = error_of(bytes.substr(0, size));
      ASSERT_TRUE(error.starts_with("a.jpg: ")) << size << ": " << error;
    }
  }
  // Even where the part that is missing was not asked for.
  const std::string jpeg = encode_jpeg(image);
  const auto top = [](int, int) { return Rect{0, 0, 8, 8}; };
  const std::string torn = jpeg.substr(0, jpeg.size() - 20);
  EXPECT_EQ(user_error([&] { decode_image(torn, "a.jpg", top); }), "a.jpg: ends early");
}

TEST(Decode, WhatIsDamagedInside) {
  const std::string png = encode_png(made_up(64, 48));
  std::string damaged = png;
  damaged[png.size() / 2] = static_cast<char>(damaged[png.size() / 2] ^ 0x40);
  EXPECT_TRUE(error_of(damaged).starts_with("a.jpg: is a damaged PNG: "));
  std::string jpeg = encode_jpeg(made_up(64, 48));
  put(jpeg, jpeg.size() / 2, std::string("\xff\xd9", 2));
  EXPECT_TRUE(error_of(jpeg).starts_with("a.jpg: is a damaged JPEG: "));
}

TEST(Decode, HugeOnesBeforeAllocation) {
  const Image image = made_up(64, 48);
  EXPECT_EQ(error_of(encode_png(image), {.max_pixels = 64 * 48 - 1}),
            "a.jpg: is 64 x 48 pixels, more than the limit of 3071");
  EXPECT_EQ(decode_image(encode_png(image), "a", whole_image, {.max_pixels = 64 * 48}).width(), 64);
  std::string jpeg = encode_jpeg(image);
  const size_t frame = jpeg.find("\xff\xc0");
  put(jpeg, frame + 5, std::string("\xff\xdc\xff\xdc", 4));
  EXPECT_EQ(error_of(jpeg), "a.jpg: is 65500 x 65500 pixels, more than the limit of 178956970");
  put(jpeg, frame + 5, std::string("\x20\x00\x20\x00", 4));
  EXPECT_EQ(error_of(jpeg), "a.jpg: its header states a size of 8192 x 8192, which its " +
                                std::to_string(jpeg.size()) + " bytes cannot hold");
  put(jpeg, frame + 5, std::string("\x00\x40\x00\x00", 4));
  EXPECT_TRUE(error_of(jpeg).starts_with("a.jpg: ")) << error_of(jpeg);
}

TEST(Decode, TurnsByOrientation) {
  Image stored(3, 2);  // a b c / d e f
  for (int i = 0; i < 6; ++i) stored.bytes()[i * 3] = static_cast<uint8_t>('a' + i);
  const auto turned = [&](int orientation) {
    const Image image = decoders::turn_upright(stored, orientation);
    std::string out;
    for (int y = 0; y < image.height(); ++y) {
      for (int x = 0; x < image.width(); ++x) out += static_cast<char>(image.row(y)[x * 3]);
      out += "/";
    }
    return out;
  };
  EXPECT_EQ(turned(1), "abc/def/");
  EXPECT_EQ(turned(2), "cba/fed/");
  EXPECT_EQ(turned(3), "fed/cba/");
  EXPECT_EQ(turned(4), "def/abc/");
  EXPECT_EQ(turned(5), "ad/be/cf/");
  EXPECT_EQ(turned(6), "da/eb/fc/");
  EXPECT_EQ(turned(7), "fc/eb/da/");
  EXPECT_EQ(turned(8), "cf/be/ad/");
}

TEST(Decode, ReadsExif) {
  const std::string little("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", 22);
  const std::string big("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0", 22);
  EXPECT_EQ(decoders::exif_orientation(little), 6);
  EXPECT_EQ(decoders::exif_orientation(big), 8);
  for (size_t size = 0; size < 19; ++size)
    EXPECT_EQ(decoders::exif_orientation(little.substr(0, size)), 1) << size;
  std::string other = little;
  other[18] = 9;
  EXPECT_EQ(decoders::exif_orientation(other), 1);
  other = little;
  other[4] = other[5] = other[6] = other[7] = '\xff';
  EXPECT_EQ(decoders::exif_orientation(other), 1);
}

TEST(Decode, StandsUprightOrNot) {
  const std::string jpeg = encode_jpeg(made_up(40, 24));
  const std::string tiff("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 26);
  const std::string app1 = std::string("\xff\xe1\x00\x22", 4) + std::string("Exif\0\0", 6) + tiff;
  const std::string bytes = jpeg.substr(0, 2) + app1 + jpeg.substr(2);
  const Image stored = decode_image(bytes, "a", whole_image, {.upright = false});
  EXPECT_EQ(stored.width(), 40);
  const Image upright = decode_image(bytes, "a");
  EXPECT_EQ(upright.width(), 24);
  EXPECT_EQ(text_of(upright), text_of(decoders::turn_upright(stored, 6)));
  const Image part = decode_image(bytes, "a", [](int, int) { return Rect{5, 7, 9, 11}; });
  EXPECT_EQ(text_of(part), text_of(copy_of(ImageView(upright, Rect{5, 7, 9, 11}))));
}

TEST(Grid, PutsPicturesSideBySide) {
  const std::vector<Image> images = {made_up(4, 3, 1), made_up(4, 3, 2), made_up(4, 3, 3)};
  const Image grid = make_grid(images, 2, 1);
  EXPECT_EQ(grid.width(), 9);
  EXPECT_EQ(grid.height(), 7);
  EXPECT_EQ(text_of(copy_of(ImageView(grid, Rect{5, 0, 4, 3}))), text_of(images[1]));
  EXPECT_EQ(text_of(copy_of(ImageView(grid, Rect{0, 4, 4, 3}))), text_of(images[2]));
  EXPECT_EQ(text_of(copy_of(ImageView(grid, Rect{5, 4, 4, 3}))), std::string(36, '\xff'));
  EXPECT_THROW(make_grid({}, 2), std::invalid_argument);
  EXPECT_THROW(make_grid(std::vector<Image>{made_up(2, 2), made_up(2, 3)}, 2), std::invalid_argument);
}

}  // namespace
}  // namespace seednorm::lab
