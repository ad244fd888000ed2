#include "cmsweep/exec/inputs.hpp"

#include <algorithm>
#include <set>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/base/tokenizer.hpp"
#include "input_cache.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;

/// Runs `read`; its problems join the list instead of ending everything.
template <class Read>
void collecting(std::vector<std::string>& problems, const std::string& where, Read read) {
    try {
        read();
    } catch (const InputError& error) {
        for (const auto& problem : error.problems()) problems.push_back(where.empty() ? problem : where + ": " + problem);
    }
}

CorpusSource source_of(const CorpusConfig& corpus) {
    return {corpus.name, corpus.files, corpus.exclude, corpus.tokens, corpus.holdout, corpus.select_files,
            corpus.test_files, corpus.select_tokens, corpus.test_tokens, corpus.where};
}

bool reads_text(const CorpusConfig& corpus) {
    return !corpus.files.empty() || !corpus.select_files.empty() || !corpus.test_files.empty();
}

std::unique_ptr<Tokenizer> choose_tokenizer(const Config& config, std::string& folder) {
    if (config.model.tokenizer == "bytes") return make_byte_tokenizer();
    folder = !config.model.tokenizer.empty() ? config.model.tokenizer : config.model.checkpoint;
    const bool has_files = fs::exists(fs::path(folder) / "tokenizer.json") || fs::exists(fs::path(folder) / "vocab.json");
    if (!has_files && config.model.tokenizer.empty()) {
        throw InputError(config.model.where + ": no tokenizer in " + folder +
                         ": expected tokenizer.json, or vocab.json and merges.txt; put them there, or say tokenizer = \"bytes\" or a folder");
    }
    return load_tokenizer(folder);
}

/// Corpora that some model trains on, so that no held-out document may be among their training documents.
std::set<std::string> training_corpora(const Config& config) {
    std::set<std::string> names(config.model.pretrain_corpora.begin(), config.model.pretrain_corpora.end());
    for (const auto& specialist : config.specialists) {
        if (!specialist.checkpoints.empty()) continue;
        names.insert(specialist.corpus);
        if (specialist.training.mix_fraction > 0) names.insert(specialist.training.mix_corpus);
    }
    if (config.grid) {
        for (const auto& method : config.grid->methods) {
            for (const auto& setting : method.settings) {
                if (!setting.contains("train_on") || !setting.at("train_on").is_string()) continue;
                const std::string word = setting.at("train_on");
                if (word == "target") names.insert(config.grid->targets.begin(), config.grid->targets.end());
                else if (word != "specialists") names.insert(word);
            }
        }
    }
    return names;
}

}  // namespace

Inputs read_inputs(const Config& config, const std::string& device) {
    Inputs inputs;
    std::vector<std::string> problems;
    inputs.facts.device = device;
    InputCache cache(config.side_folder() / "cache");

    // The models first: their vocabulary decides whether the corpora's tokens fit.
    bool geometry_known = false;
    if (config.model.checkpoint.empty()) {
        inputs.facts.geometry = config.model.geometry;
        geometry_known = true;
    } else {
        collecting(problems, config.model.where, [&] {
            const Checkpoint checkpoint(config.model.checkpoint);
            inputs.facts.geometry = checkpoint.geometry();
            inputs.facts.base = cache.digest(checkpoint);
            geometry_known = true;
        });
    }
    for (const auto& specialist : config.specialists) {
        for (const auto& [degree, folder] : specialist.checkpoints) {
            collecting(problems, specialist.where, [&] {
                const Checkpoint checkpoint(folder);
                if (geometry_known && !(checkpoint.geometry() == inputs.facts.geometry)) {
                    const nlohmann::json own = checkpoint.geometry(), base = inputs.facts.geometry;
                    std::string differences;
                    for (const auto& [key, value] : own.items()) {
                        if (value != base.at(key)) differences += (differences.empty() ? "" : ", ") + key + " = " + value.dump() + " (base: " + base.at(key).dump() + ")";
                    }
                    throw InputError(folder + ": another shape than the base's: " + differences);
                }
                inputs.facts.loaded[{specialist.name, degree}] = cache.digest(checkpoint);
            });
        }
    }

    std::string tokenizer_folder;
    std::unique_ptr<Tokenizer> tokenizer;
    const bool needs_tokenizer = std::any_of(config.corpora.begin(), config.corpora.end(), reads_text) || config.model.checkpoint.empty();
    if (needs_tokenizer) collecting(problems, "", [&] { tokenizer = choose_tokenizer(config, tokenizer_folder); });
    if (tokenizer && config.model.checkpoint.empty()) inputs.facts.geometry.vocabulary = tokenizer->vocabulary();
    const std::int64_t vocabulary = inputs.facts.geometry.vocabulary;
    if (tokenizer && geometry_known && static_cast<std::int64_t>(tokenizer->vocabulary()) > vocabulary) {
        problems.push_back(config.model.where + ": the tokenizer knows " + std::to_string(tokenizer->vocabulary()) +
                           " tokens, but the model's embedding has " + std::to_string(vocabulary) + " rows: they do not belong together");
    }

    const std::int64_t gap = config.evaluate.context > 0 ? config.evaluate.context : inputs.facts.geometry.context;
    for (const auto& corpus : config.corpora) {
        if (reads_text(corpus) && !tokenizer) continue;  // reported above
        collecting(problems, "", [&] {
            Corpus read = cache.corpus(source_of(corpus), tokenizer.get(), tokenizer_folder, gap);
            CorpusFacts facts;
            for (const Split split : kSplits) {
                const TokenSplit& tokens = read[split];
                facts.digests[static_cast<std::size_t>(split)] = tokens.digest;
                facts.tokens[static_cast<std::size_t>(split)] = tokens.tokens.size();
                const auto largest = std::max_element(tokens.tokens.begin(), tokens.tokens.end());
                if (geometry_known && largest != tokens.tokens.end() && *largest >= vocabulary) {
                    throw InputError(corpus.where + ": token " + std::to_string(*largest) + " in the " + std::string(split_name(split)) +
                                     " split: expected ids below the model's vocabulary, " + std::to_string(vocabulary));
                }
            }
            inputs.facts.corpora[corpus.name] = facts;
            inputs.corpora.emplace(corpus.name, std::move(read));
        });
    }
    if (!problems.empty()) throw InputError(problems);

    // No held-out document may be training text of anything; the overlap of training text with targets is reported.
    for (const auto& training : training_corpora(config)) {
        const TokenSplit& text = inputs.corpora.at(training)[Split::train];
        const std::set<Id> trained(text.documents.begin(), text.documents.end());
        for (const auto& [name, corpus] : inputs.corpora) {
            for (const Split split : {Split::select, Split::test}) {
                std::size_t shared = 0;
                for (const auto& document : corpus[split].documents) shared += trained.count(document);
                if (shared > 0) {
                    problems.push_back(config.find_corpus(name)->where + ": " + std::to_string(shared) + " of its " + std::string(split_name(split)) +
                                       " documents are also in the training split of corpus \"" + training +
                                       "\": expected none; give the corpora separate files, or exclude them from one");
                }
            }
        }
        if (!config.grid) continue;
        for (const auto& target : config.grid->targets) {
            if (target == training) continue;
            const double share = cache.overlap(text, inputs.corpora.at(target)[Split::test], tokenizer.get(), tokenizer_folder);
            inputs.overlaps.push_back({training, target, share});
        }
    }
    if (!problems.empty()) throw InputError(problems);

    inputs.job.geometry = inputs.facts.geometry;
    inputs.job.base = inputs.facts.base;
    inputs.job.base_folder = config.model.checkpoint;
    inputs.job.tokenizer_folder = tokenizer_folder;
    inputs.job.side_folder = config.side_folder().string();
    inputs.job.precision = config.run.precision;
    inputs.job.device = device;
    inputs.job.context = config.evaluate.context > 0 ? config.evaluate.context : inputs.facts.geometry.context;
    inputs.job.keep_checkpoints = config.run.keep_checkpoints;
    inputs.to_remember = cache.learned();
    return inputs;
}

void write_tokens(const Inputs& inputs) {
    for (const auto& [name, corpus] : inputs.corpora) {
        for (const Split split : kSplits) write_split(inputs.job.tokens_folder(), corpus[split]);
    }
    for (const auto& [file, text] : inputs.to_remember) write_atomically(file, text);
}

}  // namespace cmsweep
