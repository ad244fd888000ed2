#include "cmsweep/base/safetensors.hpp"

#include <cstring>

#include "cmsweep/base/error.hpp"
#include "folder.hpp"
#include "fuzz.hpp"

namespace cmsweep::fuzz {
namespace {

std::vector<std::string> seeds() {
    const std::vector<float> floats(24, 1.5F);
    const std::vector<std::uint16_t> halves(6, 0x3c00);
    const std::vector<double> doubles(2, -1);
    const std::vector<std::int64_t> integers(3, 7);
    const std::vector<TensorToWrite> tensors = {{"wte.weight", "F32", {4, 6}, std::as_bytes(std::span(floats))},
                                                {"h.0.mlp.c_fc.weight", "F16", {2, 3}, std::as_bytes(std::span(halves))},
                                                {"b", "BF16", {6}, std::as_bytes(std::span(halves))},
                                                {"d", "F64", {1, 2}, std::as_bytes(std::span(doubles))},
                                                {"i", "I64", {3}, std::as_bytes(std::span(integers))},
                                                {"scalar", "F64", {}, std::as_bytes(std::span(doubles)).first(8)},
                                                {"none", "F32", {0, 3}, {}}};
    const auto path = folder() / "seed.safetensors";
    write_safetensors(path, tensors, {{"format", "pt"}, {"note", "é"}});
    const auto whole = read_text(path);
    write_safetensors(path, std::span(tensors).first(1));
    return {whole, read_text(path)};
}

/// The header's JSON alone; the length before it becomes true again.
void mutate(std::string& file, Draw& draw) {
    std::uint64_t size = 0;
    if (file.size() < sizeof size) return;
    std::memcpy(&size, file.data(), sizeof size);
    if (size > file.size() - sizeof size) return;
    std::string header = file.substr(sizeof size, size);
    if (draw.once_in(3)) {
        mutate_bytes(header, draw, {header}, {"\"__metadata__\":{}", "\"shape\":[", "\"data_offsets\":[0,0]", "\"dtype\":\"F8_E4M3\""});
    } else {
        mutate_json(header, draw);
    }
    if (draw.once_in(2)) header.append((8 - header.size() % 8) % 8, ' ');
    const std::uint64_t written = header.size();
    file.replace(0, sizeof size + size, std::string(reinterpret_cast<const char*>(&written), sizeof written) + header);
}

void read(const std::string& file) {
    {
        // On the heap, where a read beyond the end is seen.
        const std::vector<char> bytes(file.begin(), file.end());
        std::map<std::string, std::string> metadata;
        parse_safetensors(std::as_bytes(std::span(bytes)), "hostile", metadata);
    }
    const SafetensorsFile opened(put("hostile.safetensors", file));
    for (const auto& entry : opened.tensors()) {
        if (opened.find(entry.name) != &entry) throw std::logic_error("find() misses " + entry.name);
        std::vector<float> values(static_cast<std::size_t>(entry.elements()));
        try {
            opened.read_float32(entry, values);
        } catch (const InputError&) {
            continue;  // no float type
        }
        for (const float value : values) use(value);
    }
}

}  // namespace

std::vector<Format> safetensors_formats() { return {{"safetensors", seeds, read, mutate, {}}}; }

}  // namespace cmsweep::fuzz
