#include "cmsweep/base/id.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <unordered_set>
#include <vector>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

using nlohmann::json;

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Id, IsXxh3128) {
    // As `xxhsum -H2` prints them; the first is the reference implementation's sanity vector of length 0.
    EXPECT_EQ(hash_text("").hex(), "99aa06d3014798d86001c324468d497f");
    EXPECT_EQ(hash_text("abc").hex(), "06b05ab6733a618578af5f94892f3950");
    EXPECT_EQ(hash_text("xxhash").hex(), "9c8b437c78cac00a376072e24bfdf4d2");
    std::string pattern(5000, '\0');
    for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<char>(i % 251);
    EXPECT_EQ(hash_text(pattern).hex(), "b92ec02c39d33ce7b418500fc42320ee");
}

TEST(Id, NoneIsFalse) {
    EXPECT_FALSE(Id{});
    EXPECT_TRUE((Id{0, 1}));
    EXPECT_TRUE((Id{1, 0}));
    EXPECT_TRUE(hash_text(""));
}

TEST(Id, ParseIsTheInverseOfHex) {
    for (const Id id : {Id{}, Id{1, 2}, Id{~0ULL, 0x0123456789abcdefULL}, hash_text("x")}) {
        EXPECT_EQ(Id::parse(id.hex()), id);
    }
    EXPECT_EQ(Id::parse("0000000000000001FFFFFFFFFFFFFFFF"), (Id{1, ~0ULL}));
}

TEST(Id, ParseRefusesOtherText) {
    const std::string good = hash_text("x").hex();
    for (const auto& bad : {std::string(), good.substr(1), good + "0", "g" + good.substr(1), "-" + good.substr(1),
                            "0x" + good.substr(2), good.substr(0, 31) + " ", " " + good.substr(1)}) {
        EXPECT_THROW(Id::parse(bad), InputError) << bad;
    }
}

TEST(Id, OrdersByHighThenLowAndGoesThroughJson) {
    EXPECT_LT((Id{1, 9}), (Id{2, 0}));
    EXPECT_LT((Id{1, 0}), (Id{1, 1}));
    const Id id = hash_text("y");
    EXPECT_EQ(json(id).dump(), '"' + id.hex() + '"');
    EXPECT_EQ(json(id).get<Id>(), id);
    EXPECT_THROW(json(3).get<Id>(), InputError);
    std::unordered_set<Id> set = {id, Id{}, id};
    EXPECT_EQ(set.size(), 2U);
}

TEST(CanonicalJson, SortsKeysAndDropsWhiteSpace) {
    EXPECT_EQ(canonical_json(json::parse(R"({ "b" : [1, true, null, "x\n\u00e4"], "a": {"d": {}, "c": []} })")),
              "{\"a\":{\"c\":[],\"d\":{}},\"b\":[1,true,null,\"x\\n\xc3\xa4\"]}");
    EXPECT_EQ(hash_json(json::parse(R"({"x":1,"y":2})")), hash_json(json::parse(R"({"y":2, "x":1})")));
    EXPECT_NE(hash_json(json::parse(R"(["1"])")), hash_json(json::parse("[1]")));
}

TEST(CanonicalJson, WritesIntegralDoublesAsIntegers) {
    EXPECT_EQ(canonical_json(1.0), "1");
    EXPECT_EQ(canonical_json(-0.0), "0");
    EXPECT_EQ(canonical_json(-3.0), "-3");
    EXPECT_EQ(canonical_json(1e15), "1000000000000000");
    EXPECT_EQ(canonical_json(0x1p63), "9223372036854775808");
    EXPECT_EQ(canonical_json(-0x1p63), "-9223372036854775808");
    EXPECT_EQ(canonical_json(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
    EXPECT_EQ(hash_json(json::parse("{\"alpha\": 1}")), hash_json(json::parse("{\"alpha\": 1.0}")));
}

TEST(CanonicalJson, WritesTheShortestNumberThatRoundTrips) {
    EXPECT_EQ(canonical_json(0.1), "0.1");
    EXPECT_EQ(canonical_json(1e-5), "1e-05");
    EXPECT_EQ(canonical_json(0.1 + 0.2), "0.30000000000000004");
    EXPECT_EQ(canonical_json(1e300), "1e+300");
    std::mt19937_64 random(1);
    for (int i = 0; i < 1000; ++i) {
        const double value = std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 600) - 300);
        EXPECT_EQ(json::parse(canonical_json(value)).get<double>(), value);
    }
}

TEST(CanonicalJson, RefusesWhatHasNoCanonicalForm) {
    EXPECT_THROW(canonical_json(std::numeric_limits<double>::quiet_NaN()), InputError);
    EXPECT_THROW(canonical_json(std::numeric_limits<double>::infinity()), InputError);
    EXPECT_THROW(canonical_json("\xff"), InputError);
    EXPECT_THROW(canonical_json(json{{"\xff", 1}}), InputError);
    EXPECT_THROW(canonical_json(json::binary({1, 2})), InputError);
}

TEST(Hasher, EqualsTheHashOfTheWholeHoweverItIsCut) {
    std::string text(3000, '\0');
    std::mt19937_64 random(2);
    for (auto& c : text) c = static_cast<char>(random());
    for (const std::size_t step : {1U, 7U, 64U, 255U, 256U, 1024U, 3000U}) {
        Hasher hasher;
        hasher.add(std::string_view{});
        for (std::size_t i = 0; i < text.size(); i += step) hasher.add(std::string_view(text).substr(i, step));
        EXPECT_EQ(hasher.digest(), hash_text(text)) << step;
    }
    Hasher hasher;
    EXPECT_EQ(hasher.digest(), hash_text(""));
    hasher.add("ab");
    EXPECT_EQ(hasher.digest(), hash_text("ab"));
    Hasher moved = std::move(hasher);
    moved.add("c");  // a digest does not end the stream
    EXPECT_EQ(moved.digest(), hash_text("abc"));
}

TEST(Crc32, IsZlibs) {
    EXPECT_EQ(crc32(as_bytes("123456789")), 0xcbf43926U);  // the polynomial's published check value
    EXPECT_EQ(crc32({}), 0U);
    EXPECT_EQ(crc32(as_bytes("6789"), crc32(as_bytes("12345"))), 0xcbf43926U);
    EXPECT_EQ(crc32({}, 0xcbf43926U), 0xcbf43926U);
}

}  // namespace
}  // namespace cmsweep
