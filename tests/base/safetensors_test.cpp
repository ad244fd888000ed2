#include "cmsweep/base/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>

#include "cmsweep/base/error.hpp"
#include "small_files.hpp"
#include "temporary_folder.hpp"

namespace cmsweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string length_bytes(std::uint64_t value) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &value, 8);
    return bytes;
}

std::string file_of(const std::string& header, const std::string& data) {
    return length_bytes(header.size()) + header + data;
}

std::vector<TensorEntry> parse(const std::string& file) {
    std::map<std::string, std::string> metadata;
    return parse_safetensors(std::as_bytes(std::span(file)), "x.safetensors", metadata);
}

std::string problem_of(const std::string& file) {
    try {
        parse(file);
    } catch (const InputError& error) {
        return error.what();
    }
    return "it was accepted";
}

std::string problem_of_header(const std::string& header, std::size_t data_bytes) {
    return problem_of(file_of(header, std::string(data_bytes, 'x')));
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
}

// Written by hand from the format's page.
const char* const kHeader =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}  )";

TEST(ParseSafetensors, ReadsAFileWrittenByHand) {
    const auto file = file_of(kHeader, "12345678z");
    std::map<std::string, std::string> metadata = {{"left", "over"}};
    const auto entries = parse_safetensors(std::as_bytes(std::span(file)), "x", metadata);
    ASSERT_THAT(entries, SizeIs(2));
    EXPECT_EQ(entries[0].name, "a");
    EXPECT_EQ(entries[0].dtype, "U8");
    EXPECT_THAT(entries[0].shape, ElementsAre());
    EXPECT_EQ(entries[0].elements(), 1);
    EXPECT_EQ(file.substr(entries[0].offset, entries[0].size), "z");
    EXPECT_EQ(entries[1].name, "b");
    EXPECT_THAT(entries[1].shape, ElementsAre(2, 1));
    EXPECT_EQ(file.substr(entries[1].offset, entries[1].size), "12345678");
    EXPECT_THAT(metadata, ElementsAre(std::pair<const std::string, std::string>("format", "pt")));
}

TEST(ParseSafetensors, AcceptsNoTensorsAndEmptyTensors) {
    EXPECT_TRUE(parse(file_of("{}", "")).empty());
    const auto entries = parse(file_of(
        R"({"a":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"c":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
        "1234"));
    ASSERT_THAT(entries, SizeIs(3));
    EXPECT_EQ(entries[0].elements(), 0);
}

TEST(ParseSafetensors, RefusesALengthThatTheFileDoesNotHave) {
    EXPECT_THAT(problem_of(length_bytes(1ULL << 60) + kHeader),
                AllOf(HasSubstr("x.safetensors"), HasSubstr("1152921504606846976"), HasSubstr("truncated")));
    EXPECT_THAT(problem_of(length_bytes(~0ULL) + kHeader), HasSubstr("18446744073709551615"));
    EXPECT_THAT(problem_of(""), HasSubstr("0 bytes"));
    EXPECT_THAT(problem_of("1234567"), HasSubstr("7 bytes"));
    EXPECT_THAT(problem_of(length_bytes(0)), HasSubstr("'{'"));
    EXPECT_THAT(problem_of(length_bytes(3) + "{}"), HasSubstr("only 2 follow"));
    EXPECT_THAT(problem_of_header("[]", 0), HasSubstr("'{'"));
    EXPECT_THAT(problem_of_header(" {}", 0), HasSubstr("'{'"));
}

TEST(ParseSafetensors, RefusesAHeaderAboveTheFormatsLimit) {
    const std::uint64_t size = 100'000'001;
    const std::string file = length_bytes(size) + "{}" + std::string(size - 2, ' ');
    EXPECT_THAT(problem_of(file), HasSubstr("at most 100000000"));
}

TEST(ParseSafetensors, RefusesBrokenOrDeepJson) {
    EXPECT_THAT(problem_of_header("{", 0), HasSubstr("no valid JSON at its byte"));
    EXPECT_THAT(problem_of_header("{}x", 0), HasSubstr("no valid JSON"));
    EXPECT_THAT(problem_of_header("{\"\xff\":{}}", 0), HasSubstr("no valid JSON"));
    std::string deep = "{\"a\":";
    deep.append(1'000'000, '[');
    EXPECT_THAT(problem_of_header(deep, 0), HasSubstr("found a list"));
    deep = "{";
    for (int i = 0; i < 100'000; ++i) deep += "\"a\":{";
    EXPECT_THAT(problem_of_header(deep, 0), HasSubstr("the field \"a\""));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1),
                HasSubstr("a list"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[{}],"data_offsets":[0,1]}})", 1),
                HasSubstr("an object"));
}

TEST(ParseSafetensors, RefusesEntriesOfAnotherForm) {
    EXPECT_THAT(problem_of_header(R"({"a":1})", 0), HasSubstr("the number 1"));
    EXPECT_THAT(problem_of_header(R"({"a":"x"})", 0), HasSubstr("the text \"x\""));
    EXPECT_THAT(problem_of_header(R"({"a":null})", 0), HasSubstr("null"));
    EXPECT_THAT(problem_of_header(R"({"a":{}})", 0), HasSubstr("incomplete"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("incomplete"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":["U8"],"shape":[1],"data_offsets":[0,1]}})", 1),
                HasSubstr("a list"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1),
                HasSubstr("the number 1"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1),
                HasSubstr("1 data_offsets"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1),
                HasSubstr("more than 2"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":0}})", 1),
                HasSubstr("\"more\""));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}})", 1), HasSubstr("true"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1), HasSubstr("1.0"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1), HasSubstr("-1"));
    EXPECT_THAT(problem_of_header(R"({"__metadata__":{"a":1}})", 0), HasSubstr("expected a text"));
    EXPECT_THAT(problem_of_header(R"({"__metadata__":{"a":{}}})", 0), HasSubstr("an object"));
}

TEST(ParseSafetensors, RefusesNamesGivenTwice) {
    EXPECT_THAT(
        problem_of_header(
            R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
            2),
        AllOf(HasSubstr("\"a\""), HasSubstr("twice")));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
                HasSubstr("twice"));
    EXPECT_THAT(problem_of_header(R"({"__metadata__":{"a":"","a":""}})", 0), HasSubstr("twice"));
    EXPECT_THAT(problem_of_header(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("twice"));
}

TEST(ParseSafetensors, RefusesShapesThatDoNotFit) {
    const auto shaped = [](const std::string& shape) {
        return problem_of_header(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4]}})", 4);
    };
    EXPECT_EQ(shaped("[1,1]"), "it was accepted");
    EXPECT_THAT(shaped("[2]"), AllOf(HasSubstr("takes 8 bytes"), HasSubstr("span 4")));
    EXPECT_THAT(shaped("[0]"), HasSubstr("takes 0 bytes"));
    // 2^62 x 4 = 2^64 = 0 in 64 bits, and 2^32 x 2^32 x 4 alike: the products must not wrap.
    EXPECT_THAT(shaped("[4611686018427387904]"), HasSubstr("more elements"));
    EXPECT_THAT(shaped("[4294967296,4294967296]"), HasSubstr("more elements"));
    EXPECT_THAT(shaped("[4611686018427387905]"), HasSubstr("more elements"));
    EXPECT_THAT(shaped("[4294967296,4294967296,0]"), HasSubstr("more elements"));
    EXPECT_THAT(shaped("[9223372036854775808]"), HasSubstr("2^63"));
    EXPECT_THAT(shaped("[99999999999999999999]"), HasSubstr("integer below 2^64"));
    EXPECT_THAT(shaped("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), HasSubstr("at most 16"));
    EXPECT_THAT(problem_of_header(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4),
                HasSubstr("\"F31\""));
}

TEST(ParseSafetensors, RefusesRangesOutsideTheDataOverlapsAndHoles) {
    const auto ranges = [](const std::string& a, const std::string& b, std::size_t data) {
        return problem_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                                     R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                                 data);
    };
    EXPECT_EQ(ranges("[0,4]", "[4,8]", 8), "it was accepted");
    EXPECT_EQ(ranges("[4,8]", "[0,4]", 8), "it was accepted");
    EXPECT_THAT(ranges("[0,4]", "[4,8]", 7), AllOf(HasSubstr("\"b\""), HasSubstr("truncated")));
    EXPECT_THAT(ranges("[0,4]", "[18446744073709551611,18446744073709551615]", 8), HasSubstr("truncated"));
    EXPECT_THAT(ranges("[0,4]", "[8,4]", 8), HasSubstr("from 8 to 4"));
    EXPECT_THAT(ranges("[0,4]", "[2,6]", 6), HasSubstr("overlaps"));
    EXPECT_THAT(ranges("[0,4]", "[0,4]", 4), HasSubstr("overlaps"));
    EXPECT_THAT(ranges("[0,4]", "[5,9]", 9), HasSubstr("hole"));
    EXPECT_THAT(ranges("[1,5]", "[5,9]", 9), HasSubstr("hole"));
    EXPECT_THAT(ranges("[0,4]", "[4,8]", 9), HasSubstr("appended"));
}

TEST(ParseSafetensors, ReportsAllProblemsButNoFlood) {
    std::string header = "{";
    for (int i = 0; i < 100; ++i) {
        header += (i ? ",\"t" : "\"t") + std::to_string(i) + R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,4]})";
    }
    try {
        parse(file_of(header + "}", "1234"));
        FAIL();
    } catch (const InputError& error) {
        EXPECT_THAT(error.problems(), SizeIs(21));
        EXPECT_THAT(error.problems().back(), HasSubstr("80 more"));
    }
}

TEST(ParseSafetensors, EscapesAndCutsHostileNames) {
    const auto problem = problem_of_header("{\"\\u001b[31m" + std::string(5000, 'a') + "\":1}", 0);
    EXPECT_EQ(problem.find('\x1b'), std::string::npos);
    EXPECT_LT(problem.size(), 300U);
}

/// A valid file with every kind of entry.
std::string valid_file() {
    const TemporaryFolder folder;
    const std::vector<float> weights(24, 0.5F);
    const std::vector<std::uint16_t> halves = {0x3c00, 0xc000};
    const std::vector<double> empty;
    const std::vector<TensorToWrite> tensors = {
        {"transformer.h.0.attn.c_attn.weight", "F32", {4, 6}, bytes_of(weights)},
        {"half", "F16", {2}, bytes_of(halves)},
        {"none", "F64", {0, 7}, bytes_of(empty)},
        {"scalar", "BF16", {}, bytes_of(halves).first(2)}};
    write_safetensors(folder.path() / "a", tensors, {{"format", "pt"}, {"note", "x"}});
    return read_text(folder.path() / "a");
}

// Whatever the bytes: entries that lie inside the file, or an InputError; never another exception, crash or hang.
TEST(ParseSafetensors, SurvivesMutations) {
    const auto valid = valid_file();
    ASSERT_THAT(parse(valid), SizeIs(4));
    const std::string_view tokens[] = {"{", "}",     "[",    "]",          ":",           ",",       "\"",
                                       "-", "1e999", "null", "\"dtype\":", "99999999999", "\\ud800", "0,"};
    std::mt19937_64 random(20260);
    int accepted = 0, refused = 0;
    for (int round = 0; round < 20000; ++round) {
        auto file = valid;
        const int edits = 1 + static_cast<int>(random() % 4);
        for (int edit = 0; edit < edits && !file.empty(); ++edit) {
            const auto at = random() % file.size();
            switch (random() % 6) {
                case 0:
                    file[at] = static_cast<char>(file[at] ^ (1 << random() % 8));
                    break;
                case 1:
                    file[at] = static_cast<char>(random());
                    break;
                case 2:
                    file.resize(at);
                    break;
                case 3:
                    file.erase(at, 1 + random() % 8);
                    break;
                case 4:
                    file.insert(at, tokens[random() % std::size(tokens)]);
                    break;
                case 5: {
                    const auto size = file.size() - std::min<std::size_t>(8, file.size());
                    file.replace(0, 8, length_bytes(size - std::min<std::size_t>(size, random() % 40)));
                    break;
                }
            }
        }
        try {
            for (const auto& entry : parse(file)) {
                ASSERT_LE(entry.offset, file.size());
                ASSERT_LE(entry.size, file.size() - entry.offset);
                ASSERT_GE(entry.elements(), 0);
                ASSERT_LE(static_cast<std::uint64_t>(entry.elements()), file.size());
            }
            ++accepted;
        } catch (const InputError& error) {
            ASSERT_THAT(error.what(), HasSubstr("x.safetensors"));
            ++refused;
        }
    }
    // Edits of data or of a letter in a name are no errors; nearly all others are.
    EXPECT_GT(accepted, 200);
    EXPECT_GT(refused, 10000);
}

TEST(ParseSafetensors, RefusesEveryTruncation) {
    const auto valid = valid_file();
    for (std::size_t size = 0; size < valid.size(); ++size) {
        EXPECT_NE(problem_of(valid.substr(0, size)), "it was accepted") << size;
    }
}

TEST(SafetensorsFile, ReadsBackWhatWasWritten) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a.safetensors";
    const std::vector<float> values = {1, -2.5F, 3e-40F, std::numeric_limits<float>::infinity(), -0.0F, 6};
    const std::vector<std::uint8_t> byte = {7};
    const std::vector<double> doubles = {0.1, 1e300};
    // The odd byte before them leaves the doubles at an unaligned address.
    const std::vector<TensorToWrite> tensors = {
        {"m", "F32", {2, 3}, bytes_of(values)}, {"b", "U8", {1}, bytes_of(byte)}, {"d", "F64", {2}, bytes_of(doubles)}};
    write_safetensors(path, tensors, {{"format", "pt"}});

    const SafetensorsFile file(path);
    EXPECT_EQ(file.path(), path);
    EXPECT_EQ(file.metadata().at("format"), "pt");
    ASSERT_THAT(file.tensors(), SizeIs(3));
    EXPECT_EQ(file.tensors()[0].name, "b");
    EXPECT_EQ(file.find("c"), nullptr);
    EXPECT_EQ(file.find("z"), nullptr);
    const auto* matrix = file.find("m");
    ASSERT_NE(matrix, nullptr);
    EXPECT_EQ(matrix->offset % 8, 0U);
    std::vector<float> read(6);
    file.read_float32(*matrix, read);
    EXPECT_EQ(std::memcmp(read.data(), values.data(), 24), 0);
    read.resize(2);
    file.read_float32(*file.find("d"), read);
    EXPECT_EQ(read[0], 0.1F);
    EXPECT_TRUE(std::isinf(read[1]));
    EXPECT_EQ(file.bytes(*file.find("b"))[0], std::byte{7});
}

TEST(SafetensorsFile, RefusesToReadIntegersAsFloatsAndWrongSizes) {
    const TemporaryFolder folder;
    const std::vector<std::uint8_t> byte = {7};
    const std::vector<TensorToWrite> tensors = {{"b", "U8", {1}, bytes_of(byte)}};
    write_safetensors(folder.path() / "a", tensors);
    const SafetensorsFile file(folder.path() / "a");
    EXPECT_TRUE(file.metadata().empty());
    std::vector<float> out(1);
    EXPECT_THROW(file.read_float32(*file.find("b"), out), InputError);
    out.resize(2);
    EXPECT_THROW(file.read_float32(*file.find("b"), out), std::invalid_argument);
    TensorEntry foreign = *file.find("b");
    foreign.offset = 1000;
    EXPECT_THROW(file.bytes(foreign), std::out_of_range);
    EXPECT_THROW(SafetensorsFile(folder.path() / "missing"), InputError);
}

TEST(SafetensorsFile, MovesWithItsEntries) {
    const TemporaryFolder folder;
    const std::vector<float> values = {5};
    const std::vector<TensorToWrite> tensors = {{"a", "F32", {1}, bytes_of(values)}};
    write_safetensors(folder.path() / "a", tensors);
    std::vector<SafetensorsFile> files;
    for (int i = 0; i < 5; ++i) files.emplace_back(folder.path() / "a");
    std::vector<float> out(1);
    for (const auto& file : files) {
        out[0] = 0;
        file.read_float32(*file.find("a"), out);
        EXPECT_EQ(out[0], 5);
    }
}

TEST(SafetensorsFile, ConvertsEveryHalf) {
    const TemporaryFolder folder;
    std::vector<std::uint16_t> bits(65536);
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
    const std::vector<TensorToWrite> tensors = {{"brain", "BF16", {65536}, bytes_of(bits)},
                                                {"half", "F16", {256, 256}, bytes_of(bits)}};
    write_safetensors(folder.path() / "a", tensors);
    const SafetensorsFile file(folder.path() / "a");
    std::vector<float> half(65536), brain(65536);
    file.read_float32(*file.find("half"), half);
    file.read_float32(*file.find("brain"), brain);
    // The oracle is the definition: (-1)^sign x 1.mantissa x 2^(exponent - bias), without bit tricks.
    const auto value = [](std::uint16_t b, int mantissa_bits, int exponent_bits) {
        const int mantissa = b & ((1 << mantissa_bits) - 1);
        const int exponent = (b >> mantissa_bits) & ((1 << exponent_bits) - 1);
        const int bias = (1 << (exponent_bits - 1)) - 1;
        const double sign = b & 0x8000 ? -1 : 1;
        if (exponent == (1 << exponent_bits) - 1) return mantissa ? std::nan("") : sign * HUGE_VAL;
        if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
        return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    };
    for (std::size_t i = 0; i < bits.size(); ++i) {
        for (const auto& [read, expected] :
             {std::pair(half[i], value(bits[i], 10, 5)), std::pair(brain[i], value(bits[i], 7, 8))}) {
            if (std::isnan(expected)) {
                ASSERT_TRUE(std::isnan(read)) << i;
            } else {
                ASSERT_EQ(read, expected) << i;
                ASSERT_EQ(std::signbit(read), std::signbit(expected)) << i;
            }
        }
    }
}

TEST(WriteSafetensors, RefusesWhatWouldBeAnInvalidFile) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a";
    const std::vector<float> values = {1, 2};
    const auto write = [&](std::vector<TensorToWrite> tensors) { write_safetensors(path, tensors); };
    EXPECT_THROW(write({{"a", "F32", {3}, bytes_of(values)}}), std::logic_error);
    EXPECT_THROW(write({{"a", "F32", {1}, bytes_of(values)}}), std::logic_error);
    EXPECT_THROW(write({{"a", "F64", {2}, bytes_of(values)}}), std::logic_error);
    EXPECT_THROW(write({{"a", "F33", {2}, bytes_of(values)}}), std::invalid_argument);
    EXPECT_THROW(write({{"a", "F32", {-1, -2}, bytes_of(values)}}), std::invalid_argument);
    EXPECT_THROW(write({{"a", "F32", {2}, bytes_of(values)}, {"a", "F32", {2}, bytes_of(values)}}),
                 std::invalid_argument);
    EXPECT_THROW(write({{"__metadata__", "F32", {2}, bytes_of(values)}}), std::invalid_argument);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, PiecesGiveTheFileOfAllValuesAtOnce) {
    const TemporaryFolder folder;
    const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {7, 8};
    const std::vector<std::uint8_t> odd = {9};
    const std::vector<TensorToWrite> tensors = {
        {"odd", "U8", {1}, bytes_of(odd)}, {"a", "F32", {3, 2}, bytes_of(a)}, {"none", "F32", {0, 2}, {}}, {"b", "F32", {2}, bytes_of(b)}};
    write_safetensors(folder.path() / "whole", tensors, {{"format", "x"}});

    SafetensorsWriter writer(folder.path() / "pieces",
                             {{"odd", "U8", {1}}, {"a", "F32", {3, 2}}, {"none", "F32", {0, 2}}, {"b", "F32", {2}}}, {{"format", "x"}});
    writer.append(3, bytes_of(b).first(4));
    writer.append(1, bytes_of(a).first(8));
    writer.append(0, bytes_of(odd));
    writer.append(1, bytes_of(a).subspan(8));
    writer.append(3, bytes_of(b).subspan(4));
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "pieces"));
    writer.commit();
    EXPECT_EQ(read_text(folder.path() / "pieces"), read_text(folder.path() / "whole"));
}

TEST(SafetensorsWriter, AFileIsWholeOrNotThere) {
    const TemporaryFolder folder;
    const std::vector<float> row = {1, 2};
    {
        SafetensorsWriter writer(folder.path() / "a", {{"a", "F32", {2, 2}}, {"b", "F32", {1, 2}}});
        writer.append(1, bytes_of(row));
        EXPECT_THROW(writer.append(1, bytes_of(row)), std::logic_error);
        writer.append(0, bytes_of(row));
        EXPECT_THROW(writer.commit(), std::logic_error);
        EXPECT_THROW(writer.unnamed(), std::logic_error);
        EXPECT_FALSE(std::filesystem::exists(folder.path() / "a"));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, WithoutANameTheValuesLastAsLongAsTheirMapping) {
    const TemporaryFolder folder;
    const std::vector<float> values = {1, 2};
    SafetensorsWriter writer(folder.path() / "a", {{"a", "F32", {2}}});
    writer.append(0, bytes_of(values));
    const SafetensorsFile file = writer.unnamed();
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    std::vector<float> read(2);
    file.read_float32(*file.find("a"), read);
    EXPECT_EQ(read, values);
}

TEST(SafetensorsWriter, AFullDiskLeavesNothing) {
    const TemporaryFolder folder;
    const std::vector<float> row(1000, 1.0F);
    // A file size limit makes pwrite(2) stop half-way, as a full disk does.
    const SmallFiles limit(7000);
    try {
        SafetensorsWriter writer(folder.path() / "a", {{"a", "F32", {2, 1000}}});
        writer.append(0, bytes_of(row));
        writer.append(0, bytes_of(row));
        writer.commit();
        FAIL() << "the file is larger than files may be";
    } catch (const StorageError& error) {
        EXPECT_THAT(error.what(), HasSubstr((folder.path() / "a").string()));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace cmsweep
