#include "cmsweep/base/files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "cmsweep/base/error.hpp"
#include "small_files.hpp"
#include "temporary_folder.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    return names;
}

template <typename Error, typename Action>
std::string message_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

TEST(MappedFile, ShowsTheBytesAndMoves) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a";
    std::ofstream(path) << "hello";
    MappedFile file(path);
    EXPECT_EQ(text_of(file.bytes()), "hello");
    MappedFile moved(std::move(file));
    EXPECT_EQ(text_of(moved.bytes()), "hello");
    EXPECT_TRUE(file.bytes().empty());
    std::ofstream(folder.path() / "b") << "other";
    moved = MappedFile(folder.path() / "b");
    EXPECT_EQ(text_of(moved.bytes()), "other");
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
    const TemporaryFolder folder;
    std::ofstream(folder.path() / "empty");
    EXPECT_TRUE(MappedFile(folder.path() / "empty").bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoFileNamingIt) {
    const TemporaryFolder folder;
    const auto missing = folder.path() / "missing";
    EXPECT_THAT(message_of<InputError>([&] { MappedFile file(missing); }), HasSubstr(missing.string()));
    EXPECT_THROW(MappedFile file(folder.path()), InputError);
    const auto fifo = folder.path() / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THROW(MappedFile file(fifo), InputError);  // and does not wait for a writer
}

TEST(ReadText, ReadsAllAndRefusesFolders) {
    const TemporaryFolder folder;
    const std::string text(200000, 'x');
    write_atomically(folder.path() / "a", text);
    EXPECT_EQ(read_text(folder.path() / "a"), text);
    EXPECT_FALSE(read_text("/proc/self/status").empty());  // a file whose size says 0
    EXPECT_THROW(read_text(folder.path()), InputError);
    EXPECT_THROW(read_text(folder.path() / "b"), InputError);
}

TEST(WriteAtomically, CreatesFoldersReplacesAndLeavesNothingElse) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "x" / "y" / "a.json";
    write_atomically(path, "one");
    EXPECT_EQ(read_text(path), "one");
    write_atomically(path, "two");
    EXPECT_EQ(read_text(path), "two");
    EXPECT_THAT(names_in(path.parent_path()), ElementsAre("a.json"));
    const auto long_name = folder.path() / std::string(255, 'n');
    write_atomically(long_name, "three");
    EXPECT_EQ(read_text(long_name), "three");
}

TEST(WriteAtomically, FollowsTheUmask) {
    const TemporaryFolder folder;
    const auto mask = ::umask(0027);
    write_atomically(folder.path() / "a", "x");
    ::umask(mask);
    struct stat status {};
    ASSERT_EQ(::stat((folder.path() / "a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0640U);
}

TEST(WriteAtomically, KeepsTheOldFileWhenTheWriterFails) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a";
    write_atomically(path, "old");
    EXPECT_THROW(write_atomically(path,
                                  [&](int descriptor) {
                                      write_fully(descriptor, std::as_bytes(std::span("new", 3)), path);
                                      throw StopRequest();
                                  }),
                 StopRequest);
    EXPECT_EQ(read_text(path), "old");
    EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(WriteAtomically, KeepsTheOldFileWhenTheSystemRefusesToWrite) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a";
    write_atomically(path, "old");
    std::string message;
    {
        const SmallFiles limit(1000);
        message = message_of<StorageError>([&] { write_atomically(path, std::string(5000, 'x')); });
    }
    EXPECT_THAT(message, HasSubstr(path.string()));
    EXPECT_EQ(read_text(path), "old");
    EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(WriteAtomically, SaysWhereItCannotWrite) {
    const TemporaryFolder folder;
    std::ofstream(folder.path() / "file");
    const auto below_a_file = folder.path() / "file" / "a";
    EXPECT_THAT(message_of<StorageError>([&] { write_atomically(below_a_file, "x"); }), HasSubstr("file"));
    fs::create_directory(folder.path() / "folder");
    EXPECT_THROW(write_atomically(folder.path() / "folder", "x"), StorageError);
    EXPECT_THAT(names_in(folder.path()), testing::UnorderedElementsAre("file", "folder"));
}

TEST(WriteFully, ReportsAFullDisk) {
    const int descriptor = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    ASSERT_GE(descriptor, 0);
    const auto message =
        message_of<StorageError>([&] { write_fully(descriptor, std::as_bytes(std::span("x", 1)), "results/a.h5"); });
    ::close(descriptor);
    EXPECT_THAT(message, HasSubstr("results/a.h5"));
    EXPECT_THAT(message, HasSubstr("No space left"));
    EXPECT_THAT(message, HasSubstr("free space"));
    EXPECT_THROW(write_fully(-1, std::as_bytes(std::span("x", 1)), "a"), StorageError);
    write_fully(-1, {}, "a");  // nothing to write
}

TEST(GlobMatches, WithinASegment) {
    EXPECT_TRUE(glob_matches("*.py", "a.py"));
    EXPECT_TRUE(glob_matches("*", "a"));
    EXPECT_TRUE(glob_matches("a*b*c", "a12b3b4c"));
    EXPECT_FALSE(glob_matches("a*b*c", "a12b3b4"));
    EXPECT_FALSE(glob_matches("*.py", "b/a.py"));
    EXPECT_FALSE(glob_matches("*.py", "a.pyc"));
    EXPECT_TRUE(glob_matches("?.py", "a.py"));
    EXPECT_FALSE(glob_matches("?.py", ".py"));
    EXPECT_TRUE(glob_matches("?", "\xc3\xa4"));
    EXPECT_TRUE(glob_matches("?", "\xff"));
    EXPECT_TRUE(glob_matches("a", "a"));
    EXPECT_FALSE(glob_matches("a", "b"));
    EXPECT_FALSE(glob_matches("", "a"));
}

TEST(GlobMatches, Classes) {
    EXPECT_TRUE(glob_matches("[a-c]x", "bx"));
    EXPECT_FALSE(glob_matches("[a-c]x", "dx"));
    EXPECT_TRUE(glob_matches("[!a-c]x", "dx"));
    EXPECT_FALSE(glob_matches("[^a-c]x", "bx"));
    EXPECT_TRUE(glob_matches("[]x]", "]"));
    EXPECT_TRUE(glob_matches("[a-]", "-"));
    EXPECT_TRUE(glob_matches("[*]", "*"));
    EXPECT_FALSE(glob_matches("[*]", "x"));
    EXPECT_TRUE(glob_matches("[a", "[a"));
    EXPECT_TRUE(glob_matches("[\xc3\xa4\xc3\xb6]", "\xc3\xb6"));
    EXPECT_TRUE(glob_matches("shard[0-9][0-9]*", "shard07.bin"));
}

TEST(GlobMatches, AcrossFolders) {
    EXPECT_TRUE(glob_matches("/usr/**/*.py", "/usr/a.py"));
    EXPECT_TRUE(glob_matches("/usr/**/*.py", "/usr/b/c/a.py"));
    EXPECT_FALSE(glob_matches("/usr/**/*.py", "usr/b/a.py"));
    EXPECT_TRUE(glob_matches("**/test/**", "a/test/b/c"));
    EXPECT_TRUE(glob_matches("**/test/**", "test/b"));
    EXPECT_FALSE(glob_matches("**/test/**", "a/test"));
    EXPECT_TRUE(glob_matches("**/a/**/a/b", "a/a/x/a/a/b"));
    EXPECT_TRUE(glob_matches("**", "a/b"));
    EXPECT_TRUE(glob_matches("a/**/**/b", "a/b"));
    EXPECT_FALSE(glob_matches("a**b", "a/b"));
    EXPECT_TRUE(glob_matches("a**b", "axb"));
}

TEST(GlobMatches, ALeadingDotIsMatchedByADotOnly) {
    EXPECT_FALSE(glob_matches("*", ".a"));
    EXPECT_FALSE(glob_matches("?a", ".a"));
    EXPECT_FALSE(glob_matches("[.]a", ".a"));
    EXPECT_TRUE(glob_matches(".*", ".a"));
    EXPECT_FALSE(glob_matches("**/a", ".git/a"));
    EXPECT_TRUE(glob_matches("**/.git/a", "x/.git/a"));
    EXPECT_TRUE(glob_matches("*", "a.b"));
}

TEST(GlobMatches, TakesNoExponentialTime) {
    std::string pattern, path;
    for (int i = 0; i < 100; ++i) {
        pattern += "**/a*a*a*/";
        path += "aaaaaaaaaa/";
    }
    EXPECT_FALSE(glob_matches(pattern + "b", path + "c"));
    EXPECT_FALSE(glob_matches(std::string(50, '*') + "b", std::string(5000, 'a')));
}

class GlobTest : public testing::Test {
protected:
    void SetUp() override {
        for (const char* name :
             {"b.txt", "a.txt", "a.py", "x/c.txt", "x/y/d.txt", ".hidden/e.txt", "x/.f.txt", "z[1].txt"}) {
            write_atomically(folder_.path() / name, name);
        }
        fs::create_directory(folder_.path() / "folder.txt");
        fs::create_directory_symlink(folder_.path() / "x", folder_.path() / "link");
        fs::create_symlink(folder_.path() / "a.txt", folder_.path() / "same.txt");
        fs::create_symlink(folder_.path() / "nowhere", folder_.path() / "broken.txt");
    }

    std::vector<std::string> found(const std::string& pattern) {
        std::vector<std::string> names;
        for (const auto& path : glob((folder_.path() / pattern).string())) {
            names.push_back(path.string().substr(folder_.path().string().size() + 1));
        }
        return names;
    }

    TemporaryFolder folder_;
};

TEST_F(GlobTest, FindsSortedFilesOnly) {
    EXPECT_THAT(found("*.txt"), ElementsAre("a.txt", "b.txt", "same.txt", "z[1].txt"));
    EXPECT_THAT(found("a.*"), ElementsAre("a.py", "a.txt"));
    EXPECT_THAT(found("a.txt"), ElementsAre("a.txt"));
    EXPECT_THAT(found("*/c.txt"), ElementsAre("link/c.txt", "x/c.txt"));
    EXPECT_THAT(found("x/../b.txt"), ElementsAre("x/../b.txt"));
    EXPECT_THAT(found("z[[]1].txt"), ElementsAre("z[1].txt"));
    EXPECT_THAT(found(".hidden/*"), ElementsAre(".hidden/e.txt"));
}

TEST_F(GlobTest, DescendsWithoutFollowingLinksOrHiddenFolders) {
    EXPECT_THAT(found("**/*.txt"), ElementsAre("a.txt", "b.txt", "same.txt", "x/c.txt", "x/y/d.txt", "z[1].txt"));
    EXPECT_THAT(found("x/**"), ElementsAre("x/c.txt", "x/y/d.txt"));
    EXPECT_THAT(found("link/**"), ElementsAre("link/c.txt", "link/y/d.txt"));
    EXPECT_THAT(found("**/**/d.txt"), ElementsAre("x/y/d.txt"));
    EXPECT_THAT(found("**/y/**/d.txt"), ElementsAre("x/y/d.txt"));
}

TEST_F(GlobTest, NoMatchIsAnEmptyList) {
    EXPECT_THAT(found("*.md"), IsEmpty());
    EXPECT_THAT(found("nowhere/*.txt"), IsEmpty());
    EXPECT_THAT(found("a.txt/*"), IsEmpty());
    EXPECT_THAT(found("x"), IsEmpty());
    EXPECT_THAT(glob(""), IsEmpty());
}

TEST_F(GlobTest, WorksRelativeToTheCurrentFolder) {
    const auto before = fs::current_path();
    fs::current_path(folder_.path());
    const auto paths = glob("x/**/*.txt");
    const auto top = glob("[ab].txt");
    fs::current_path(before);
    EXPECT_THAT(paths, ElementsAre("x/c.txt", "x/y/d.txt"));
    EXPECT_THAT(top, ElementsAre("a.txt", "b.txt"));
}

TEST_F(GlobTest, AgreesWithGlobMatches) {
    const auto root = folder_.path().string();
    for (const char* pattern :
         {"**", "*", "x/*", "**/*.txt", "**/[cd].txt", "x/**/d.*", "?.txt", "**/.f.txt", ".*/*"}) {
        std::vector<std::string> expected;
        for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
            const auto name = it->path().string().substr(root.size() + 1);
            if (it->is_regular_file() && glob_matches(pattern, name)) expected.push_back(name);
        }
        std::sort(expected.begin(), expected.end());
        EXPECT_EQ(found(pattern), expected) << pattern;
    }
}

TEST_F(GlobTest, AFolderThatCannotBeListedIsAnError) {
    if (::geteuid() == 0) GTEST_SKIP() << "root may list every folder";
    fs::permissions(folder_.path() / "x" / "y", fs::perms::none);
    EXPECT_THAT(message_of<InputError>([&] { found("**/*.txt"); }), HasSubstr("x/y"));
    fs::permissions(folder_.path() / "x" / "y", fs::perms::owner_all);
}

TEST(ExpandPath, JoinsRelativePaths) {
    EXPECT_EQ(expand_path("a/b", "/root"), "/root/a/b");
    EXPECT_EQ(expand_path("/a/b", "/root"), "/a/b");
    EXPECT_EQ(expand_path("../a", "/root"), "/root/../a");
    EXPECT_EQ(expand_path("a", ""), "a");
}

TEST(ExpandPath, ExpandsHomeAndVariables) {
    ::setenv("HOME", "/home/someone", 1);
    ::setenv("CMSWEEP_TEST_A", "/data", 1);
    ::setenv("CMSWEEP_TEST_B", "${HOME}", 1);
    EXPECT_EQ(expand_path("~", "/root"), "/home/someone");
    EXPECT_EQ(expand_path("~/x", "/root"), "/home/someone/x");
    EXPECT_EQ(expand_path("~x", "/root"), "/root/~x");
    EXPECT_EQ(expand_path("a~/x", "/root"), "/root/a~/x");
    EXPECT_EQ(expand_path("${CMSWEEP_TEST_A}/*.txt", "/root"), "/data/*.txt");
    EXPECT_EQ(expand_path("x${HOME}${CMSWEEP_TEST_A}y", "/root"), "/root/x/home/someone/datay");
    EXPECT_EQ(expand_path("/x/${CMSWEEP_TEST_B}", "/root"), "/x/${HOME}");  // values are not expanded again
    EXPECT_EQ(expand_path("$HOME", "/root"), "/root/$HOME");
}

TEST(ExpandPath, RefusesUnsetVariablesAndBadSyntax) {
    ::unsetenv("CMSWEEP_TEST_UNSET");
    EXPECT_THAT(message_of<InputError>([] { expand_path("a/${CMSWEEP_TEST_UNSET}/b", "/root"); }),
                HasSubstr("CMSWEEP_TEST_UNSET"));
    EXPECT_THROW(expand_path("${HOME", "/root"), InputError);
    EXPECT_THROW(expand_path("${}", "/root"), InputError);
    EXPECT_THROW(expand_path("", "/root"), InputError);
}

TEST(ParseDuration, UnitsAndClocks) {
    EXPECT_EQ(parse_duration("90"), 90);
    EXPECT_EQ(parse_duration("90s"), 90);
    EXPECT_EQ(parse_duration("0"), 0);
    EXPECT_EQ(parse_duration("15m"), 900);
    EXPECT_EQ(parse_duration("2h"), 7200);
    EXPECT_EQ(parse_duration("1.5h"), 5400);
    EXPECT_EQ(parse_duration("2d"), 172800);
    EXPECT_EQ(parse_duration("02:30:00"), 9000);
    EXPECT_EQ(parse_duration("100:00:00"), 360000);
    EXPECT_EQ(parse_duration("29:59"), 1799);
    EXPECT_EQ(parse_duration("1-02:30:00"), 86400 + 9000);
    EXPECT_EQ(parse_duration("1-02:30"), 86400 + 9000);
    EXPECT_EQ(parse_duration("1-02"), 86400 + 7200);
}

TEST(ParseDuration, RefusesTheRest) {
    for (const char* bad : {"",      "s",      "x",     "-5",       "5 s",      " 5",         "5ms",     "1e3",
                            "inf",   "nan",    "0x10",  "02:60:00", "02:30:60", "1-24:00:00", "1:2:3:4", "1-",
                            "-1:00", "1.5:00", "1-2-3", ":30",      "30:",      "1-1:1:1:1"}) {
        EXPECT_THAT(message_of<InputError>([&] { parse_duration(bad); }),
                    HasSubstr(std::string("duration \"").append(bad).append("\"")))
            << bad;
    }
}

TEST(FormatDuration, ReadsWell) {
    EXPECT_EQ(format_duration(0), "0 ms");
    EXPECT_EQ(format_duration(0.0123), "12 ms");
    EXPECT_EQ(format_duration(4.24), "4.2 s");
    EXPECT_EQ(format_duration(59.94), "59.9 s");
    EXPECT_EQ(format_duration(59.96), "1 min 00 s");
    EXPECT_EQ(format_duration(190), "3 min 10 s");
    EXPECT_EQ(format_duration(3599.7), "1 h 00 min");
    EXPECT_EQ(format_duration(7500), "2 h 05 min");
    EXPECT_EQ(format_duration(86399), "1 d 00 h");
    EXPECT_EQ(format_duration(266400), "3 d 02 h");
    EXPECT_EQ(format_duration(-4.24), "-4.2 s");
    EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "unknown");
}

TEST(FormatBytes, UsesBinaryUnits) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1023), "1023 B");
    EXPECT_EQ(format_bytes(1024), "1.0 KiB");
    EXPECT_EQ(format_bytes(3.1 * 1024 * 1024), "3.1 MiB");
    EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.0 MiB");
    EXPECT_EQ(format_bytes(0x1p70), "1024.0 EiB");
    EXPECT_EQ(format_bytes(std::nan("")), "unknown");
}

}  // namespace
}  // namespace cmsweep
