#include "lab/vision/data/image_set.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "lab/vision/data/raw_images.h"
#include "lab/vision/data/tar.h"
#include "tests/lab/support.h"
#include "tests/lab/vision/data/pictures.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

std::string error_of(const std::string& path, const ImageSetOptions& options = {}) {
  return user_error([&] { open_image_set(path, options); });
}

std::string gzip(const std::string& bytes) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void write_in(const std::string& path, const std::string& content) {
  fs::create_directories(fs::path(path).parent_path());
  write(path, content);
}

TEST(Folders, AreClasses) {
  const TestFolder folder;
  write_in(folder / "cat/b.png", encode_png(made_up(8, 6, 1)));
  write_in(folder / "cat/a.JPEG", encode_jpeg(made_up(8, 6, 2)));
  write_in(folder / "cat/deep/c.jpg", encode_jpeg(made_up(8, 6, 3)));
  write_in(folder / "ant/z.jpg", encode_jpeg(made_up(9, 6, 4)));
  write_in(folder / "cat/notes.txt", "no picture");
  write_in(folder / "cat/.hidden.png", "no picture");
  write_in(folder / ".git/a.png", "no class");
  const auto set = open_image_set(folder.path());
  EXPECT_EQ(set->classes(), (std::vector<std::string>{"ant", "cat"}));
  ASSERT_EQ(set->size(), 4);
  EXPECT_EQ(set->name(0), "ant/z.jpg");
  EXPECT_EQ(set->name(1), "cat/a.JPEG");
  EXPECT_EQ(set->name(3), "cat/deep/c.jpg");
  EXPECT_EQ(set->label(0), 0);
  EXPECT_EQ(set->label(3), 1);
  EXPECT_EQ(set->decode(0).width(), 9);
  EXPECT_EQ(text_of(set->decode(2)), text_of(made_up(8, 6, 1)));
  const std::string before = set->fingerprint();
  EXPECT_EQ(open_image_set(folder.path())->fingerprint(), before);
  fs::rename(folder / "cat/b.png", folder / "cat/bb.png");
  EXPECT_NE(open_image_set(folder.path())->fingerprint(), before);
}

TEST(Folders, Wrong) {
  const TestFolder folder;
  EXPECT_EQ(error_of(folder / "none"), folder / "none: there is no such file or folder of pictures");
  EXPECT_EQ(error_of(folder.path()),
            folder.path().string() + ": has no picture; expected .jpg, .jpeg or .png in folders by class");
  write_in(folder / "cat/a.png", "");
  fs::create_directories(folder / "dog");
  EXPECT_EQ(error_of(folder.path()), folder.path().string() + ": class \"dog\" has no picture");
  const auto set = open_image_set(folder.path(), {.allow_empty_classes = true});
  EXPECT_EQ(set->classes().size(), 2U);
  EXPECT_EQ(user_error([&] { set->decode(0); }), folder / "cat/a.png: is empty");
  fs::remove(folder / "cat/a.png");
  EXPECT_THROW(set->decode(0), DamagedImage);
  write_in(folder / "x.txt", "text");
  EXPECT_EQ(error_of(folder / "x.txt"),
            folder / "x.txt: is no set of pictures; expected a folder, a .tar file or CIFAR's .tar.gz");
}

TEST(Tar, OfClasses) {
  const TestFolder folder;
  const std::string png = encode_png(made_up(5, 4));
  std::string bytes = tar_member("set/", "", '5') + tar_member("set/dog/1.png", png) +
                      tar_member("set/cat/1.png", png) + tar_member("set/cat/2.png", "torn") +
                      tar_member("set/read.me", "text");
  bytes += tar_member("././@LongLink", std::string(200, 'n') + "/cat/3.png" + std::string(1, '\0'), 'L');
  bytes += tar_member("short", png);
  const std::string path = std::string(180, 'p') + "/dog/4.png", record = " path=" + path + "\n";
  bytes += tar_member("pax", std::to_string(record.size() + 3) + record, 'x') + tar_member("short2", png);
  write(folder / "a.tar", bytes + kTarEnd);
  const auto set = open_image_set(folder / "a.tar");
  EXPECT_EQ(set->classes(), (std::vector<std::string>{"cat", "dog"}));
  ASSERT_EQ(set->size(), 5);
  EXPECT_EQ(set->name(0), "set/dog/1.png");
  EXPECT_EQ(set->label(0), 1);
  EXPECT_EQ(set->name(3), std::string(200, 'n') + "/cat/3.png");
  EXPECT_EQ(set->name(4), path);
  EXPECT_EQ(text_of(set->decode(4)), text_of(made_up(5, 4)));
  EXPECT_EQ(user_error([&] { set->decode(2); }),
            folder /
                "a.tar: \"set/cat/2.png\": is neither JPEG nor PNG; it begins "
                "with \"torn\"");
}

TEST(Tar, OfWebDataset) {
  const TestFolder folder;
  const std::string png = encode_png(made_up(5, 4)), jpeg = encode_jpeg(made_up(6, 4));
  write(folder / "b-0.tar", tar_member("00.cls", "1\n") + tar_member("00.jpg", jpeg) +
                                tar_member("01.png", png) + tar_member("01.cls", " 0 ") +
                                tar_member("01.json", "{}") + kTarEnd);
  write(folder / "b-1.tar", tar_member("00.jpg", jpeg) + tar_member("00.cls", "2") + kTarEnd);
  const auto set = open_image_set(folder.path());
  EXPECT_EQ(set->classes(), (std::vector<std::string>{"0", "1", "2"}));
  ASSERT_EQ(set->size(), 3);
  EXPECT_EQ(set->label(0), 1);
  EXPECT_EQ(set->label(1), 0);
  EXPECT_EQ(set->label(2), 2);
  EXPECT_EQ(set->name(2), "b-1.tar/00.jpg");
  EXPECT_EQ(set->decode(2).width(), 6);
  write(folder / "classes.txt", "ant\r\nbee\ncat\n");
  EXPECT_EQ(open_image_set(folder.path())->classes()[1], "bee");
  write(folder / "classes.txt", "ant\nbee\n");
  EXPECT_EQ(error_of(folder.path()),
            folder / "b-1.tar: \"00.jpg\" has label 2, beyond the 2 classes of classes.txt");
  write(folder / "classes.txt", "ant\nbee\ncat\ndog\n");
  EXPECT_EQ(error_of(folder.path()), folder.path().string() + ": class \"dog\" has no picture");
  fs::remove(folder / "classes.txt");
  const auto alone = [&](const std::string& members) {
    write(folder / "c.tar", members + kTarEnd);
    return error_of(folder / "c.tar");
  };
  const std::string name = folder / "c.tar: ";
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg) + tar_member("0.cls", "x")),
            name + "\"0.cls\" holds no number of a class: \"x\"");
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg) + tar_member("0.cls", "-1")),
            name + "\"0.cls\" holds no number of a class: \"-1\"");
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg) + tar_member("0.cls", "99999999999")),
            name + "\"0.cls\" holds no number of a class: \"99999999999\"");
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg) + tar_member("0.cls", "0") + tar_member("1.jpg", jpeg)),
            name + "\"1.jpg\" has no .cls beside it, which others have");
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg) + tar_member("0.cls", "0") + tar_member("0.png", png)),
            name + "there is more than one picture \"0\"");
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg)),
            name + "\"0.jpg\" is in no folder of a class and has no .cls beside it");
  EXPECT_EQ(alone(tar_member("0.jpg", jpeg) + tar_member("0.cls", "1")),
            folder / "c.tar: class \"0\" has no picture");
  EXPECT_EQ(alone(tar_member("a.txt", "")),
            name + "has no picture; expected .jpg, .jpeg or .png in folders by class");
}

TEST(Tar, EndsEarly) {
  const std::string member = tar_member("cat/1.png", std::string(600, 'x'));
  const std::string whole = member + member + kTarEnd;
  EXPECT_EQ(parse_tar(whole, "a.tar").size(), 2U);
  const auto error = [](const std::string& bytes) { return user_error([&] { parse_tar(bytes, "a.tar"); }); };
  for (size_t size = 0; size < member.size() * 2 + 512; ++size) {
    EXPECT_TRUE(error(whole.substr(0, size)).starts_with("a.tar: ends early")) << size;
  }
  EXPECT_EQ(error(whole.substr(0, member.size() + 700)), "a.tar: ends early, in \"cat/1.png\"");
  EXPECT_EQ(error(std::string(2000, 'x')), "a.tar: is no tar archive");
  EXPECT_EQ(error(kTarEnd), "a.tar: is no tar archive: it begins with zeros");
  EXPECT_EQ(error(whole + member), "a.tar: has data behind its end; join archives with tar --concatenate");
  std::string damaged = whole;
  damaged[member.size() + 3] = '?';
  EXPECT_EQ(error(damaged), "a.tar: is damaged: the header at byte 1536 is wrong");
  EXPECT_EQ(error(tar_member("big", "x", 'S') + kTarEnd),
            "a.tar: \"big\" is a sparse file, which is not supported");
  EXPECT_EQ(error(tar_member("pax", "99 path=x\n", 'x') + member + kTarEnd),
            "a.tar: has a damaged pax header");
}

std::string cifar_records(int num, int label_bytes, int first_label) {
  std::string bytes;
  for (int i = 0; i < num; ++i) {
    bytes += std::string(label_bytes - 1, '\x05') + static_cast<char>((first_label + i) % 10);
    for (int c = 0; c < 3; ++c) bytes += std::string(1024, static_cast<char>(10 * i + c));
  }
  return bytes;
}

TEST(Cifar, TrainAndTest) {
  const TestFolder folder;
  std::string archive;
  for (int i = 1; i <= 5; ++i) {
    const std::string name = "cifar-10-batches-bin/data_batch_" + std::to_string(i) + ".bin";
    write_in(folder / name, cifar_records(4, 1, 4 * i));
    archive += tar_member(name, cifar_records(4, 1, 4 * i));
  }
  write(folder / "cifar-10-batches-bin/test_batch.bin", cifar_records(10, 1, 0));
  const auto set = open_image_set(folder.path());
  ASSERT_EQ(set->size(), 20);
  EXPECT_EQ(set->label(0), 4);
  EXPECT_EQ(set->classes().size(), 10U);
  const Image image = set->decode(1);
  EXPECT_EQ(image.width(), 32);
  EXPECT_EQ(image.row(31)[95], 12);
  EXPECT_EQ(image.row(0)[0], 10);
  const Image part = set->decode(1, [](int, int) { return Rect{3, 4, 5, 6}; });
  EXPECT_EQ(part.height(), 6);
  EXPECT_EQ(part.row(5)[1], 11);
  const auto test = open_image_set(folder / "cifar-10-batches-bin", {.is_test = true});
  EXPECT_EQ(test->size(), 10);
  EXPECT_NE(test->fingerprint(), set->fingerprint());
  check_same_classes(*set, *test);
  write(folder / "cifar-10-binary.tar.gz", gzip(archive + kTarEnd));
  EXPECT_EQ(open_image_set(folder / "cifar-10-binary.tar.gz")->fingerprint(), set->fingerprint());
  write(folder / "cifar-10-batches-bin/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  EXPECT_EQ(open_image_set(folder.path())->classes()[9], "j");
  EXPECT_EQ(user_error([&] { check_same_classes(*open_image_set(folder.path()), *test); }),
            "class 0 of the sets of pictures is \"a\" and \"0\"; expected the same");
}

TEST(Cifar, Wrong) {
  const TestFolder folder;
  write(folder / "test_batch.bin", cifar_records(10, 1, 0));
  EXPECT_EQ(error_of(folder.path()), folder / "data_batch_1.bin: is missing");
  write(folder / "test_batch.bin", cifar_records(10, 1, 0) + "x");
  EXPECT_EQ(error_of(folder.path(), {.is_test = true}),
            folder / "test_batch.bin: has 30731 bytes, which is no multiple of CIFAR's 3073 a picture");
  write(folder / "test_batch.bin", "");
  EXPECT_EQ(error_of(folder.path(), {.is_test = true}), folder / "test_batch.bin: is empty");
  std::string records = cifar_records(10, 1, 0);
  records[3073] = 10;
  write(folder / "test_batch.bin", records);
  EXPECT_EQ(error_of(folder.path(), {.is_test = true}),
            folder / "test_batch.bin: picture 1 has label 10, beyond the 10 classes");
  write(folder / "test_batch.bin", cifar_records(9, 1, 0));
  EXPECT_EQ(error_of(folder.path(), {.is_test = true}),
            folder.path().string() + ": class \"9\" has no picture");
  write(folder / "c.tar.gz", gzip(std::string(5000, 'x')).substr(0, 20));
  EXPECT_EQ(error_of(folder / "c.tar.gz"), folder / "c.tar.gz: ends early");
}

std::string idx(const std::vector<uint32_t>& sizes, const std::string& data) {
  std::string bytes("\0\0\x08", 3);
  bytes += static_cast<char>(sizes.size());
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
  }
  return bytes + data;
}

TEST(Idx, TrainAndTest) {
  const TestFolder folder;
  write(folder / "train-images-idx3-ubyte.gz", gzip(idx({2, 2, 3}, "abcdefghijkl")));
  write(folder / "train-labels-idx1-ubyte", idx({2}, std::string("\x01\x00", 2)));
  write(folder / "t10k-images.idx3-ubyte", idx({1, 1, 1}, "x"));
  write(folder / "t10k-labels.idx1-ubyte", idx({1}, std::string(1, '\0')));
  const auto set = open_image_set(folder.path());
  ASSERT_EQ(set->size(), 2);
  EXPECT_EQ(set->label(0), 1);
  EXPECT_EQ(set->classes(), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(text_of(set->decode(1)), "ggghhhiiijjjkkklll");
  EXPECT_EQ(open_image_set(folder.path(), {.is_test = true})->size(), 1);
  write(folder / "classes.txt", "shirt\nboot\n");
  EXPECT_EQ(open_image_set(folder.path())->classes()[1], "boot");
  write(folder / "classes.txt", "shirt\n");
  EXPECT_EQ(error_of(folder.path()),
            folder / "train-labels-idx1-ubyte: picture 0 has label 1, beyond the 1 classes of classes.txt");
  fs::remove(folder / "train-labels-idx1-ubyte");
  EXPECT_EQ(error_of(folder.path()),
            folder / "train-images-idx3-ubyte.gz: the file of labels beside it is missing");
}

TEST(Idx, Wrong) {
  const auto error = [](const std::string& pictures, const std::string& labels) {
    return user_error([&] { parse_idx(pictures, "p", labels, "l"); });
  };
  const std::string pictures = idx({2, 2, 3}, "abcdefghijkl"), labels = idx({2}, "xy");
  EXPECT_EQ(parse_idx(pictures, "p", labels, "l").labels, (std::vector<int>{'x', 'y'}));
  EXPECT_EQ(error(labels, pictures), "p: is no IDX file of bytes in 3 dimensions");
  EXPECT_EQ(error("", labels), "p: is no IDX file of bytes in 3 dimensions");
  EXPECT_EQ(error(pictures.substr(0, 20), labels), "p: states 12 bytes and has 4");
  EXPECT_EQ(error(pictures, labels + "z"), "l: states 2 bytes and has 3");
  EXPECT_EQ(error(pictures, idx({3}, "xyz")), "l: has 3 labels for the 2 pictures of p");
  EXPECT_EQ(error(idx({1, 0, 3}, ""), labels), "p: states pictures with a side of 0");
  EXPECT_EQ(error(idx({0xffffffff, 0xffffffff, 0xffffffff}, "a"), labels),
            "p: states pictures with a side of 4294967295");
  EXPECT_EQ(error(idx({0, 2, 3}, ""), idx({0}, "")), "p: has no picture");
}

TEST(Gzip, UnpacksOrSays) {
  const std::string text = std::string(100000, 'a') + "end";
  EXPECT_EQ(unpack_gzip(gzip(text), 1 << 20, "f"), text);
  EXPECT_EQ(unpack_gzip(gzip(text) + gzip("two"), 1 << 20, "f"), text + "two");
  EXPECT_EQ(unpack_gzip("plain", 1 << 20, "f"), "plain");
  const auto error = [](const std::string& bytes, size_t max) {
    return user_error([&] { unpack_gzip(bytes, max, "f"); });
  };
  EXPECT_EQ(error(gzip(text), 1000), "f: unpacks to more than 1000 bytes");
  for (size_t size = 2; size < gzip(text).size(); ++size) {
    EXPECT_EQ(error(gzip(text).substr(0, size), 1 << 20), "f: ends early") << size;
  }
  std::string damaged = gzip(text);
  damaged[damaged.size() - 6] = '?';
  EXPECT_EQ(error(damaged, 1 << 20), "f: is damaged: gzip cannot unpack it");
}

// The archives of CIFAR-10 as JPEG.
TEST(Tar, OfRealPictures) {
  SEEDNORM_NEEDS_DATA("vision/cifar10/cifar10_test_9000.tar");
  const auto set = open_image_set(data_file("vision/cifar10/cifar10_test_9000.tar"));
  ASSERT_EQ(set->size(), 9000);
  ASSERT_EQ(set->classes().size(), 10U);
  std::vector<int> counts(10);
  for (int64_t i = 0; i < set->size(); ++i) ++counts[set->label(i)];
  EXPECT_EQ(counts, std::vector<int>(10, 900));
  for (int64_t i = 0; i < set->size(); i += 100) EXPECT_EQ(set->decode(i).width(), 32);
}

}  // namespace
}  // namespace seednorm::lab
