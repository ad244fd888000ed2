#include "cmsweep/plan/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// Values that the tests vary; everything else stays.
struct Variant {
    std::string seeds = "[0, 1]";
    std::string degrees = "[0, 10, 40]";
    std::string pairs = R"([["code", "math"]])";
    std::string finetune = "steps = 40\nlearning_rate = 8e-4";
    std::string layers = R"(["all"])";
    std::string targets = R"(["text"])";
    std::string methods = "[[grid.method]]\nname = \"average\"\nalpha = [0.25, 0.5]\n";
    std::string run = "";
    std::string similarity = "[similarity]\nprobe = \"text\"\nmetrics = [\"cka_linear\", \"cka_debiased\"]\nagainst = [\"pair\", \"base\", \"seeds\"]\nafter_merge = false\n";
};

std::string toml(const Variant& v) {
    return R"([sweep]
name = "test"
output = "out"
seeds = )" + v.seeds + R"(
[model]
checkpoint = "base"
[[corpus]]
name = "code"
files = ["code/*"]
[[corpus]]
name = "math"
files = ["math/*"]
[[corpus]]
name = "text"
files = ["text/*"]
[[specialist]]
name = "code"
corpus = "code"
[[specialist]]
name = "math"
corpus = "math"
[finetune]
)" + v.finetune + "\n[grid]\npairs = " + v.pairs + "\ndegrees = " + v.degrees + "\nlayers = " + v.layers + "\ntargets = " + v.targets + "\n" + v.methods +
           v.similarity + v.run;
}

InputFacts facts() {
    InputFacts f;
    f.geometry = {.blocks = 3, .width = 8, .heads = 2, .context = 16, .vocabulary = 256, .inner = 32};
    f.base = hash_text("base");
    for (const char* name : {"code", "math", "text"}) {
        CorpusFacts corpus;
        for (int s = 0; s < 3; ++s) corpus.digests[static_cast<std::size_t>(s)] = hash_text(std::string(name) + std::to_string(s));
        corpus.tokens = {10000, 1000, 1000};
        f.corpora[name] = corpus;
    }
    return f;
}

Plan plan_of(const Variant& v, const InputFacts& f = facts()) { return make_plan(parse_config(toml(v), "/nowhere/test.toml"), f); }

std::set<Id> ids(const Plan& plan, const char* table) {
    const auto& list = plan.table(table).ids;
    return {list.begin(), list.end()};
}

bool contains(const std::set<Id>& all, const std::set<Id>& some) { return std::includes(all.begin(), all.end(), some.begin(), some.end()); }

std::set<ResultKey> results_of(const std::vector<Task>& tasks) {
    std::set<ResultKey> keys;
    for (const auto& task : tasks) keys.insert(task.results.begin(), task.results.end());
    return keys;
}

const auto kNothing = [](const auto&) { return false; };

TEST(Plan, ExpandsTheGridAndItsReferenceRows) {
    const Plan plan = plan_of({});
    // average: 3 degrees x 2 alphas x 2 seeds; base: 2 seeds; two specialists: 3 degrees x 2 seeds each.
    EXPECT_EQ(plan.table("experiments").rows(), 12u + 2u + 12u);
    // per seed: pair 3 degrees, base 2 degrees x 2 models; seeds: 2 degrees x 2 models; all x 2 metrics.
    EXPECT_EQ(plan.table("similarity").rows(), 2u * (2u * (3 + 4) + 4));
    EXPECT_EQ(plan.table("training").rows(), 4u);
    EXPECT_EQ(plan.table("routing").rows(), 0u);
}

TEST(Plan, ComputesOnceWhatDoesNotDependOnTheSeed) {
    const Plan plan = plan_of({.degrees = "[0]"});
    EXPECT_EQ(plan.table("experiments").rows(), 4u + 2u + 4u);
    // Two alphas at degree 0, and one evaluation of the base that also serves both specialists.
    EXPECT_EQ(ids(plan, "experiments").size(), 3u);
    EXPECT_EQ(plan.table("training").rows(), 0u) << "degree 0 trains no specialist";
}

TEST(Plan, EveryResultHasExactlyOneTaskAndProducersComeFirst) {
    const Plan plan = plan_of({.methods = "[[grid.method]]\nname = \"average\"\n[[grid.method]]\nname = \"route\"\nspan = [1, 2]\nsteps = 3\n"
                                          "[[grid.method]]\nname = \"ensemble_probabilities\"\n",
                               .similarity = "[similarity]\nprobe = \"text\"\nmetrics = [\"cka_debiased\"]\nafter_merge = true\n"});
    std::set<ResultKey> seen;
    std::set<Id> made;
    for (const auto& task : plan.tasks) {
        for (const auto& need : task.needs) EXPECT_TRUE(made.count(need)) << task.label << " comes before what it needs";
        for (const auto& asset : task.produces) EXPECT_TRUE(made.insert(asset).second) << task.label << " makes what is there";
        for (const auto& key : task.results) EXPECT_TRUE(seen.insert(key).second) << task.label << " computes a result twice";
        EXPECT_GT(task.work, 0) << task.label;
    }
    for (const auto& table : plan.tables) {
        for (const auto& id : table.ids) EXPECT_TRUE(seen.count({table.spec.name, id})) << table.spec.name << " has a row that no task fills";
    }
}

TEST(Plan, GrowingAnyAxisKeepsEveryIdAndAddsOnlyTheNewOnes) {
    const Plan small = plan_of({});
    const auto grows = [&](const Variant& v, const char* what) {
        const Plan grown = plan_of(v);
        EXPECT_TRUE(contains(ids(grown, "experiments"), ids(small, "experiments"))) << what;
        EXPECT_TRUE(contains(ids(grown, "similarity"), ids(small, "similarity"))) << what;
        EXPECT_TRUE(contains(ids(grown, "training"), ids(small, "training"))) << what;
        EXPECT_GT(ids(grown, "experiments").size(), ids(small, "experiments").size()) << what;
        EXPECT_NE(grown.digest, small.digest) << what;
    };
    grows({.seeds = "[0, 1, 2]"}, "a seed");
    grows({.degrees = "[0, 10, 20, 40]"}, "a degree");
    grows({.pairs = R"([["code", "math"], ["code", "code#1"]])"}, "a pair");
    grows({.layers = R"(["all", 1])"}, "a layer");
    grows({.targets = R"(["text", "code"])"}, "a target");
    grows({.methods = "[[grid.method]]\nname = \"average\"\nalpha = [0.25, 0.5, 0.75]\n"}, "a method parameter");
}

TEST(Plan, OrderOfListsDoesNotChangeIds) {
    const Plan one = plan_of({});
    const Plan other = plan_of({.seeds = "[1, 0]", .degrees = "[40, 0, 10]", .methods = "[[grid.method]]\nname = \"average\"\nalpha = [0.5, 0.25]\n"});
    EXPECT_EQ(ids(one, "experiments"), ids(other, "experiments"));
    EXPECT_EQ(ids(one, "similarity"), ids(other, "similarity"));
}

TEST(Plan, AHyperparameterChangesExactlyWhatDependsOnIt) {
    const Plan before = plan_of({}), after = plan_of({.finetune = "steps = 40\nlearning_rate = 4e-4"});
    std::set<Id> kept;
    const auto old_ids = ids(before, "experiments"), new_ids = ids(after, "experiments");
    std::set_intersection(old_ids.begin(), old_ids.end(), new_ids.begin(), new_ids.end(), std::inserter(kept, kept.end()));
    EXPECT_EQ(kept.size(), 3u) << "the base's row and the two averages at degree 0 know no fine-tuning";
}

TEST(Plan, StepsOfAConstantScheduleAreNotPartOfATrajectory) {
    const auto experiments = [](const char* finetune) { return ids(plan_of({.finetune = finetune}), "experiments"); };
    EXPECT_EQ(experiments("steps = 40\nschedule = \"constant\""), experiments("steps = 80\nschedule = \"constant\""));
    EXPECT_NE(experiments("steps = 40"), experiments("steps = 80"));
    const auto curves = [](const char* finetune) { return ids(plan_of({.finetune = finetune}), "training"); };
    EXPECT_NE(curves("steps = 40\nschedule = \"constant\""), curves("steps = 80\nschedule = \"constant\"")) << "a longer curve";
}

TEST(Plan, TwinsDifferFromTheirSpecialist) {
    const Plan plan = plan_of({.pairs = R"([["code", "code#1"]])"});
    EXPECT_EQ(ids(plan, "training").size(), 4u);
}

TEST(Plan, EveryMemberHasItsOwnTextEvenIfTwoShareACorpus) {
    const Plan plan = plan_of({.pairs = R"([["code", "code#1", "math"]])", .methods = "[[grid.method]]\nname = \"fisher\"\n"});
    const Id code = hash_text("code0"), math = hash_text("math0");
    std::size_t merges = 0;
    for (const auto& task : plan.tasks) {
        if (task.kind != TaskKind::merge || task.payload.at("method") != "fisher") continue;
        ++merges;
        EXPECT_EQ(task.payload.at("items").at(0).at("text"), (nlohmann::json{code, code, math}));
    }
    EXPECT_EQ(merges, 6u);  // 3 degrees, 2 seeds
}

TEST(Plan, MembersSayWhatTheyWereTrainedOn) {
    const Plan plan = plan_of({.degrees = "[10]", .finetune = "steps = 40\nbatch = 4\ncontext = 8"});
    for (const auto& task : plan.tasks) {
        if (task.kind != TaskKind::merge || task.payload.at("method") != "average") continue;
        for (const auto& member : task.payload.at("members")) {
            EXPECT_EQ(member.at("tokens"), 10 * 4 * 8);
            EXPECT_TRUE(member.at("trajectory").is_string());
        }
    }
}

TEST(Plan, AMatchByWeightsNeedsNeitherTextNorSeed) {
    const auto rebasin = [](const char* matching) {
        return plan_of({.methods = std::string("[[grid.method]]\nname = \"rebasin\"\nmatching = \"") + matching + "\"\n"});
    };
    // At degree 0 both seeds have the same members.
    EXPECT_EQ(ids(rebasin("activations"), "experiments").size(), ids(rebasin("weights"), "experiments").size() + 1);
    for (const auto& task : rebasin("weights").tasks) {
        if (task.kind != TaskKind::merge || task.payload.at("method") != "rebasin") continue;
        EXPECT_TRUE(task.payload.at("items").at(0).at("text").empty());
    }
}

TEST(Plan, TextThatAMatchByWeightsDoesNotReadEntersNoId) {
    const auto plan = [](const std::string& parameters) { return plan_of({.methods = "[[grid.method]]\nname = \"rebasin\"\n" + parameters}); };
    const auto rows = [&](const std::string& parameters) { return ids(plan(parameters), "experiments"); };
    const std::string weights = "matching = \"weights\"\n", activations = "matching = \"activations\"\n";
    EXPECT_EQ(rows(weights + "windows = 32\ntrain_on = \"code\"\n"), rows(weights));
    EXPECT_NE(rows(activations + "windows = 32\n"), rows(activations));
    EXPECT_NE(rows(activations + "train_on = \"code\"\n"), rows(activations));
    auto each = rows(weights);
    for (const char* windows : {"windows = 32\n", "windows = 48\n"}) each.merge(rows(activations + windows));
    const Plan both = plan("matching = [\"weights\", \"activations\"]\nwindows = [32, 48]\n");
    EXPECT_EQ(ids(both, "experiments"), each);
    // One setting by weights and two by activations, at 3 degrees x 2 seeds; the base and both specialists.
    EXPECT_EQ(both.table("experiments").rows(), 3u * 6u + 2u + 12u);
}

TEST(Plan, PrecisionAndDeviceEnterEveryId) {
    InputFacts cuda = facts();
    cuda.device = "cuda";
    std::set<Id> shared;
    const auto a = ids(plan_of({}), "experiments"), b = ids(plan_of({}, cuda), "experiments");
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(shared, shared.end()));
    EXPECT_THAT(shared, IsEmpty());
}

TEST(PendingTasks, AskOnlyForWhatIsMissing) {
    const Plan plan = plan_of({});
    const auto everything = pending_tasks(plan, kNothing, kNothing);
    EXPECT_EQ(results_of(everything), results_of(plan.tasks));
    EXPECT_THAT(pending_tasks(plan, [](const ResultKey&) { return true; }, kNothing), IsEmpty());

    const ResultKey missing{"experiments", plan.table("experiments").ids.back()};
    const auto one = pending_tasks(plan, [&](const ResultKey& key) { return key != missing; }, [](const Id&) { return true; });
    ASSERT_EQ(one.size(), 1u) << "its checkpoints are there";
    EXPECT_EQ(results_of(one), std::set<ResultKey>{missing});
    // Without checkpoints their trajectories are needed again, though their own results are stored.
    const auto again = pending_tasks(plan, [&](const ResultKey& key) { return key != missing; }, kNothing);
    EXPECT_GT(again.size(), 1u);
    EXPECT_EQ(results_of(again), std::set<ResultKey>{missing});
    EXPECT_EQ(again.front().kind, TaskKind::specialise);
}

TEST(Plan, ReportsAllProblemsOfTheFactsAtOnce) {
    InputFacts f = facts();
    f.corpora["text"].tokens = {10000, 1000, 16};
    try {
        plan_of({.layers = "[3]", .methods = "[[grid.method]]\nname = \"route\"\nspan = 4\n[[grid.method]]\nname = \"route\"\ntop_k = 3\n"}, f);
        FAIL() << "expected an InputError";
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("test split has 16 tokens"));
        EXPECT_THAT(error.what(), HasSubstr("span = 4"));
        EXPECT_THAT(error.what(), HasSubstr("top_k = 3"));
        EXPECT_THAT(error.what(), HasSubstr("layer"));
    }
}

/// The rows of the similarity table as "model_a@degree/seed model_b@degree/seed", with counts.
std::map<std::string, int> comparisons(const Plan& plan) {
    const TableRows& table = plan.table("similarity");
    const auto side = [&](const char* which, const char* seed, std::size_t row) {
        const auto label = [&](const std::string& column) { return static_cast<std::int64_t>(table.labels.at(column)[row]); };
        return plan.axes.names.at("model")[static_cast<std::size_t>(label(std::string("model_") + which))] + "@" +
               std::to_string(label(std::string("degree_") + which)) + "/" + std::to_string(label(seed));
    };
    std::map<std::string, int> found;
    for (std::size_t row = 0; row < table.rows(); ++row) ++found[side("a", "seed", row) + " " + side("b", "seed_b", row)];
    return found;
}

std::string against(const char* words, const char* more = "") {
    return std::string("[similarity]\nprobe = \"text\"\nmetrics = [\"cka_linear\"]\nafter_merge = false\nagainst = ") + words + "\n" + more;
}

TEST(Comparisons, PairIsEachDegreesMembersOfOneSeed) {
    const Plan plan = plan_of({.degrees = "[0, 10]", .similarity = against(R"(["pair"])")});
    EXPECT_THAT(comparisons(plan), testing::UnorderedElementsAre(testing::Pair("code@0/0 math@0/0", 1), testing::Pair("code@0/1 math@0/1", 1),
                                                                 testing::Pair("code@10/0 math@10/0", 1), testing::Pair("code@10/1 math@10/1", 1)));
    EXPECT_EQ(ids(plan, "similarity").size(), 3u) << "at degree 0 both seeds compare the base with itself";
}

TEST(Comparisons, PairOfThreeAndOfUnequalDegrees) {
    const Plan plan = plan_of({.seeds = "[0]", .degrees = "[10]", .pairs = R"([["code", "math", "code#1"]])",
                               .methods = "[[grid.method]]\nname = \"ties\"\n", .similarity = against(R"(["pair"])")});
    EXPECT_THAT(comparisons(plan), testing::UnorderedElementsAre(testing::Pair("code@10/0 math@10/0", 1), testing::Pair("code@10/0 code#1@10/0", 1),
                                                                 testing::Pair("math@10/0 code#1@10/0", 1)));
}

TEST(Comparisons, BaseIsEveryDegreeAboveZero) {
    const Plan plan = plan_of({.seeds = "[0]", .similarity = against(R"(["base"])")});
    EXPECT_THAT(comparisons(plan), testing::UnorderedElementsAre(testing::Pair("code@10/0 base@0/0", 1), testing::Pair("code@40/0 base@0/0", 1),
                                                                 testing::Pair("math@10/0 base@0/0", 1), testing::Pair("math@40/0 base@0/0", 1)));
}

TEST(Comparisons, SelfIsEveryTwoDegreesOfOneTrajectory) {
    const Plan plan = plan_of({.seeds = "[0]", .pairs = R"([["code", "code#1"]])", .similarity = against(R"(["self"])")});
    EXPECT_THAT(comparisons(plan),
                testing::UnorderedElementsAre(testing::Pair("code@0/0 code@10/0", 1), testing::Pair("code@0/0 code@40/0", 1),
                                              testing::Pair("code@10/0 code@40/0", 1), testing::Pair("code#1@0/0 code#1@10/0", 1),
                                              testing::Pair("code#1@0/0 code#1@40/0", 1), testing::Pair("code#1@10/0 code#1@40/0", 1)));
}

TEST(Comparisons, SeedsIsTheSameSpecialistUnderEveryTwoSeeds) {
    const Plan plan = plan_of({.seeds = "[0, 1, 2]", .degrees = "[0, 10]", .similarity = against(R"(["seeds"])")});
    EXPECT_THAT(comparisons(plan), testing::UnorderedElementsAre(testing::Pair("code@10/0 code@10/1", 1), testing::Pair("code@10/0 code@10/2", 1),
                                                                 testing::Pair("code@10/1 code@10/2", 1), testing::Pair("math@10/0 math@10/1", 1),
                                                                 testing::Pair("math@10/0 math@10/2", 1), testing::Pair("math@10/1 math@10/2", 1)));
}

TEST(Comparisons, SitesProbesAndSettingsOfAMetricAreRowsOfTheirOwn) {
    const char* table = "[similarity]\nprobe = [\"text\", \"code\"]\nsite = [\"residual\", \"mlp_output\"]\nafter_merge = false\n"
                        "metrics = [{ name = \"cka_rbf\", f = [1.0, 0.5] }]\nagainst = [\"pair\"]\n";
    const Plan plan = plan_of({.seeds = "[0]", .degrees = "[10]", .similarity = table});
    EXPECT_EQ(ids(plan, "similarity").size(), 8u);
    EXPECT_THAT(plan.axes.names.at("site"), testing::ElementsAre("residual", "mlp_output"));
    EXPECT_THAT(plan.axes.names.at("metric"), testing::ElementsAre("cka_rbf", R"(cka_rbf {"f":0.5})"));
    std::set<std::vector<double>> labels;
    const TableRows& rows = plan.table("similarity");
    for (std::size_t row = 0; row < rows.rows(); ++row) {
        labels.insert({rows.labels.at("probe")[row], rows.labels.at("site")[row], rows.labels.at("metric")[row]});
    }
    EXPECT_EQ(labels.size(), 8u) << "rows are told apart by their labels";
    // One forward pass for both sites of a probe.
    const auto is_represent = [](const Task& task) { return task.kind == TaskKind::represent; };
    EXPECT_EQ(std::count_if(plan.tasks.begin(), plan.tasks.end(), is_represent), 4);
}

TEST(Comparisons, AMetricOfAllPairsOfRowsIsRefusedForTooManyBeforeAnythingStarts) {
    InputFacts many = facts();
    many.corpora.at("text").tokens[2] = 16 * 5000 + 1;  // 5000 windows
    const auto problems = [&](const std::string& keys) -> std::string {
        const std::string table = "[similarity]\nprobe = \"text\"\nafter_merge = false\nagainst = [\"pair\"]\n" + keys;
        try {
            plan_of({.similarity = table}, many);
        } catch (const InputError& error) {
            return error.what();
        }
        return "";
    };
    const std::string all = problems("windows = \"all\"\nmetrics = [\"rsa\", \"cka_rbf\", \"cka_linear\"]\n");
    EXPECT_THAT(all, HasSubstr("metric \"rsa\": it needs all pairs of rows; the probe \"text\" has 5000 windows, expected at most 4096 rows"));
    EXPECT_THAT(all, testing::Not(HasSubstr("cka_rbf")));
    const std::string tokens = problems("windows = 600\npooling = \"token\"\nmetrics = [\"cka_rbf\", \"mutual_knn\"]\n");
    EXPECT_THAT(tokens, HasSubstr("600 windows of 16 tokens, with pooling = \"token\" 9600 rows, expected at most 8192"));
    EXPECT_THAT(tokens, testing::Not(HasSubstr("mutual_knn")));
    EXPECT_EQ(problems("windows = 4096\nmetrics = [\"rsa\"]\n"), "");
    many.corpora.at("text").tokens[2] = 16 * 100 + 1;  // fewer windows than are asked for
    EXPECT_EQ(problems("windows = 5000\nmetrics = [\"rsa\"]\n"), "");
}

TEST(Comparisons, LikeBlocksAndTheFullMatrixAreDifferentResults) {
    const Plan cross = plan_of({.similarity = against(R"(["pair"])")});
    const Plan same = plan_of({.similarity = against(R"(["pair"])", "layers = \"same\"\n")});
    EXPECT_EQ(cross.table("similarity").rows(), same.table("similarity").rows());
    EXPECT_NE(ids(cross, "similarity"), ids(same, "similarity"));
    for (const auto& task : same.tasks) {
        if (task.kind == TaskKind::compare) {
            EXPECT_FALSE(task.payload.at("cross").get<bool>());
        }
    }
}

std::vector<Task> compare_tasks(const Plan& plan) {
    std::vector<Task> tasks = plan.tasks;
    std::erase_if(tasks, [](const Task& task) { return task.kind != TaskKind::compare; });
    return tasks;
}

TEST(Comparisons, AreCutIntoTilesThatShareTheirRepresentations) {
    // 32 blocks: tiles of 3 x 3 representations for Gram matrices; the others compare representation by representation.
    InputFacts f = facts();
    f.geometry.blocks = 32;
    const auto plan_with = [&](const std::string& metric) {
        return plan_of({.seeds = "[0]", .degrees = "[0, 10, 20, 30, 40]", .pairs = R"([["code", "code#1"]])",
                        .similarity = "[similarity]\nprobe = \"text\"\nafter_merge = false\nagainst = [\"self\"]\nmetrics = [\"" + metric + "\"]\n"},
                       f);
    };
    const Plan plan = plan_with("cka_linear");
    // The base and four degrees of two trajectories: 9 representations, 3 a side.
    const auto tasks = compare_tasks(plan);
    EXPECT_LE(tasks.size(), 9u);
    std::size_t items = 0;
    for (const auto& task : tasks) {
        const auto& a = task.payload.at("a");
        const auto& b = task.payload.at("b");
        EXPECT_LE(a.size(), 3u);
        EXPECT_LE(b.size(), 3u);
        std::set<Id> used;
        for (const auto& item : task.payload.at("items")) {
            used.insert(a.at(item.at("a").get<std::size_t>()).get<Id>());
            used.insert(b.at(item.at("b").get<std::size_t>()).get<Id>());
            ++items;
        }
        EXPECT_EQ(used, std::set<Id>(task.needs.begin(), task.needs.end())) << "a tile waits for what it compares, no more";
    }
    EXPECT_EQ(items, 20u);
    EXPECT_EQ(compare_tasks(plan_with("svcca")).size(), 20u);
}

TEST(Plan, ABaseMadeByPretrainingComesFirstAndAlone) {
    const char* text = R"([sweep]
name = "base"
output = "out"
[model]
architecture = "gpt2"
blocks = 2
width = 8
heads = 2
context = 16
tokenizer = "bytes"
[[corpus]]
name = "code"
files = ["code/*"]
[pretrain]
corpus = "code"
steps = 10
)";
    InputFacts f = facts();
    f.base = {};
    const Plan plan = make_plan(parse_config(text, "/nowhere/base.toml"), f);
    ASSERT_EQ(plan.tasks.size(), 1u);
    EXPECT_EQ(plan.tasks[0].produces, std::vector<Id>{plan.base});
    EXPECT_EQ(plan.table("training").rows(), 1u);
    EXPECT_EQ(plan.table("experiments").rows(), 0u);

    const auto base_after = [&](const std::string& training) {
        return make_plan(parse_config(text + training, "/nowhere/base.toml"), f).base;
    };
    EXPECT_NE(base_after("schedule = \"constant\"\nwarmup = 1\n"), plan.base);
    std::string longer = text;
    longer.replace(longer.find("steps = 10"), 10, "steps = 20\nschedule = \"constant\"");
    EXPECT_NE(make_plan(parse_config(longer, "/nowhere/base.toml"), f).base, base_after("schedule = \"constant\"\n"))
        << "the base is the model after the last step";
}

}  // namespace
}  // namespace cmsweep
