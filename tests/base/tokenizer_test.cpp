#include "cmsweep/base/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using Tokens = std::vector<std::uint32_t>;
using Pair = std::pair<std::string, std::string>;

std::string utf8(char32_t c) {
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    if (c < 0x10000) {
        return {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
                static_cast<char>(0x80 | (c & 63))};
    }
    return {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
            static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
}

/// bytes_to_unicode as openai/gpt-2's encoder.py builds it: a list of printable bytes, then the others.
std::array<std::string, 256> alphabet() {
    std::vector<int> bytes;
    for (int b = '!'; b <= '~'; ++b) bytes.push_back(b);
    for (int b = 0xA1; b <= 0xAC; ++b) bytes.push_back(b);
    for (int b = 0xAE; b <= 0xFF; ++b) bytes.push_back(b);
    std::array<std::string, 256> symbols;
    for (const int b : bytes) symbols[static_cast<std::size_t>(b)] = utf8(static_cast<char32_t>(b));
    char32_t next = 256;
    for (auto& symbol : symbols) {
        if (symbol.empty()) symbol = utf8(next++);
    }
    return symbols;
}

std::string in_alphabet(std::string_view bytes) {
    static const auto symbols = alphabet();
    std::string text;
    for (const char c : bytes) text += symbols[static_cast<unsigned char>(c)];
    return text;
}

/// Merges over raw bytes. Ids: byte b is b, the i-th new result 256 + i, then <|endoftext|>.
struct TinyBpe {
    explicit TinyBpe(std::vector<Pair> pairs) : merges(std::move(pairs)) {
        for (int b = 0; b < 256; ++b) ids[std::string(1, static_cast<char>(b))] = static_cast<std::uint32_t>(b);
        for (const auto& [left, right] : merges) ids.emplace(left + right, ids.size());
        end = static_cast<std::uint32_t>(ids.size());
    }

    json vocabulary() const {
        json object;
        for (const auto& [bytes, id] : ids) object[in_alphabet(bytes)] = id;
        object["<|endoftext|>"] = end;
        return object;
    }

    std::string merges_text() const {
        std::string text = "#version: 0.2\n";
        for (const auto& [left, right] : merges) text += in_alphabet(left) + ' ' + in_alphabet(right) + '\n';
        return text;
    }

    json tokenizer_json(bool pairs_as_arrays = false) const {
        json list = json::array();
        for (const auto& [left, right] : merges) {
            if (pairs_as_arrays) {
                list.push_back({in_alphabet(left), in_alphabet(right)});
            } else {
                list.push_back(in_alphabet(left) + ' ' + in_alphabet(right));
            }
        }
        json vocab = vocabulary();
        vocab.erase("<|endoftext|>");
        return {
            {"version", "1.0"},
            {"truncation", nullptr},
            {"added_tokens", {{{"id", end}, {"content", "<|endoftext|>"}, {"special", true}, {"normalized", false}}}},
            {"normalizer", nullptr},
            {"pre_tokenizer",
             {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
            {"post_processor", {{"type", "ByteLevel"}}},
            {"decoder", {{"type", "ByteLevel"}}},
            {"model",
             {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}, {"vocab", vocab}, {"merges", list}}}};
    }

    std::unique_ptr<Tokenizer> make() const {
        return parse_vocab_and_merges(vocabulary().dump(), merges_text(), "tiny");
    }

    std::vector<Pair> merges;
    std::map<std::string, std::uint32_t> ids;
    std::uint32_t end;
};

TinyBpe hello() {
    return TinyBpe({{"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {" ", "w"}, {"'", "s"}, {" ", " "}});
}

// --- the oracle: encoder.py's algorithm, written the slow way, with code points of known class only -----------------

enum class Class { letter, number, space, other };

const std::map<char32_t, Class>& known_classes() {
    static const std::map<char32_t, Class> classes = [] {
        std::map<char32_t, Class> c;
        for (char32_t x = 0; x < 128; ++x) c[x] = Class::other;
        for (char32_t x = 'a'; x <= 'z'; ++x) c[x] = c[x - 32] = Class::letter;
        for (char32_t x = '0'; x <= '9'; ++x) c[x] = Class::number;
        for (char32_t x : {9, 10, 11, 12, 13, 32}) c[x] = Class::space;  // not U+001C to U+001F
        for (char32_t x : {0xE9, 0xDF, 0x3B1, 0x416, 0x5D0, 0x4E2D, 0x1D400, 0xAA, 0x2C6}) c[x] = Class::letter;
        for (char32_t x : {0x663, 0xBD, 0x2167, 0xB2})
            c[x] = Class::number;  // Arabic 3, one half, Roman VIII, superscript 2
        for (char32_t x : {0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x202F, 0x205F, 0x3000}) c[x] = Class::space;
        // A combining accent, a zero-width space, the old vowel separator, an emoji, U+FFFD, a dash: none of the three.
        for (char32_t x : {0x301, 0x200B, 0x180E, 0x1F600, 0xFFFD, 0x2014}) c[x] = Class::other;
        return c;
    }();
    return classes;
}

std::vector<std::string> oracle_words(const std::u32string& text) {
    const auto class_of = [](char32_t c) { return known_classes().at(c); };
    std::vector<std::string> words;
    std::size_t at = 0;
    const auto take = [&](std::size_t count) {
        std::string word;
        for (std::size_t i = 0; i < count; ++i) word += utf8(text[at + i]);
        words.push_back(word);
        at += count;
    };
    while (at < text.size()) {
        bool done = false;
        for (const std::u32string_view tail : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
            if (!done && std::u32string_view(text).substr(at).starts_with(tail)) {
                take(tail.size());
                done = true;
            }
        }
        for (const Class kind : {Class::letter, Class::number, Class::other}) {
            if (done) break;
            const std::size_t start = at + (text[at] == ' ' ? 1 : 0);
            std::size_t end = start;
            while (end < text.size() && class_of(text[end]) == kind) ++end;
            if (end > start) {
                take(end - at);
                done = true;
            }
        }
        if (done) continue;
        std::size_t end = at;
        while (end < text.size() && class_of(text[end]) == Class::space) ++end;
        // \s+(?!\S): all of a run at the end of the text, else all but its last, if that leaves any.
        take(end == text.size() || end == at + 1 ? end - at : end - at - 1);
    }
    return words;
}

Tokens oracle_encode(const TinyBpe& bpe, const std::u32string& text) {
    std::map<Pair, std::size_t> ranks;
    for (std::size_t i = 0; i < bpe.merges.size(); ++i) ranks[bpe.merges[i]] = i;
    Tokens tokens;
    for (const std::string& bytes : oracle_words(text)) {
        std::vector<std::string> word;
        for (const char c : bytes) word.emplace_back(1, c);
        for (;;) {
            std::size_t best = std::numeric_limits<std::size_t>::max();
            for (std::size_t i = 0; i + 1 < word.size(); ++i) {
                const auto found = ranks.find({word[i], word[i + 1]});
                if (found != ranks.end()) best = std::min(best, found->second);
            }
            if (best == std::numeric_limits<std::size_t>::max()) break;
            std::vector<std::string> merged;
            for (std::size_t i = 0; i < word.size(); ++i) {
                if (i + 1 < word.size() && Pair(word[i], word[i + 1]) == bpe.merges[best]) {
                    merged.push_back(word[i] + word[i + 1]);
                    ++i;
                } else {
                    merged.push_back(word[i]);
                }
            }
            word = merged;
        }
        for (const auto& symbol : word) tokens.push_back(bpe.ids.at(symbol));
    }
    return tokens;
}

class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
    template <class T>
    const T& pick(const std::vector<T>& from) {
        return from[below(from.size())];
    }

private:
    std::mt19937_64 engine_;
};

/// Text rich in what the pattern looks at: contractions, runs of spaces, changes of class.
std::u32string random_text(Random& random, std::size_t parts) {
    static const std::vector<char32_t> every = [] {
        std::vector<char32_t> points;
        for (const auto& [point, kind] : known_classes()) points.push_back(point);
        return points;
    }();
    static const std::vector<std::u32string> pieces = {
        U"'s",   U"'t",  U"'re", U"'ve",  U"'m",  U"'ll", U"'d",   U"'S", U"'",  U" ",      U"  ", U"   ", U"\n",
        U"\n\n", U"\t ", U"ab",  U"abab", U"aaa", U"the", U" the", U"12", U" 3", U"\u00E9", U"..", U" !?"};
    std::u32string text;
    for (std::size_t i = 0; i < parts; ++i) {
        if (random.below(3) == 0) {
            text += every[random.below(every.size())];
        } else {
            text += random.pick(pieces);
        }
    }
    return text;
}

/// Merges grown from the bytes that random_text uses; `shuffled` puts them out of the order a trainer would give.
TinyBpe random_bpe(Random& random, bool shuffled) {
    std::vector<std::string> symbols;
    for (const char c : std::string("abthe' 123.\n\xC3\xA9\xE2\x80\xF0\x9F")) symbols.emplace_back(1, c);
    std::vector<Pair> merges;
    std::map<Pair, bool> seen;
    while (merges.size() < 60) {
        const Pair pair(random.pick(symbols), random.pick(symbols));
        if (pair.first.size() + pair.second.size() > 6 || seen[pair]) continue;
        seen[pair] = true;
        merges.push_back(pair);
        symbols.push_back(pair.first + pair.second);
    }
    if (shuffled) {
        for (std::size_t i = merges.size() - 1; i > 0; --i) std::swap(merges[i], merges[random.below(i + 1)]);
    }
    return TinyBpe(merges);
}

std::string encode_utf8(const std::u32string& text) {
    std::string out;
    for (const char32_t c : text) out += utf8(c);
    return out;
}

std::string problem_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const InputError& error) {
        return error.what();
    }
    return "no error";
}

// --- bytes
// ------------------------------------------------------------------------------------------------------------

TEST(ByteTokenizer, MapsEachByteToItself) {
    const auto tokenizer = make_byte_tokenizer();
    EXPECT_EQ(tokenizer->encode(std::string_view("a\0\xFF", 3)), (Tokens{97, 0, 255}));
    EXPECT_EQ(tokenizer->decode(Tokens{97, 0, 255}), std::string("a\0\xFF", 3));
    EXPECT_EQ(tokenizer->vocabulary(), 256U);
    EXPECT_EQ(tokenizer->end_of_text(), 0U);
    EXPECT_TRUE(tokenizer->encode("").empty());
}

TEST(ByteTokenizer, RefusesToDecodeAnotherTokenizersIds) {
    const auto tokenizer = make_byte_tokenizer();
    EXPECT_THAT(problem_of([&] { tokenizer->decode(Tokens{1, 256}); }), HasSubstr("token 256 at position 1"));
}

// --- BPE by hand
// --------------------------------------------------------------------------------------------------------

TEST(BpeTokenizer, EncodesByRankByHand) {
    // 256 he, 257 ll, 258 hell, 259 hello, 260 " w", 261 's, 262 two spaces, 263 <|endoftext|>
    const auto tokenizer = hello().make();
    EXPECT_THAT(tokenizer->encode("hello"), ElementsAre(259));
    EXPECT_THAT(tokenizer->encode("hell"), ElementsAre(258));
    EXPECT_THAT(tokenizer->encode("helo"), ElementsAre(256, 'l', 'o'));
    EXPECT_THAT(tokenizer->encode("lllo"), ElementsAre(257, 'l', 'o'));
    EXPECT_THAT(tokenizer->encode("hello world"), ElementsAre(259, 260, 'o', 'r', 'l', 'd'));
    EXPECT_EQ(tokenizer->vocabulary(), 264U);
    EXPECT_EQ(tokenizer->end_of_text(), 263U);
    EXPECT_TRUE(tokenizer->encode("").empty());
}

TEST(BpeTokenizer, SplitsContractionsAndSpacesBeforeMerging) {
    const auto tokenizer = hello().make();
    EXPECT_THAT(tokenizer->encode("he's"), ElementsAre(256, 261));
    EXPECT_THAT(tokenizer->encode("he'S"), ElementsAre(256, '\'', 'S'));
    // Three spaces before a word: two stay together, the third belongs to the word.
    EXPECT_THAT(tokenizer->encode("   w"), ElementsAre(262, 260));
    // At the end of the text the whole run is one word.
    EXPECT_THAT(tokenizer->encode("w   "), ElementsAre('w', 262, ' '));
    // The tab cannot join the word; the run gives up its last character.
    EXPECT_THAT(tokenizer->encode("\t\tw"), ElementsAre('\t', '\t', 'w'));
}

TEST(BpeTokenizer, TreatsEndOfTextInsideATextAsText) {
    const auto tokens = hello().make()->encode("<|endoftext|>");
    EXPECT_EQ(tokens.size(), 13U);
    EXPECT_THAT(tokens, testing::Not(testing::Contains(263)));
}

TEST(BpeTokenizer, ReplacesInvalidUtf8AsPythonDoes) {
    const auto tokenizer = hello().make();
    const Tokens replaced{0xEF, 0xBF, 0xBD};
    const auto expect = [&](std::string_view bytes, std::string_view python) {
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes)), python) << testing::PrintToString(std::string(bytes));
    };
    const std::string r = "\xEF\xBF\xBD";
    EXPECT_EQ(tokenizer->encode("\xFF"), replaced);
    expect("a\x80z", "a" + r + "z");
    expect("\xE2\x82", r);  // a sequence cut short is one error
    expect("\xE2\x82z", r + "z");
    expect("\xF0\x9F\x98", r);
    expect("\xF0\x9F\x98\xF0", r + r);
    expect("\xC0\xAF", r + r);  // overlong
    expect("\xE0\x80\xAF", r + r + r);
    expect("\xED\xA0\x80", r + r + r);  // surrogate
    expect("\xF4\x90\x80\x80", r + r + r + r);
    expect("\xE2\x82\xAC", "\xE2\x82\xAC");
}

TEST(BpeTokenizer, DecodesWhatItEncoded) {
    const auto tokenizer = hello().make();
    const std::string text = "hello's  w\xC3\xA9 \xF0\x9F\x98\x80\n\n 42";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    EXPECT_EQ(tokenizer->decode(Tokens{263}), "<|endoftext|>");
    EXPECT_THAT(problem_of([&] { tokenizer->decode(Tokens{264}); }), HasSubstr("token 264"));
}

TEST(BpeTokenizer, MergesAllOccurrencesOfAPairBeforeTheNext) {
    // (ab, a) has the better rank but exists only after (a, b): encoder.py still finishes (a, b) first.
    const TinyBpe bpe({{"ab", "a"}, {"a", "b"}});
    const auto tokenizer = bpe.make();
    EXPECT_EQ(tokenizer->encode("abab"), (Tokens{bpe.ids.at("ab"), bpe.ids.at("ab")}));
    EXPECT_EQ(tokenizer->encode("aba"), Tokens{bpe.ids.at("aba")});
}

TEST(BpeTokenizer, APairListedTwiceHasItsLaterRank) {
    const TinyBpe bpe({{"a", "b"}, {"b", "c"}, {"a", "b"}});
    EXPECT_EQ(bpe.make()->encode("abc"), (Tokens{'a', bpe.ids.at("bc")}));
}

// --- against the oracle
// -------------------------------------------------------------------------------------------------

TEST(BpeTokenizer, AgreesWithTheNaiveAlgorithmOnRandomText) {
    for (const bool shuffled : {false, true}) {
        for (std::uint64_t seed = 0; seed < 8; ++seed) {
            Random random(seed + (shuffled ? 100 : 0));
            const TinyBpe bpe = random_bpe(random, shuffled);
            const auto tokenizer = bpe.make();
            for (int i = 0; i < 300; ++i) {
                const std::u32string text = random_text(random, 1 + random.below(40));
                ASSERT_EQ(tokenizer->encode(encode_utf8(text)), oracle_encode(bpe, text))
                    << "seed " << seed << ", text " << testing::PrintToString(encode_utf8(text));
            }
        }
    }
}

TEST(BpeTokenizer, ReadsInvalidBytesAsReplacementCharacters) {
    Random random(7);
    const TinyBpe bpe = random_bpe(random, false);
    const auto tokenizer = bpe.make();
    // Each of these alone is one error to Python, whatever stands before or after from random_text's whole characters.
    const std::vector<std::string> errors = {"\x80", "\xFF", "\xC2", "\xE2\x82", "\xF0\x9F\x98"};
    for (int i = 0; i < 200; ++i) {
        std::string bytes;
        std::u32string repaired;
        for (int part = 0; part < 6; ++part) {
            const std::u32string text = random_text(random, 1 + random.below(4));
            bytes += encode_utf8(text) + random.pick(errors);
            repaired += text + char32_t{0xFFFD};
        }
        ASSERT_EQ(tokenizer->encode(bytes), oracle_encode(bpe, repaired));
    }
}

TEST(BpeTokenizer, EncodesVeryLongWordsInNearLinearTime) {
    const TinyBpe bpe({{"a", "b"}, {"ab", "ab"}, {"abab", "abab"}});
    const auto tokenizer = bpe.make();
    std::string text;
    while (text.size() < (1 << 20)) text += "ab";
    const auto start = std::chrono::steady_clock::now();
    const Tokens tokens = tokenizer->encode(text);
    const Tokens spaces = tokenizer->encode(std::string(1 << 20, '\n') + "a");
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokens, Tokens((1 << 20) / 8, bpe.ids.at("abababab")));
    EXPECT_EQ(spaces.size(), (1U << 20) + 1);
    EXPECT_LT(seconds.count(), 10) << "a quadratic merge needs about 10^11 steps; this takes well under a second";
}

TEST(BpeTokenizer, GivesTheSameFromSeveralThreads) {
    Random random(3);
    const TinyBpe bpe = random_bpe(random, false);
    const std::string text = encode_utf8(random_text(random, 20000));
    const Tokens expected = bpe.make()->encode(text);
    const auto tokenizer = bpe.make();
    std::vector<Tokens> results(4);
    std::vector<std::thread> threads;
    for (auto& result : results) threads.emplace_back([&] { result = tokenizer->encode(text); });
    for (auto& thread : threads) thread.join();
    for (const auto& result : results) EXPECT_EQ(result, expected);
}

// --- files
// ----------------------------------------------------------------------------------------------------------------

TEST(LoadTokenizer, ReadsEitherLayoutAlike) {
    const TinyBpe bpe = hello();
    const auto files = bpe.make();
    const std::string text = "hello world, he's 42";
    for (const bool arrays : {false, true}) {
        const auto single = parse_tokenizer_json(bpe.tokenizer_json(arrays).dump(), "t");
        EXPECT_EQ(single->encode(text), files->encode(text));
        EXPECT_EQ(single->digest(), files->digest());
        EXPECT_EQ(single->end_of_text(), files->end_of_text());
        EXPECT_EQ(single->vocabulary(), files->vocabulary());
    }
}

TEST(LoadTokenizer, ReadsMergesWithWindowsLineEnds) {
    const TinyBpe bpe = hello();
    std::string merges;
    for (const char c : bpe.merges_text()) merges += c == '\n' ? "\r\n" : std::string(1, c);
    EXPECT_EQ(parse_vocab_and_merges(bpe.vocabulary().dump(), merges, "t")->digest(), bpe.make()->digest());
}

TEST(LoadTokenizer, DigestTellsMergeOrdersApart) {
    const TinyBpe one({{"a", "b"}, {"b", "c"}});
    const std::string swapped = "b c\na b\n";
    EXPECT_NE(parse_vocab_and_merges(one.vocabulary().dump(), swapped, "t")->digest(), one.make()->digest());
    EXPECT_NE(make_byte_tokenizer()->digest(), one.make()->digest());
}

TEST(LoadTokenizer, LooksForTokenizerJsonFirst) {
    namespace fs = std::filesystem;
    const fs::path folder = fs::temp_directory_path() / ("cmsweep-tokenizer-" + std::to_string(getpid()));
    fs::create_directories(folder);
    EXPECT_THAT(problem_of([&] { load_tokenizer(folder); }),
                testing::AllOf(HasSubstr(folder.string()), HasSubstr("tokenizer.json")));
    const TinyBpe plain({});
    std::ofstream(folder / "vocab.json") << plain.vocabulary().dump();
    std::ofstream(folder / "merges.txt") << plain.merges_text();
    EXPECT_EQ(load_tokenizer(folder)->vocabulary(), 257U);
    std::ofstream(folder / "tokenizer.json") << hello().tokenizer_json().dump();
    EXPECT_EQ(load_tokenizer(folder)->vocabulary(), 264U);
    fs::remove_all(folder);
}

TEST(LoadTokenizer, RefusesOtherKindsByName) {
    const json good = hello().tokenizer_json();
    const auto problem = [&](const char* pointer, const json& value) {
        json bad = good;
        bad[json::json_pointer(pointer)] = value;
        return problem_of([&] { parse_tokenizer_json(bad.dump(), "file"); });
    };
    EXPECT_THAT(problem("/model/type", "Unigram"), HasSubstr("model.type = \"Unigram\": expected \"BPE\""));
    EXPECT_THAT(problem("/model/dropout", 0.1), HasSubstr("model.dropout = 0.1"));
    EXPECT_THAT(problem("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
    EXPECT_THAT(problem("/model/ignore_merges", true), HasSubstr("ignore_merges"));
    EXPECT_THAT(problem("/normalizer", {{"type", "NFC"}}), HasSubstr("normalizer"));
    EXPECT_THAT(problem("/pre_tokenizer/type", "Metaspace"), HasSubstr("\"Metaspace\": expected \"ByteLevel\""));
    EXPECT_THAT(problem("/pre_tokenizer", nullptr), HasSubstr("pre_tokenizer.type = null"));
    EXPECT_THAT(problem("/pre_tokenizer/add_prefix_space", true), HasSubstr("add_prefix_space"));
    EXPECT_THAT(problem("/pre_tokenizer/use_regex", false), HasSubstr("use_regex"));
    EXPECT_THAT(problem("/added_tokens/0", {{"id", 900}, {"content", "    "}, {"special", false}}),
                HasSubstr("special"));
    EXPECT_EQ(problem("/model/unk_token", "<|endoftext|>"), "no error");
}

TEST(LoadTokenizer, ReportsEveryMalformedEntry) {
    json bad = hello().tokenizer_json();
    bad["model"]["merges"] = {"h e", "no", "a  b", json::array({"a"}), 7, "q z"};
    try {
        parse_tokenizer_json(bad.dump(), "file");
        FAIL() << "accepted";
    } catch (const InputError& error) {
        ASSERT_EQ(error.problems().size(), 5U) << error.what();
        EXPECT_THAT(error.problems()[0], HasSubstr("file: model.merges[1] is \"no\""));
        EXPECT_THAT(error.problems()[4], HasSubstr("model.merges[5]: \"qz\" is not in the vocabulary"));
    }
    const TinyBpe bpe = hello();
    const auto vocab_problem = [&](const json& vocab, const std::string& merges) {
        return problem_of([&] { parse_vocab_and_merges(vocab.dump(), merges, "dir"); });
    };
    json vocab = bpe.vocabulary();
    EXPECT_THAT(vocab_problem(vocab, "#version: 0.2\nh e\nbroken\n"), HasSubstr("dir: merges.txt:3: \"broken\""));
    vocab["a"] = -1;
    EXPECT_THAT(vocab_problem(vocab, ""), HasSubstr("\"a\"] = -1"));
    vocab["a"] = 98;
    EXPECT_THAT(vocab_problem(vocab, ""), HasSubstr("id 98 stands for both"));
    vocab.erase("a");
    EXPECT_THAT(vocab_problem(vocab, ""), HasSubstr("lacks \"a\", the symbol of byte 97"));
    vocab = bpe.vocabulary();
    vocab.erase("<|endoftext|>");
    EXPECT_THAT(vocab_problem(vocab, ""), HasSubstr("<|endoftext|>"));
    EXPECT_THAT(vocab_problem(json::array(), ""), HasSubstr("expected an object"));
    EXPECT_THAT(problem_of([] { parse_tokenizer_json("{", "file"); }), HasSubstr("file: no valid JSON"));
    EXPECT_THAT(problem_of([] { parse_tokenizer_json("[]", "file"); }), HasSubstr("no object \"model\""));
    for (const auto& closed : {std::string(), std::string(100000, ']')}) {
        EXPECT_THAT(problem_of([&] { parse_tokenizer_json(std::string(100000, '[') + closed, "file"); }),
                    HasSubstr("file: brackets more than 100 deep"));
    }
}

TEST(LoadTokenizer, SurvivesDamagedFiles) {
    const std::string good = hello().tokenizer_json().dump();
    Random random(11);
    int refused = 0;
    for (int i = 0; i < 1500; ++i) {
        std::string bad = good;
        for (std::size_t edits = 1 + random.below(3); edits > 0 && !bad.empty(); --edits) {
            const std::size_t at = random.below(bad.size());
            switch (random.below(5)) {
                case 0:
                    bad[at] = static_cast<char>(random.below(256));
                    break;
                case 1:
                    bad.erase(at, 1 + random.below(20));
                    break;
                case 2:
                    bad.insert(at, bad.substr(random.below(bad.size()), 1 + random.below(40)));
                    break;
                case 3:
                    bad.insert(at, 1, "{}[]\",:0-e\\"[random.below(11)]);
                    break;
                default:
                    bad[at] = static_cast<char>(bad[at] ^ (1 << random.below(8)));
                    break;
            }
        }
        if (random.below(10) == 0) bad.resize(random.below(bad.size() + 1));
        try {
            const auto tokenizer = parse_tokenizer_json(bad, "damaged");
            const auto tokens = tokenizer->encode("hello world's \xFF 12");
            for (const auto token : tokens) ASSERT_LT(token, tokenizer->vocabulary());
        } catch (const InputError&) {
            ++refused;
        }
    }
    EXPECT_GT(refused, 1000);
    EXPECT_LT(refused, 1500);  // some damage is harmless, so the accepting path ran too
}

}  // namespace
}  // namespace cmsweep
