#include "lab/base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "lab/base/file_lock.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

// Runs `work` in another process, which is then killed.
template <class Work>
void run_and_kill(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (...) {
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(AtomicFile, NamesThatExistAreNoObstacle) {
  const TestFolder folder;
  // What earlier versions wrote under the number of their process.
  const std::string left = folder / ("a.partial-" + std::to_string(::getpid()));
  write(left, "left behind");
  replace_file(folder / "a", "one");
  EXPECT_EQ(read_file(folder / "a", 100), "one");
  EXPECT_EQ(read_file(left, 100), "left behind");
}

TEST(AtomicFile, AppearsCompleteOrNotAtAll) {
  const TestFolder folder;
  write(folder / "a", "old");
  {
    AtomicFile abandoned(folder / "a");
    abandoned.write("new");
    AtomicFile second(folder / "a");
    second.write("second");
    EXPECT_EQ(read_file(folder / "a", 100), "old");
    second.commit();
    EXPECT_EQ(remove_stale_partials(folder.path()), 0) << "the first is still being written";
  }
  EXPECT_EQ(read_file(folder / "a", 100), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(AtomicFile, LinksStayAndDevicesAreRefused) {
  const TestFolder folder;
  write(folder / "a", "old");
  fs::create_symlink("a", folder / "link");
  replace_file(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "a", 100), "new");
  fs::create_symlink("none", folder / "dangling");
  replace_file(folder / "dangling", "made");
  EXPECT_EQ(read_file(folder / "dangling", 100), "made");
  user_error([] { const AtomicFile file("/dev/null"); });
  user_error([&] { const AtomicFile file(folder.path()); });
}

TEST(AtomicFile, StaleOnesAreRemovedAndNothingElse) {
  const TestFolder folder;
  for (const char* name : {"a.partial-abcdefghijkl", "results.json.partial-17"}) write(folder / name, "x");
  const std::vector<std::string> kept = {"a.partial-notes.txt", "a.partial",     ".partial-17",
                                         "a.partial-",          "a.partial-abc", "partial-17"};
  for (const std::string& name : kept) write(folder / name, "x");
  fs::create_directory(folder / "b.partial-18");
  EXPECT_EQ(remove_stale_partials(folder.path()), 2);
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(folder / name)) << name;
  EXPECT_TRUE(fs::exists(folder / "b.partial-18"));
  EXPECT_EQ(remove_stale_partials(folder / "none"), 0);
}

TEST(AtomicFile, AKilledWriterIsStale) {
  const TestFolder folder;
  run_and_kill([&] {
    const AtomicFile file(folder / "a");
    ::raise(SIGKILL);
  });
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  EXPECT_EQ(remove_stale_partials(folder.path()), 1);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(FileLock, OneAtATimeAndTheHolderIsNamed) {
  const TestFolder folder;
  {
    const FileLock first(folder.path());
    const std::string error = user_error([&] { const FileLock second(folder.path()); });
    EXPECT_NE(error.find("is in use by process " + std::to_string(::getpid()) + " on "), std::string::npos)
        << error;
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  FileLock again(folder.path());
  const FileLock moved(std::move(again));
  user_error([&] { const FileLock second(folder.path()); });
}

TEST(FileLock, AKilledHolderLocksNothing) {
  const TestFolder folder;
  run_and_kill([&] {
    const FileLock lock(folder.path());
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(fs::exists(folder / FileLock::kFile));
  const FileLock lock(folder.path());
}

TEST(Files, GitLfsPointersAreNamed) {
  const TestFolder folder;
  write(folder / "weights", "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n");
  for (const auto& read : std::vector<std::function<void(const std::string&)>>{
           [](const std::string& file) { const MappedFile mapped(file); },
           [](const std::string& file) { read_file(file, 1000); }}) {
    EXPECT_NE(user_error([&] { read(folder / "weights"); }).find("git-lfs pointer"), std::string::npos);
  }
}

}  // namespace
}  // namespace seednorm::lab
