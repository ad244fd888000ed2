#include "cmsweep/plan/config.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/core/merge/weights.hpp"
#include "layers.hpp"
#include "settings.hpp"
#include "toml_reader.hpp"

namespace cmsweep {
namespace {

// Limits that no real sweep reaches; they keep every later product inside its integer type.
constexpr std::int64_t kMaxSteps = 1'000'000'000;
constexpr std::int64_t kMaxBatch = 1 << 20;
constexpr std::int64_t kMaxContext = 1 << 20;
constexpr std::int64_t kMaxWindows = 1'000'000'000;
constexpr std::int64_t kMaxSeed = (std::int64_t{1} << 53) - 1;  // exact in every reader of the store
constexpr int kMaxTwin = 1000;
constexpr double kMaxRows = 1e7;
constexpr double kMaxSettings = 1e5;

const std::string kNameRule = "a name of letters, digits, '-', '_' and '.', at most 64";

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.';
    });
}

template <typename Row>
std::vector<std::string> names_of(const std::vector<Row>& rows) {
    std::vector<std::string> names;
    for (const auto& row : rows) names.push_back(row.name);
    return names;
}

template <typename Row>
const Row* find_named(const std::vector<Row>& rows, std::string_view name) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
    return found == rows.end() ? nullptr : &*found;
}

bool has_training_text(const CorpusConfig& corpus) {
    const bool own = !corpus.files.empty() || !corpus.tokens.empty();
    const bool explicit_holdout = !corpus.test_files.empty() || !corpus.test_tokens.empty();
    return own && (explicit_holdout || corpus.holdout < 1);
}

bool has_held_out_text(const CorpusConfig& corpus) {
    const bool explicit_holdout = !corpus.test_files.empty() || !corpus.test_tokens.empty();
    return explicit_holdout || corpus.holdout > 0;
}

std::string members_text(const std::vector<std::string>& members) {
    std::string text;
    for (const auto& member : members) text += (text.empty() ? "" : " + ") + member;
    return text;
}

/// A pair as the checks see it: its members, what to call it in messages.
struct PairPlace {
    std::vector<std::string> members;
    std::string path;
};

class ConfigReader {
public:
    ConfigReader(std::string_view text, const std::filesystem::path& file)
        : problems_(file.string()), folder_(std::filesystem::absolute(file).parent_path()) {
        config_.file = file;
        config_.text = text;
    }

    Config read() {
        const toml::table document = parse_toml(config_.text, problems_.file());
        TableReader root(document, "", problems_, 1);
        read_sweep(root);
        for (auto& table : root.tables("corpus")) read_corpus(table);
        if (!root.has("corpus")) root.missing("corpus", "at least one [[corpus]] table");
        read_model(root);
        read_finetune(root);
        for (auto& table : root.tables("specialist")) read_specialist(table);
        read_grid(root);
        read_evaluate(root);
        read_similarity(root);
        read_run(root);
        check_what_it_ends_at(root);
        root.finish();
        problems_.throw_if_any();
        return std::move(config_);
    }

private:
    // ---- shared pieces

    /// A path made absolute. Reports variables that are not set.
    std::optional<std::string> expand(const Place& place, const std::string& text) {
        try {
            return expand_path(text, folder_).lexically_normal().string();
        } catch (const InputError& error) {
            problems_.add(place, error.what());
            return std::nullopt;
        }
    }

    // A path that is given but wrong is reported once and becomes kWrong, so that later checks do not take it for
    // absent.
    static constexpr const char* kWrong = "?";

    void read_path(TableReader& table, const std::string& key, std::string& out, const std::string& expected) {
        const auto place = table.find(key);
        if (!place) return;
        const auto text = read_text(*place, problems_, expected);
        const auto path = text ? expand(*place, *text) : std::nullopt;
        out = path.value_or(kWrong);
    }

    void read_globs(TableReader& table, const std::string& key, std::vector<std::string>& out) {
        const auto place = table.find(key);
        if (!place) return;
        std::vector<std::string> globs{kWrong};
        table.texts(key, globs, "a file pattern or a list of them");
        for (const auto& glob : globs) out.push_back(expand(*place, glob).value_or(kWrong));
    }

    /// The required, unique name of a table.
    template <typename Row>
    std::string read_name(TableReader& table, const std::vector<Row>& others,
                          const std::vector<std::string>& reserved) {
        const auto place = table.find("name");
        if (!place) {
            table.missing("name", kNameRule);
            return "";
        }
        const auto name = read_text(*place, problems_, kNameRule);
        if (!name) return "";
        if (!is_name(*name)) {
            problems_.add(*place, "expected " + kNameRule);
        } else if (std::find(reserved.begin(), reserved.end(), *name) != reserved.end()) {
            problems_.add(*place, "this word has a meaning of its own: choose another name");
        } else if (const auto* other = find_named(others, *name)) {
            problems_.add(*place, "the name is taken (" + other->where + "): names are unique");
        } else {
            return *name;
        }
        return "";
    }

    const CorpusConfig* refer_to_corpus(const Place& place, const std::string& name) {
        const auto* corpus = find_named(config_.corpora, name);
        if (corpus == nullptr)
            problems_.add(place, "no [[corpus]] has this name" + suggestion(name, names_of(config_.corpora)));
        return corpus;
    }

    void refer_to_training_text(const Place& place, const std::string& name) {
        const auto* corpus = refer_to_corpus(place, name);
        if (corpus != nullptr && !has_training_text(*corpus)) {
            problems_.add(place, "this corpus has no training text (" + corpus->where + "): all of it is held out");
        }
    }

    void refer_to_held_out_text(const Place& place, const std::string& name) {
        const auto* corpus = refer_to_corpus(place, name);
        if (corpus != nullptr && !has_held_out_text(*corpus)) {
            problems_.add(place, "this corpus has no held-out text (" + corpus->where + "): raise its holdout");
        }
    }

    /// Corpus names, each once, with held-out text.
    void read_held_out_corpora(TableReader& table, const std::string& key, std::vector<std::string>& out) {
        const auto place = table.find(key);
        if (!place) {
            table.missing(key, "a corpus' name or a list of them");
            return;
        }
        for (const auto& item : read_one_or_list(*place, problems_, "a corpus' name or a list of them")) {
            const auto name = read_text(item, problems_, "a corpus' name");
            if (!name) continue;
            refer_to_held_out_text(item, *name);
            append_once(item, *name, out);
        }
    }

    template <typename Value>
    void append_once(const Place& place, Value value, std::vector<Value>& out) {
        if (std::find(out.begin(), out.end(), value) != out.end())
            problems_.add(place, "listed twice");
        else
            out.push_back(std::move(value));
    }

    /// A number, or -1 for "all".
    void read_windows(TableReader& table, std::int64_t& out) {
        const auto place = table.find("windows");
        if (!place) return;
        const auto* word = place->node->as_string();
        if (word != nullptr && word->get() == "all")
            out = -1;
        else if (word != nullptr)
            problems_.add(*place, "expected a number of windows >= 1 or \"all\"");
        else if (const auto windows = read_integer(*place, problems_, 1, kMaxWindows))
            out = *windows;
    }

    void read_context(TableReader& table, std::int64_t& out) {
        if (!table.integer("context", out, 2, kMaxContext)) return;
        if (config_.model.checkpoint.empty() && config_.model.geometry.context > 0 &&
            out > config_.model.geometry.context) {
            problems_.add(*table.find("context"),
                          "longer than the model's context, " + std::to_string(config_.model.geometry.context));
        }
    }

    void read_duration(TableReader& table, const std::string& key, double& out, bool may_be_empty) {
        const auto place = table.find(key);
        if (!place) return;
        std::optional<double> seconds;
        if (const auto* text = place->node->as_string()) {
            if (may_be_empty && text->get().empty()) return;
            try {
                seconds = parse_duration(text->get());
            } catch (const InputError&) {
            }
        } else if (place->node->is_number()) {
            seconds = to_json_value(*place->node).get<double>();
        }
        if (seconds && *seconds > 0 && *seconds <= 1e9)
            out = *seconds;
        else
            problems_.add(*place,
                          "expected a duration > 0 like \"2h\", \"15m\", \"1-02:30:00\", or a number of seconds");
    }

    // ---- [sweep]

    void read_sweep(TableReader& root) {
        auto table = root.table("sweep");
        if (!table) {
            if (!root.has("sweep")) root.missing("sweep", "a [sweep] table with name and output");
            return;
        }
        if (const auto place = table->find("name"); !place) {
            table->missing("name", kNameRule);
        } else if (const auto name = read_text(*place, problems_, kNameRule)) {
            if (is_name(*name))
                config_.name = *name;
            else
                problems_.add(*place, "expected " + kNameRule);
        }
        if (const auto place = table->find("output"); !place) {
            table->missing("output", "the path of the store without its suffix .h5");
        } else {
            std::string output;
            read_path(*table, "output", output, "the path of the store without its suffix .h5");
            if (output.ends_with(".h5")) problems_.add(*place, "the store's suffix .h5 is added: leave it out");
            config_.output = output;
        }
        read_seeds(*table);
        table->finish();
    }

    void read_seeds(TableReader& table) {
        config_.seeds = {0};
        const auto place = table.find("seeds");
        if (!place) return;
        config_.seeds.clear();
        std::set<std::int64_t> seen;
        for (const auto& item : read_one_or_list(*place, problems_, "a seed or a list of seeds, integers >= 0")) {
            const auto seed = read_integer(item, problems_, 0, kMaxSeed);
            if (!seed) continue;
            if (seen.insert(*seed).second)
                config_.seeds.push_back(*seed);
            else
                problems_.add(item, "listed twice");
        }
    }

    // ---- [[corpus]]

    void read_corpus(TableReader& table) {
        CorpusConfig corpus;
        corpus.where = table.where();
        corpus.name = read_name(table, config_.corpora, {"target", "specialists"});
        read_globs(table, "files", corpus.files);
        read_globs(table, "exclude", corpus.exclude);
        read_globs(table, "select_files", corpus.select_files);
        read_globs(table, "test_files", corpus.test_files);
        read_path(table, "tokens", corpus.tokens, "the path of a token file");
        read_path(table, "select_tokens", corpus.select_tokens, "the path of a token file");
        read_path(table, "test_tokens", corpus.test_tokens, "the path of a token file");
        table.real("holdout", corpus.holdout, {0, 1});
        check_corpus(table);
        table.finish();
        if (!corpus.name.empty()) config_.corpora.push_back(std::move(corpus));
    }

    /// What goes together. Looks at keys, not values: a key with a wrong value is reported for that alone.
    void check_corpus(TableReader& table) {
        const bool files = table.has("files"), tokens = table.has("tokens");
        const bool held_out_files = table.has("select_files") || table.has("test_files");
        const bool held_out_tokens = table.has("select_tokens") || table.has("test_tokens");
        if (files && tokens) table.problem("files and tokens are both given: a corpus is one or the other");
        if (!files && !tokens && !held_out_files && !held_out_tokens) {
            table.missing("files", "file patterns, or tokens = a token file");
        }
        if ((files && held_out_tokens) || (tokens && held_out_files) || (held_out_files && held_out_tokens)) {
            table.problem("text files and token files are mixed: a corpus is one or the other");
        }
        for (const std::string kind : {"files", "tokens"}) {
            const bool select = table.has("select_" + kind), test = table.has("test_" + kind);
            if (select && !test)
                table.missing("test_" + kind, "it beside select_" + kind + ": reported numbers are on test");
            if (test && !select)
                table.missing("select_" + kind, "it beside test_" + kind + ": choices are made on select");
        }
        if (table.has("exclude") && !files && !held_out_files)
            table.problem("exclude is given, but no files to exclude from");
        if (const auto holdout = table.find("holdout"); holdout && (held_out_files || held_out_tokens)) {
            problems_.add(*holdout, "held-out text is given explicitly, so nothing is split: leave it out");
        }
    }

    // ---- [model], [pretrain], [finetune]

    void read_model(TableReader& root) {
        auto table = root.table("model");
        if (!table) {
            if (!root.has("model")) root.missing("model", "a [model] table with checkpoint or architecture");
            if (auto pretrain = root.table("pretrain")) read_pretrain(*pretrain);
            return;
        }
        ModelConfig& model = config_.model;
        model.where = table->where();
        const bool loaded = table->has("checkpoint"), made = table->has("architecture");
        if (loaded && made) table->problem("checkpoint and architecture are both given: load a model or make one");
        if (!loaded && !made)
            table->missing("checkpoint", "a folder in Hugging Face's layout, or architecture = \"gpt2\"");
        read_path(*table, "checkpoint", model.checkpoint, "a folder in Hugging Face's layout");
        std::string architecture;
        table->word("architecture", architecture, {"gpt2"});
        Geometry& geometry = model.geometry;
        read_size(*table, "blocks", geometry.blocks, 1, 1024, loaded, made);
        read_size(*table, "width", geometry.width, 1, 65536, loaded, made);
        read_size(*table, "heads", geometry.heads, 1, 1024, loaded, made);
        read_size(*table, "context", geometry.context, 2, kMaxContext, loaded, made);
        geometry.inner = 4 * geometry.width;
        if (geometry.width > 0 && geometry.heads > 0 && geometry.width % geometry.heads != 0) {
            problems_.add(*table->find("heads"), "does not divide the width, " + std::to_string(geometry.width));
        }
        if (const auto place = table->find("tokenizer")) {
            const auto text = read_text(*place, problems_, "\"bytes\" or a folder with a tokenizer");
            if (text && *text == "bytes")
                model.tokenizer = *text;
            else if (text)
                model.tokenizer = expand(*place, *text).value_or("");
        } else if (made) {
            table->missing("tokenizer", "\"bytes\" or a folder with a tokenizer");
        }
        table->finish();
        if (auto pretrain = root.table("pretrain")) {
            if (loaded)
                pretrain->problem("the model is loaded from a checkpoint: [pretrain] makes one from an architecture");
            read_pretrain(*pretrain);
        } else if (made && !root.has("pretrain")) {
            root.missing("pretrain", "a [pretrain] table, since [model] gives an architecture");
        }
    }

    void read_size(TableReader& table, const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high,
                   bool loaded, bool made) {
        const auto place = table.find(key);
        if (place && loaded && !made)
            problems_.add(*place, "a checkpoint has its own " + key + ": leave it out");
        else if (place)
            table.integer(key, out, low, high);
        else if (made)
            table.missing(key, "an integer in [" + std::to_string(low) + ", " + std::to_string(high) + "]");
    }

    void read_pretrain(TableReader& table) {
        TrainingConfig training;
        training.trainable = "all";
        read_training(table, training);
        check_warmup(table, training);
        if (const auto place = table.find("trainable"))
            problems_.add(*place, "everything is trained when a base is made: leave it out");
        if (const auto place = table.find("mix"))
            problems_.add(*place, "list the corpora in corpus: they are mixed equally");
        if (const auto place = table.find("l2sp"))
            problems_.add(*place, "there is no base yet to pull towards: leave it out");
        if (const auto place = table.find("corpus")) {
            for (const auto& item : read_one_or_list(*place, problems_, "a corpus' name or a list of them")) {
                const auto name = read_text(item, problems_, "a corpus' name");
                if (!name) continue;
                refer_to_training_text(item, *name);
                append_once(item, *name, config_.model.pretrain_corpora);
            }
        } else {
            table.missing("corpus", "a corpus' name or a list of them");
        }
        table.finish();
        config_.model.pretrain = training;
    }

    /// The keys that [finetune], [[specialist]] and [pretrain] share, except trainable, mix and l2sp.
    void read_training(TableReader& table, TrainingConfig& training) {
        table.integer("steps", training.steps, 1, kMaxSteps);
        table.integer("batch", training.batch, 1, kMaxBatch);
        read_context(table, training.context);
        table.real("learning_rate", training.learning_rate, {.low = 0, .high = 1000, .low_open = true});
        table.real("weight_decay", training.weight_decay, {0, 1000});
        table.real("gradient_clip", training.gradient_clip, {});
        table.word("schedule", training.schedule, {"cosine", "constant"});
        table.real("min_learning_rate_ratio", training.min_learning_rate_ratio, {0, 1});
        table.integer("warmup", training.warmup, 0, kMaxSteps);
        if (const auto place = table.find("betas")) {
            const auto items = read_one_or_list(*place, problems_, "two numbers in [0, 1)");
            if (items.size() != 2) {
                problems_.add(*place, "expected two numbers in [0, 1)");
                return;
            }
            const NumberRange range{.low = 0, .high = 1, .high_open = true};
            if (const auto beta = read_real(items[0], problems_, range)) training.beta1 = *beta;
            if (const auto beta = read_real(items[1], problems_, range)) training.beta2 = *beta;
        }
    }

    void read_finetuning(TableReader& table, TrainingConfig& training) {
        read_training(table, training);
        table.word("trainable", training.trainable, {"mlp", "all"});
        table.real("l2sp", training.l2sp, {});
        auto mix = table.table("mix");
        if (!mix) return;
        if (const auto place = mix->find("corpus")) {
            if (const auto name = read_text(*place, problems_, "a corpus' name")) {
                refer_to_training_text(*place, *name);
                training.mix_corpus = *name;
            }
        } else {
            mix->missing("corpus", "a corpus' name");
        }
        if (mix->has("fraction"))
            mix->real("fraction", training.mix_fraction, {.low = 0, .high = 1, .high_open = true});
        else
            mix->missing("fraction", "a number in [0, 1)");
        mix->finish();
        if (training.mix_fraction == 0) training.mix_corpus.clear();  // one way to say that nothing is mixed in: one id
    }

    void check_warmup(TableReader& table, const TrainingConfig& training) {
        if (training.warmup <= training.steps || !(table.has("warmup") || table.has("steps"))) return;
        const auto place = table.has("warmup") ? table.find("warmup") : table.find("steps");
        problems_.add(*place, "warmup (" + std::to_string(training.warmup) + ") is longer than steps (" +
                                  std::to_string(training.steps) + ")");
    }

    void read_finetune(TableReader& root) {
        auto table = root.table("finetune");
        if (!table) return;
        read_finetuning(*table, finetune_);
        check_warmup(*table, finetune_);
        table->finish();
    }

    // ---- [[specialist]]

    void read_specialist(TableReader& table) {
        SpecialistConfig specialist;
        specialist.where = table.where();
        specialist.training = finetune_;
        specialist.name = read_name(table, config_.specialists, {"base", "first", "all"});
        const auto corpus = table.find("corpus"), checkpoints = table.find("checkpoints");
        if (corpus && checkpoints)
            table.problem("corpus and checkpoints are both given: a specialist is fine-tuned or loaded");
        if (!corpus && !checkpoints)
            table.missing("corpus",
                          "the name of the corpus it is fine-tuned on, or checkpoints = { degree = \"folder\" }");
        if (corpus) {
            if (const auto name = read_text(*corpus, problems_, "a corpus' name")) {
                refer_to_training_text(*corpus, *name);
                specialist.corpus = *name;
            }
        }
        read_finetuning(table, specialist.training);
        check_warmup(table, specialist.training);
        if (checkpoints) {
            read_checkpoints(table, specialist.checkpoints);
            for (const auto* key :
                 {"steps", "batch", "context", "learning_rate", "betas", "weight_decay", "gradient_clip", "schedule",
                  "min_learning_rate_ratio", "warmup", "trainable", "mix", "l2sp"}) {
                if (const auto place = table.find(key))
                    problems_.add(*place, "a specialist with checkpoints is not fine-tuned: leave it out");
            }
        }
        table.finish();
        if (!specialist.name.empty()) config_.specialists.push_back(std::move(specialist));
    }

    void read_checkpoints(TableReader& table, std::map<std::int64_t, std::string>& out) {
        const auto checkpoints = table.table("checkpoints");
        if (!checkpoints) return;
        if (checkpoints->node().empty()) table.missing("checkpoints", "at least one degree = \"folder\"");
        for (auto&& [key, value] : checkpoints->node()) {
            const std::string text(key.str());
            const Place place{&value, checkpoints->path() + '.' + text,
                              key.source().begin.line > 0 ? key.source().begin.line : table.line()};
            std::int64_t degree = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), degree);
            if (error != std::errc() || end != text.data() + text.size() || degree < 1 || degree > kMaxSteps ||
                text[0] == '0') {
                problems_.add(place.line, place.path, "expected a degree, an integer >= 1 (0 is the base), as the key");
                continue;
            }
            const auto folder = read_text(place, problems_, "a checkpoint's folder in quotes");
            const auto path = folder ? expand(place, *folder) : std::nullopt;
            if (path) out[degree] = *path;
        }
    }

    // ---- [grid]

    void read_grid(TableReader& root) {
        auto table = root.table("grid");
        if (!table) return;
        GridConfig grid;
        grid.where = table->where();
        const auto pairs = read_pairs(*table, grid);
        read_degrees(*table, grid, pairs);
        read_layers(*table, grid);
        read_held_out_corpora(*table, "targets", grid.targets);
        read_host(*table, grid);
        double settings_left = kMaxSettings;
        for (auto& method_table : table->tables("method")) {
            auto method = read_method(method_table, names_of(config_.corpora), settings_left);
            if (method.method == nullptr) continue;
            check_method(method, pairs, grid);
            if (!method.config.settings.empty()) grid.methods.push_back(std::move(method.config));
        }
        table->finish();
        check_size(*table, grid, pairs);
        config_.grid = std::move(grid);
    }

    std::vector<PairPlace> read_pairs(TableReader& table, GridConfig& grid) {
        const std::string expected =
            "\"all\", or a list of pairs, each a list of specialists like [\"code\", \"math\"]";
        const auto place = table.find("pairs");
        if (!place) {
            table.missing("pairs", expected);
            return {};
        }
        if (const auto* word = place->node->as_string(); word != nullptr && word->get() == "all") {
            grid.all_pairs = true;
            std::vector<PairPlace> pairs;
            const auto& specialists = config_.specialists;
            if (specialists.size() < 2) problems_.add(*place, "there are fewer than two specialists");
            for (std::size_t i = 0; i < specialists.size(); ++i) {
                for (std::size_t j = i + 1; j < specialists.size(); ++j)
                    pairs.push_back({{specialists[i].name, specialists[j].name}, place->path});
            }
            return pairs;
        }
        std::vector<PairPlace> pairs;
        std::set<std::vector<std::string>> seen;
        for (const auto& item : read_list(*place, problems_, expected)) {
            if (!item.node->is_array()) {
                problems_.add(item, "expected a pair, a list of specialists like [\"code\", \"math\"]");
                continue;
            }
            const auto members = read_members(item);
            if (members.empty()) continue;
            if (!seen.insert(members).second) problems_.add(item, "listed twice");
            grid.pairs.push_back(members);
            pairs.push_back({members, item.path});
        }
        return pairs;
    }

    /// The members of one pair; empty if there was a problem.
    std::vector<std::string> read_members(const Place& place) {
        std::vector<std::string> members;
        bool sound = true;
        for (const auto& item : read_one_or_list(place, problems_, "two or more specialists")) {
            const auto text = read_text(item, problems_, "a specialist's name");
            if (!text || !check_member(item, *text)) {
                sound = false;
            } else if (std::find(members.begin(), members.end(), *text) != members.end()) {
                problems_.add(
                    item, "already a member of this pair; \"" + *text + "#1\" is its twin under another seed stream");
                sound = false;
            } else {
                members.push_back(*text);
            }
        }
        if (sound && members.size() == 1) problems_.add(place, "expected two or more specialists");
        return sound && members.size() > 1 ? members : std::vector<std::string>();
    }

    bool check_member(const Place& place, const std::string& text) {
        MemberName member;
        try {
            member = parse_member(text);
        } catch (const InputError& error) {
            problems_.add(place, "expected a specialist's name, or one with #1, #2, … for its twin");
            return false;
        }
        if (member.specialist == "base") {
            problems_.add(place,
                          "the base is no member of a pair: it has its own reference row, and degree 0 of a specialist "
                          "is the base");
            return false;
        }
        const auto* specialist = find_named(config_.specialists, member.specialist);
        if (specialist == nullptr) {
            problems_.add(place, "no [[specialist]] has this name" +
                                     suggestion(member.specialist, names_of(config_.specialists)));
            return false;
        }
        if (member.twin > 0 && !specialist->checkpoints.empty()) {
            problems_.add(place, "\"" + specialist->name +
                                     "\" is loaded from checkpoints; only fine-tuned specialists have twins");
            return false;
        }
        return true;
    }

    /// Reports a degree that a member does not have.
    void check_degree(const Place& place, std::int64_t degree, const std::string& member) {
        const auto* specialist = find_named(config_.specialists, parse_member(member).specialist);
        if (specialist == nullptr || degree == 0) return;
        if (specialist->checkpoints.empty()) {
            if (degree > specialist->training.steps) {
                problems_.add(place, "beyond the " + std::to_string(specialist->training.steps) + " steps that \"" +
                                         specialist->name + "\" is fine-tuned for");
            }
        } else if (!specialist->checkpoints.contains(degree)) {
            std::string known;
            for (const auto& [loaded, folder] : specialist->checkpoints) known += ", " + std::to_string(loaded);
            problems_.add(place, "\"" + specialist->name + "\" has checkpoints for the degrees 0" + known + " only");
        }
    }

    void read_degrees(TableReader& table, GridConfig& grid, const std::vector<PairPlace>& pairs) {
        const auto alike = table.find("degrees"), apart = table.find("degree_pairs");
        if (alike && apart)
            table.problem("degrees and degree_pairs are both given: all members have the same degree, or each its own");
        if (!alike && !apart) table.missing("degrees", "a list of degrees (fine-tuning steps), or degree_pairs");
        std::set<std::string> members;  // specialists, without twins: a twin has the same degrees
        for (const auto& pair : pairs) {
            for (const auto& member : pair.members) members.insert(parse_member(member).specialist);
        }
        std::set<std::vector<std::int64_t>> seen;
        const auto append = [&](const Place& place, std::vector<std::int64_t> degrees) {
            if (seen.insert(degrees).second)
                grid.degrees.push_back(std::move(degrees));
            else
                problems_.add(place, "listed twice");
        };
        if (alike) {
            for (const auto& item : read_one_or_list(*alike, problems_, "a list of degrees, integers >= 0")) {
                const auto degree = read_integer(item, problems_, 0, kMaxSteps);
                if (!degree) continue;
                for (const auto& member : members) check_degree(item, *degree, member);
                append(item, {*degree});
            }
        }
        if (apart) {
            for (const auto& item : read_list(*apart, problems_, "a list like [[100, 400], [400, 100]]")) {
                if (auto degrees = read_degree_pair(item, pairs)) append(item, std::move(*degrees));
            }
        }
    }

    std::optional<std::vector<std::int64_t>> read_degree_pair(const Place& place, const std::vector<PairPlace>& pairs) {
        if (!place.node->is_array()) {
            problems_.add(place, "expected one degree a member, like [100, 400]");
            return std::nullopt;
        }
        std::vector<std::int64_t> degrees;
        const auto items = read_one_or_list(place, problems_, "one degree a member, like [100, 400]");
        for (const auto& item : items) {
            if (const auto degree = read_integer(item, problems_, 0, kMaxSteps)) degrees.push_back(*degree);
        }
        if (items.empty() || degrees.size() != items.size()) return std::nullopt;
        std::set<std::pair<std::size_t, std::string>> checked;
        for (const auto& pair : pairs) {
            if (pair.members.size() != degrees.size()) {
                problems_.add(place, "expected one degree for each of the " + std::to_string(pair.members.size()) +
                                         " members of " + pair.path + " (" + members_text(pair.members) + ")");
                return std::nullopt;
            }
            for (std::size_t i = 0; i < degrees.size(); ++i) {
                if (checked.emplace(i, parse_member(pair.members[i]).specialist).second)
                    check_degree(items[i], degrees[i], pair.members[i]);
            }
        }
        return degrees;
    }

    void read_layers(TableReader& table, GridConfig& grid) {
        grid.layers = {"all"};
        const auto place = table.find("layers");
        if (!place) return;
        grid.layers.clear();
        for (const auto& item : read_one_or_list(*place, problems_, std::string("a list of ") + kLayerSyntax)) {
            std::string text;
            if (const auto* word = item.node->as_string()) text = word->get();
            if (const auto* index = item.node->as_integer()) text = std::to_string(index->get());
            if (parse_layer(text))
                append_once(item, text, grid.layers);
            else
                problems_.add(item, std::string("expected ") + kLayerSyntax);
        }
        // With a checkpoint the number of blocks is known only when it is opened: resolve_layers() checks then.
        if (config_.model.geometry.blocks > 0 && problems_.empty()) {
            try {
                resolve_layers(grid, config_.model.geometry.blocks);
            } catch (const InputError& error) {
                problems_.add(*place, "the model has " + std::to_string(config_.model.geometry.blocks) +
                                          " blocks, counted from 0");
            }
        }
    }

    void read_host(TableReader& table, GridConfig& grid) {
        if (!table.text("host", grid.host, "\"first\", \"base\" or a specialist's name")) return;
        if (grid.host == "first" || grid.host == "base" || find_named(config_.specialists, grid.host) != nullptr)
            return;
        problems_.add(*table.find("host"), "expected \"first\", \"base\" or a specialist's name" +
                                               suggestion(grid.host, names_of(config_.specialists)));
    }

    void check_method(const MethodTable& table, const std::vector<PairPlace>& pairs, const GridConfig& grid) {
        const MethodInfo& method = *table.method;
        std::set<std::string> found;
        std::set<std::size_t> sizes;
        for (const auto& pair : pairs) {
            const std::size_t members = pair.members.size();
            if (!sizes.insert(members).second) continue;  // every pair of this size has the same problems
            const std::string named = pair.path + " (" + members_text(pair.members) + ")";
            const auto count = static_cast<std::int64_t>(members);
            if (count < method.least_members || count > method.most_members) {
                const std::string bound =
                    method.least_members == method.most_members ? "exactly " + std::to_string(method.least_members)
                    : count < method.least_members              ? "at least " + std::to_string(method.least_members)
                                                                : "at most " + std::to_string(method.most_members);
                found.insert("\"" + method.name + "\" combines " + bound + " members, but " + named + " has " +
                             std::to_string(members));
                continue;
            }
            for (const auto& setting : table.config.settings) {
                try {
                    member_weights(setting, members);
                } catch (const InputError& error) {
                    found.insert("\"" + method.name + "\" does not fit " + named + ": " + error.what());
                }
            }
        }
        for (const auto& problem : found) problems_.add(table.line, table.path, problem);
        check_text_to_train_on(table, pairs, grid);
    }

    void check_text_to_train_on(const MethodTable& table, const std::vector<PairPlace>& pairs, const GridConfig& grid) {
        std::set<std::string> sources;
        const MethodInfo& method = *find_method(table.config.name);
        bool needs_members_steps = false;
        for (const auto& setting : table.config.settings) {
            const bool no_steps = setting.contains("steps") && setting.at("steps") == 0;
            const bool trains = (!no_steps || method.zero_steps_count_members) && method.uses_text(setting);
            if (trains && setting.contains("train_on")) sources.insert(setting.at("train_on").get<std::string>());
            needs_members_steps = needs_members_steps || (no_steps && method.zero_steps_count_members);
        }
        if (needs_members_steps) {
            for (const auto& pair : pairs) {
                for (const auto& member : pair.members) {
                    const auto* specialist = find_named(config_.specialists, parse_member(member).specialist);
                    if (specialist->checkpoints.empty()) continue;
                    problems_.add(table.line, table.path + ".steps",
                                  "\"" + specialist->name + "\" is loaded from checkpoints, how long it was trained is not known: give a number of steps");
                    return;
                }
            }
        }
        const auto report = [&](const std::string& what) {
            if (table.train_on)
                problems_.add(*table.train_on, what);
            else
                problems_.add(table.line, table.path + ".train_on", what);
        };
        for (const auto& source : sources) {
            std::set<std::string> corpora;
            if (source == "target") {
                corpora.insert(grid.targets.begin(), grid.targets.end());
            } else if (source == "specialists") {
                for (const auto& pair : pairs) {
                    for (const auto& member : pair.members) {
                        const auto* specialist = find_named(config_.specialists, parse_member(member).specialist);
                        if (!specialist->checkpoints.empty()) {
                            report("\"" + specialist->name +
                                   "\" is loaded from checkpoints and has no training text: name a corpus");
                            return;
                        }
                    }
                }
            } else {
                corpora.insert(source);
            }
            for (const auto& name : corpora) {
                const auto* corpus = find_named(config_.corpora, name);
                if (corpus != nullptr && !has_training_text(*corpus)) {
                    report("corpus \"" + name + "\" has no training text (" + corpus->where +
                           "): all of it is held out");
                }
            }
        }
    }

    /// Refuses a product that nobody means. Layers "each" count as one where the number of blocks is not known yet.
    void check_size(TableReader& table, const GridConfig& grid, const std::vector<PairPlace>& pairs) {
        double settings = 0, layers = 0;
        for (const auto& method : grid.methods) settings += static_cast<double>(method.settings.size());
        for (const auto& layer : grid.layers) {
            layers +=
                layer == "each" ? static_cast<double>(std::max<std::int64_t>(1, config_.model.geometry.blocks)) : 1;
        }
        const double rows = static_cast<double>(pairs.size()) * static_cast<double>(grid.degrees.size()) * layers *
                            settings * static_cast<double>(grid.targets.size()) *
                            static_cast<double>(config_.seeds.size());
        if (rows <= kMaxRows) return;
        const auto count = [](auto number) { return std::to_string(static_cast<std::int64_t>(number)); };
        table.problem(count(std::min(rows, 9e18)) + " rows (" + count(pairs.size()) + " pairs x " +
                      count(grid.degrees.size()) + " degrees x " + count(layers) + " layers x " + count(settings) +
                      " settings x " + count(grid.targets.size()) + " targets x " + count(config_.seeds.size()) +
                      " seeds), expected at most 10000000: shorten the axes");
    }

    // ---- [evaluate], [similarity], [run]

    void read_evaluate(TableReader& root) {
        auto table = root.table("evaluate");
        if (!table) return;
        read_windows(*table, config_.evaluate.windows);
        read_context(*table, config_.evaluate.context);
        table->finish();
    }

    void read_similarity(TableReader& root) {
        auto table = root.table("similarity");
        if (!table) return;
        SimilarityConfig& similarity = config_.similarity;
        similarity.present = true;
        similarity.where = table->where();
        read_held_out_corpora(*table, "probe", similarity.probes);
        read_windows(*table, similarity.windows);
        read_context(*table, similarity.context);
        table->word("pooling", similarity.pooling, {"mean", "last", "token"});
        read_words(*table, "site", similarity.sites, {"residual", "mlp_output"});
        read_words(*table, "against", similarity.against, {"pair", "base", "self", "seeds"});
        std::string layers = "cross";
        table->word("layers", layers, {"cross", "same"});
        similarity.cross = layers == "cross";
        table->boolean("after_merge", similarity.after_merge);
        std::int64_t permutations = similarity.permutations;
        table->integer("permutations", permutations, 0, 10'000);
        similarity.permutations = static_cast<int>(permutations);
        read_metrics(*table);
        table->finish();
    }

    void read_words(TableReader& table, const std::string& key, std::vector<std::string>& out,
                    const std::vector<std::string>& words) {
        const auto place = table.find(key);
        if (!place) return;
        out.clear();
        for (const auto& item : read_one_or_list(*place, problems_, "at least one entry")) {
            if (const auto word = read_word(item, problems_, words)) append_once(item, *word, out);
        }
    }

    void read_metrics(TableReader& table) {
        const auto place = table.find("metrics");
        if (!place) {
            table.missing("metrics", "a list of metrics; `cmsweep metrics` lists them");
            return;
        }
        auto& metrics = config_.similarity.metrics;
        for (const auto& item : read_one_or_list(*place, problems_, "at least one metric")) {
            for (auto& metric : read_metric(item, problems_)) {
                const bool twice = std::any_of(metrics.begin(), metrics.end(), [&](const MetricConfig& other) {
                    return other.name == metric.name && other.setting == metric.setting;
                });
                if (twice)
                    problems_.add(item, "listed twice");
                else
                    metrics.push_back(std::move(metric));
            }
        }
    }

    void read_run(TableReader& root) {
        auto table = root.table("run");
        if (!table) return;
        RunConfig& run = config_.run;
        table->word("device", run.device, {"auto", "cpu", "cuda"});
        table->word("precision", run.precision, {"float32", "bfloat16"});
        std::int64_t threads = run.threads_per_rank, retries = run.retries;
        table->integer("threads_per_rank", threads, 1, 1024);
        table->integer("retries", retries, 0, 100);
        run.threads_per_rank = static_cast<int>(threads);
        run.retries = static_cast<int>(retries);
        table->real("commit_seconds", run.commit_seconds, {0, 86'400});
        table->boolean("keep_checkpoints", run.keep_checkpoints);
        read_duration(*table, "task_timeout", run.task_timeout, false);
        read_duration(*table, "walltime", run.walltime, true);
        read_duration(*table, "grace", run.grace, false);
        table->finish();
    }

    /// A config may end at [pretrain]: it then makes the base, and nothing else is asked of it.
    void check_what_it_ends_at(TableReader& root) {
        const bool specialists = root.has("specialist"), grid = root.has("grid"), similarity = root.has("similarity");
        const bool makes_base = root.has("pretrain");
        if (makes_base && !specialists && !grid && !similarity) return;
        if (!specialists) root.missing("specialist", "at least one [[specialist]] table");
        if (!grid) root.missing("grid", "a [grid] table with pairs, degrees and targets");
    }

    Config config_;
    Problems problems_;
    std::filesystem::path folder_;
    TrainingConfig finetune_;
};

}  // namespace

std::filesystem::path Config::store_path() const { return output.string() + ".h5"; }
std::filesystem::path Config::side_folder() const { return output.string() + ".d"; }

const CorpusConfig* Config::find_corpus(std::string_view corpus_name) const { return find_named(corpora, corpus_name); }

const SpecialistConfig* Config::find_specialist(std::string_view specialist_name) const {
    return find_named(specialists, specialist_name);
}

Config read_config(const std::filesystem::path& file) { return parse_config(read_text(file), file); }

Config parse_config(std::string_view toml, const std::filesystem::path& file) {
    return ConfigReader(toml, file).read();
}

MemberName parse_member(std::string_view text) {
    const auto mark = text.find('#');
    MemberName member{std::string(text.substr(0, mark)), 0};
    if (mark == std::string_view::npos && !member.specialist.empty()) return member;
    const auto digits = mark == std::string_view::npos ? std::string_view() : text.substr(mark + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), member.twin);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && !digits.starts_with('0');
    if (member.specialist.empty() || member.specialist == "base" || !whole || member.twin < 1 ||
        member.twin > kMaxTwin) {
        throw InputError("\"" + std::string(text) +
                         "\": expected a specialist's name, or one with #1, #2, … for its twin");
    }
    return member;
}

}  // namespace cmsweep
