#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/tokenizer.hpp"
#include "cmsweep/model/corpus.hpp"

namespace cmsweep {

/// A test with a folder of its own, and the byte tokenizer.
class CorpusTest : public testing::Test {
protected:
    CorpusTest() {
        const auto* info = testing::UnitTest::GetInstance()->current_test_info();
        folder_ = std::filesystem::temp_directory_path() /
                  ("cmsweep-" + std::to_string(getpid()) + "-" + info->test_suite_name() + "-" + info->name());
        std::filesystem::create_directories(folder_);
    }
    ~CorpusTest() override { std::filesystem::remove_all(folder_); }

    std::string path(const std::string& name) const { return (folder_ / name).string(); }

    void write(const std::string& name, std::string_view text) const {
        std::filesystem::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
    }

    CorpusSource source(std::vector<std::string> files) const {
        CorpusSource s;
        s.name = "c";
        s.where = "sweep.toml:7: corpus[0]";
        for (auto& file : files) s.files.push_back(path(file));
        return s;
    }

    Corpus read(const CorpusSource& s, std::int64_t gap = 0) const { return read_corpus(s, bytes_.get(), gap); }

    /// The documents of a split as text, without the end-of-text that follows each.
    std::vector<std::string> texts(const TokenSplit& split) const {
        std::vector<std::string> result;
        for (std::size_t i = 0; i < split.document_starts.size(); ++i) {
            const std::uint64_t begin = split.document_starts[i];
            const std::uint64_t end =
                i + 1 < split.document_starts.size() ? split.document_starts[i + 1] : split.tokens.size();
            std::string text = bytes_->decode(std::span(split.tokens).subspan(begin, end - begin));
            if (text.ends_with('\0')) text.pop_back();
            result.push_back(text);
        }
        return result;
    }

    std::filesystem::path folder_;
    std::unique_ptr<Tokenizer> bytes_ = make_byte_tokenizer();
};

inline std::string problem_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const InputError& error) {
        return error.what();
    }
    return "no error";
}

/// A letter and a number. (GCC 12 warns of overlapping copies where a literal of one character is added in front.)
inline std::string numbered_word(char letter, std::size_t number) {
    std::string word(1, letter);
    return word += std::to_string(number);
}

/// Random words from a vocabulary of `vocabulary`, seeded.
class RandomWords {
public:
    explicit RandomWords(std::uint64_t seed, std::size_t vocabulary = 5000) : engine_(seed), vocabulary_(vocabulary) {}
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
    std::string word() { return numbered_word('w', below(vocabulary_)); }
    std::vector<std::string> words(std::size_t count) {
        std::vector<std::string> result;
        for (std::size_t i = 0; i < count; ++i) result.push_back(word());
        return result;
    }
    /// Lines of ten words.
    std::string text(std::size_t count) {
        std::string result;
        for (std::size_t i = 0; i < count; ++i) result += word() + (i % 10 == 9 ? '\n' : ' ');
        return result;
    }

private:
    std::mt19937_64 engine_;
    std::size_t vocabulary_;
};

inline std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

}  // namespace cmsweep
