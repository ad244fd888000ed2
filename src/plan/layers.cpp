#include "layers.hpp"

#include <algorithm>
#include <charconv>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

std::optional<std::int64_t> parse_index(std::string_view text) {
    if (text.empty() || text.size() > 6) return std::nullopt;
    std::int64_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size() || text[0] == '-') return std::nullopt;
    return index;
}

LayerSpec blocks_layer(std::int64_t first, std::int64_t last) {
    const std::string name = first == last ? std::to_string(first) : std::to_string(first) + '-' + std::to_string(last);
    return {name, first, last, false};
}

}  // namespace

std::optional<LayerSpec> parse_layer(std::string_view text) {
    if (text == "all") return LayerSpec{"all", -1, -1, true};
    if (text == "each") return LayerSpec{"each", -1, -1, false};
    const auto dash = text.find('-');
    const auto first = parse_index(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_index(text.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    return blocks_layer(*first, *last);
}

std::vector<LayerSpec> resolve_layers(const GridConfig& grid, std::int64_t blocks) {
    std::vector<LayerSpec> layers;
    std::vector<std::string> problems;
    const auto add = [&](const LayerSpec& layer) {
        if (std::find(layers.begin(), layers.end(), layer) == layers.end()) layers.push_back(layer);
    };
    for (const auto& text : grid.layers) {
        const auto layer = parse_layer(text);
        const std::string place = grid.where + ".layers: \"" + text + "\": ";
        if (!layer) {
            problems.push_back(place + "expected " + kLayerSyntax);
        } else if (layer->whole_model) {
            add({"all", 0, blocks - 1, true});
        } else if (layer->name == "each") {
            for (std::int64_t block = 0; block < blocks; ++block) add(blocks_layer(block, block));
        } else if (layer->last >= blocks) {
            problems.push_back(place + "the model has " + std::to_string(blocks) + " blocks, 0 to " +
                               std::to_string(blocks - 1));
        } else {
            add(*layer);
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return layers;
}

}  // namespace cmsweep
