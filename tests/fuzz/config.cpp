#include "cmsweep/plan/config.hpp"

#include "cmsweep/base/files.hpp"
#include "cmsweep/plan/plan.hpp"
#include "fuzz.hpp"

namespace cmsweep::fuzz {
namespace {

const std::string kOwn = R"(
[sweep]
name = "hostile"
output = "out"
seeds = [0, 1]
[model]
architecture = "gpt2"
blocks = 2
width = 16
heads = 2
context = 32
tokenizer = "bytes"
[pretrain]
corpus = ["code", "math"]
steps = 30
context = 32
[[corpus]]
name = "code"
tokens = "train.bin"
select_tokens = "select.bin"
test_tokens = "test.bin"
[[corpus]]
name = "math"
files = ["a/**/*.txt", "b"]
exclude = ["**/c/**"]
holdout = 0.25
[[specialist]]
name = "code"
corpus = "code"
schedule = "constant"
mix = { corpus = "math", fraction = 0.5 }
l2sp = 0.01
[[specialist]]
name = "math"
checkpoints = { 10 = "x/10", 20 = 'x/20' }
[finetune]
steps = 20
betas = [0.9, 0.99]
context = 32
[grid]
pairs = [["code", "math"], ["code", "code#1"]]
degree_pairs = [[0, 10], [10, 20]]
layers = ["all", "each", "0-1", 1]
targets = ["code", "math"]
host = "base"
[[grid.method]]
name = "ties"
density = [0.1, 0.2]
reference = "mergekit"
[[grid.method]]
name = "route"
scope = ["per_layer", "single"]
span = [1, 2]
top_k = "all"
train_on = "target"
[evaluate]
windows = "all"
[similarity]
probe = "math"
metrics = ["cka_linear", { name = "cka_rbf", f = 0.5 }]
layers = "same"
permutations = 0x10
[run]
task_timeout = "1-02:03:04"
walltime = """2h"""
)";

std::vector<std::string> seeds() {
    const std::filesystem::path configs = CMSWEEP_CONFIGS;
    return {read_text(configs / "quickstart.toml"), read_text(configs / "models" / "small-bytes.toml"), kOwn};
}

/// Lines doubled, moved and removed; a value replaced by another line's.
void mutate_lines(std::string& text, Draw& draw) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    for (std::size_t count = draw.length(6); count > 0 && !lines.empty(); --count) {
        const auto at = static_cast<std::ptrdiff_t>(draw.below(lines.size()));
        const auto other = draw.pick(lines);
        switch (draw.below(4)) {
            case 0: lines.erase(lines.begin() + at); break;
            case 1: lines.insert(lines.begin() + at, draw.length(200), other); break;
            case 2: std::swap(lines[static_cast<std::size_t>(at)], lines[draw.below(lines.size())]); break;
            default: {
                auto& line = lines[static_cast<std::size_t>(at)];
                const auto equals = line.find('='), from = other.find('=');
                if (equals != std::string::npos && from != std::string::npos) line = line.substr(0, equals) + other.substr(from);
            }
        }
    }
    text.clear();
    for (const auto& line : lines) text += line + '\n';
    if (text.size() > kMostBytes) text.resize(kMostBytes);
}

Config read(const std::string& text) {
    auto config = parse_config(text, "/nowhere/hostile.toml");
    if (config.grid) resolve_layers(*config.grid, 4);
    return config;
}

/// Facts of a world that the seeds would find; small grids alone, since a plan is as large as the product of its axes.
void plan(const std::string& text) {
    const auto config = read(text);
    std::size_t rows = config.seeds.size() * config.corpora.size();
    if (config.grid) {
        for (const auto factor : {config.grid->pairs.size(), config.grid->degrees.size(), config.grid->layers.size(), config.grid->targets.size()}) rows *= std::max<std::size_t>(1, factor);
        std::size_t settings = 1;
        for (const auto& method : config.grid->methods) settings += method.settings.size();
        rows *= settings;
    }
    rows *= config.similarity.metrics.size() + 1;
    if (rows > 2000) return;
    InputFacts facts;
    facts.geometry = {.blocks = 4, .width = 8, .heads = 2, .context = 128, .vocabulary = 256, .inner = 32};
    facts.base = hash_text("base");
    for (const auto& corpus : config.corpora) {
        facts.corpora[corpus.name] = {{hash_text(corpus.name), hash_text("select"), hash_text("test")}, {10000, 1000, 1000}};
    }
    for (const auto& specialist : config.specialists) {
        for (const auto& [degree, path] : specialist.checkpoints) facts.loaded[{specialist.name, degree}] = hash_text(specialist.name + std::to_string(degree));
    }
    make_plan(config, facts);
}

}  // namespace

std::vector<Format> config_formats() {
    const std::vector<std::string> words = {"[grid]\n", "[[grid.method]]\n", "[[corpus]]\n", "\"\"\"", "'''", "all", "each", "0-5", "#1", "base", "${HOME}", "~", "inf", "nan", "1979-05-27",
        "0x", "1_0", "\\u0000", "\\U0010FFFF", "\xef\xbb\xbf", "\r\n", "= {", "[[", "..", "\"a\".b", "degrees = [0]\n", "seeds = [0]\n", "name = \"base\"\n", "9999999999"};
    return {{"config", seeds, [](const std::string& text) { read(text); }, mutate_lines, words, 2048},
            {"plan", seeds, plan, mutate_lines, words, 2048, std::size_t{256} << 20}};
}

}  // namespace cmsweep::fuzz
