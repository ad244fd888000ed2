#include "cmsweep/base/error.hpp"
#include "cmsweep/base/tokenizer.hpp"

namespace cmsweep {
namespace {

class ByteTokenizer final : public Tokenizer {
public:
    std::vector<std::uint32_t> encode(std::string_view text) const override {
        std::vector<std::uint32_t> tokens(text.size());
        for (std::size_t i = 0; i < text.size(); ++i) tokens[i] = static_cast<unsigned char>(text[i]);
        return tokens;
    }

    std::string decode(std::span<const std::uint32_t> tokens) const override {
        std::string text(tokens.size(), '\0');
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            if (tokens[i] > 255) {
                throw InputError("token " + std::to_string(tokens[i]) + " at position " + std::to_string(i) +
                                 ": the tokenizer \"bytes\" has ids 0 to 255; is the text from another tokenizer?");
            }
            text[i] = static_cast<char>(tokens[i]);
        }
        return text;
    }

    std::uint32_t vocabulary() const override { return 256; }
    std::uint32_t end_of_text() const override { return 0; }
    Id digest() const override { return hash_text("cmsweep tokenizer: bytes"); }
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

}  // namespace cmsweep
