#include "cmsweep/plan/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

/// Every key that the design names, on lines that the tests below do not count.
const std::string kEveryKey = R"(
[sweep]
name   = "example"
output = "../results/example"
seeds  = [0, 1, 2]

[model]
checkpoint = "models/tiny"
tokenizer = "bytes"

[[corpus]]
name  = "code"
files = ["/usr/lib/python3.11/**/*.py"]
exclude = ["**/site-packages/**", "**/dist-packages/**"]
holdout = 0.1

[[corpus]]
name = "math"
files = "${CMSWEEP_CONFIG_TEST}/*.txt"
select_files = ["math/select/*"]
test_files = ["math/test/*"]

[[corpus]]
name = "prose"
tokens = "train.bin"
select_tokens = "select.bin"
test_tokens = "test.bin"

[[corpus]]
name = "doctest"
files = ["doctest.jsonl"]
holdout = 0.5

[[corpus]]
name = "probe"
select_files = ["probe/a.txt"]
test_files = ["probe/b.txt"]

[[specialist]]
name   = "code"
corpus = "code"
steps = 800
trainable = "all"

[[specialist]]
name = "math"
corpus = "math"
mix = { corpus = "prose", fraction = 0.5 }
l2sp = 0.01

[[specialist]]
name = "loaded"
checkpoints = { 100 = "ckpt/loaded-100", 400 = "ckpt/loaded-400" }

[finetune]
steps = 400
batch = 16
context = 128
learning_rate = 8e-4
betas = [0.9, 0.99]
weight_decay = 0.1
gradient_clip = 1.0
schedule = "cosine"
min_learning_rate_ratio = 0.1
warmup = 10
trainable = "mlp"

[grid]
pairs   = [["code", "math"], ["code", "code#1"], ["math", "loaded"]]
degrees = [0, 100, 400]
layers  = ["all", "each", 3, "0-5"]
targets = ["doctest"]
host    = "first"

[[grid.method]]
name = "specialist"

[[grid.method]]
name  = "average"
weights = [[1, 3], [2, 1]]

[[grid.method]]
name  = "interpolate_features"
alpha = [0.0, 0.25, 0.5, 0.75, 1.0]
site = ["mlp", "block"]

[[grid.method]]
name = "route"
scope = ["per_layer", "single"]
span  = [1, 2, 3]
top_k = ["all", 1]
renormalise = false
include_base = [false, true]
router = "mlp"
hidden = 32
init  = "kaiming"
train_on = ["target", "code"]
steps = 200
batch = 16
learning_rate = 5e-3

[[grid.method]]
name = "ensemble_probabilities"

[evaluate]
windows = "all"
context = 64

[similarity]
probe   = ["doctest", "probe"]
windows = 128
context = 64
pooling = "token"
site    = ["residual", "mlp_output"]
metrics = ["cka_linear", { name = "cka_debiased" }]
layers  = "same"
against = ["pair", "base", "self", "seeds"]
after_merge = false
permutations = 5

[run]
device = "cpu"
precision = "bfloat16"
threads_per_rank = 2
commit_seconds = 2.5
keep_checkpoints = false
retries = 3
task_timeout = "2h"
walltime = "1-02:30:00"
grace = "3m"
)";

/// Small and sound: what the tests of single problems change.
const std::string kSmall = R"([sweep]
name = "small"
output = "out"
[model]
checkpoint = "base"
[[corpus]]
name = "code"
files = "code/*.py"
[[corpus]]
name = "math"
files = "math/*.txt"
[[specialist]]
name = "code"
corpus = "code"
[[specialist]]
name = "math"
corpus = "math"
[finetune]
steps = 100
[grid]
pairs = [["code", "math"]]
degrees = [0, 50]
targets = "code"
[[grid.method]]
name = "average"
alpha = [0.25, 0.5]
)";

const std::string kMakesBase = R"([sweep]
name = "base"
output = "out"
[model]
architecture = "gpt2"
blocks = 4
width = 128
heads = 4
context = 128
tokenizer = "bytes"
[[corpus]]
name = "code"
files = "code/*.py"
[[corpus]]
name = "prose"
files = "prose/*.txt"
[pretrain]
corpus = ["code", "prose"]
steps = 1000
batch = 32
learning_rate = 1e-3
)";

Config parse(const std::string& text) { return parse_config(text, "/project/configs/x.toml"); }

std::vector<std::string> problems(const std::string& text) {
    try {
        parse(text);
    } catch (const InputError& error) {
        return error.problems();
    }
    return {};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

/// The one problem of the small config with `from` replaced by `to`.
std::string problem(const std::string& from, const std::string& to) {
    const auto found = problems(replaced(kSmall, from, to));
    EXPECT_THAT(found, SizeIs(1)) << from << " -> " << to;
    return found.empty() ? "" : found[0];
}

std::vector<std::string> problems_with(const std::string& from, const std::string& to) {
    return problems(replaced(kSmall, from, to));
}

class EveryKey : public testing::Test {
protected:
    void SetUp() override { setenv("CMSWEEP_CONFIG_TEST", "/data", 1); }
};

TEST_F(EveryKey, IsReadAndKept) {
    const Config config = parse(kEveryKey);
    EXPECT_EQ(config.name, "example");
    EXPECT_EQ(config.output, "/project/results/example");
    EXPECT_EQ(config.store_path(), "/project/results/example.h5");
    EXPECT_EQ(config.side_folder(), "/project/results/example.d");
    EXPECT_THAT(config.seeds, ElementsAre(0, 1, 2));
    EXPECT_EQ(config.model.checkpoint, "/project/configs/models/tiny");
    EXPECT_EQ(config.model.tokenizer, "bytes");

    ASSERT_THAT(config.corpora, SizeIs(5));
    EXPECT_THAT(config.corpora[0].files, ElementsAre("/usr/lib/python3.11/**/*.py"));
    EXPECT_THAT(config.corpora[0].exclude, SizeIs(2));
    EXPECT_THAT(config.corpora[1].files, ElementsAre("/data/*.txt"));
    EXPECT_THAT(config.corpora[1].select_files, ElementsAre("/project/configs/math/select/*"));
    EXPECT_THAT(config.corpora[1].test_files, ElementsAre("/project/configs/math/test/*"));
    EXPECT_EQ(config.corpora[2].tokens, "/project/configs/train.bin");
    EXPECT_EQ(config.corpora[2].select_tokens, "/project/configs/select.bin");
    EXPECT_EQ(config.corpora[2].test_tokens, "/project/configs/test.bin");
    EXPECT_EQ(config.find_corpus("doctest")->holdout, 0.5);
    EXPECT_THAT(config.corpora[4].where, AllOf(StartsWith("/project/configs/x.toml:"), HasSubstr(": corpus[4]")));

    ASSERT_THAT(config.specialists, SizeIs(3));
    const TrainingConfig& code = config.specialists[0].training;
    EXPECT_EQ(code.steps, 800);
    EXPECT_EQ(code.trainable, "all");
    EXPECT_EQ(code.batch, 16);
    EXPECT_EQ(code.context, 128);
    EXPECT_EQ(code.learning_rate, 8e-4);
    EXPECT_EQ(code.beta1, 0.9);
    EXPECT_EQ(code.beta2, 0.99);
    EXPECT_EQ(code.weight_decay, 0.1);
    EXPECT_EQ(code.gradient_clip, 1);
    EXPECT_EQ(code.schedule, "cosine");
    EXPECT_EQ(code.min_learning_rate_ratio, 0.1);
    EXPECT_EQ(code.warmup, 10);
    EXPECT_EQ(code.mix_corpus, "");
    const TrainingConfig& math = config.specialists[1].training;
    EXPECT_EQ(math.steps, 400);
    EXPECT_EQ(math.mix_corpus, "prose");
    EXPECT_EQ(math.mix_fraction, 0.5);
    EXPECT_EQ(math.l2sp, 0.01);
    EXPECT_EQ(config.specialists[2].checkpoints.at(400), "/project/configs/ckpt/loaded-400");

    ASSERT_TRUE(config.grid);
    EXPECT_THAT(config.grid->pairs,
                ElementsAre(ElementsAre("code", "math"), ElementsAre("code", "code#1"), ElementsAre("math", "loaded")));
    EXPECT_THAT(config.grid->degrees, ElementsAre(ElementsAre(0), ElementsAre(100), ElementsAre(400)));
    EXPECT_THAT(config.grid->layers, ElementsAre("all", "each", "3", "0-5"));
    EXPECT_THAT(config.grid->targets, ElementsAre("doctest"));
    ASSERT_THAT(config.grid->methods, SizeIs(4));  // the reference row runs anyway
    EXPECT_THAT(config.grid->methods[0].settings, SizeIs(2));
    EXPECT_THAT(config.grid->methods[1].settings, SizeIs(10));
    EXPECT_THAT(config.grid->methods[2].settings, SizeIs(2 * 3 * 2 * 2 * 2));
    EXPECT_THAT(config.grid->methods[3].settings, SizeIs(1));
    EXPECT_EQ(config.grid->methods[2].settings.back().at("train_on"), "code");
    EXPECT_EQ(config.grid->methods[2].settings.back().at("hidden"), 32);

    EXPECT_EQ(config.evaluate.windows, -1);
    EXPECT_EQ(config.evaluate.context, 64);
    EXPECT_TRUE(config.similarity.present);
    EXPECT_THAT(config.similarity.probes, ElementsAre("doctest", "probe"));
    EXPECT_EQ(config.similarity.windows, 128);
    EXPECT_EQ(config.similarity.context, 64);
    EXPECT_EQ(config.similarity.pooling, "token");
    EXPECT_THAT(config.similarity.sites, ElementsAre("residual", "mlp_output"));
    ASSERT_THAT(config.similarity.metrics, SizeIs(2));
    EXPECT_EQ(config.similarity.metrics[1].name, "cka_debiased");
    EXPECT_FALSE(config.similarity.cross);
    EXPECT_THAT(config.similarity.against, ElementsAre("pair", "base", "self", "seeds"));
    EXPECT_FALSE(config.similarity.after_merge);
    EXPECT_EQ(config.similarity.permutations, 5);

    EXPECT_EQ(config.run.device, "cpu");
    EXPECT_EQ(config.run.precision, "bfloat16");
    EXPECT_EQ(config.run.threads_per_rank, 2);
    EXPECT_EQ(config.run.commit_seconds, 2.5);
    EXPECT_FALSE(config.run.keep_checkpoints);
    EXPECT_EQ(config.run.retries, 3);
    EXPECT_EQ(config.run.task_timeout, 7200);
    EXPECT_EQ(config.run.walltime, 95400);
    EXPECT_EQ(config.run.grace, 180);
    EXPECT_EQ(config.text, kEveryKey);
}

TEST_F(EveryKey, ReportsAMisspeltKeyInEveryTable) {
    // Each key of the file, one at a time, with a letter added: all must be noticed, wherever they stand.
    std::size_t keys = 0;
    for (std::size_t at = kEveryKey.find('='); at != std::string::npos; at = kEveryKey.find('=', at + 1)) {
        std::size_t end = at;
        while (kEveryKey[end - 1] == ' ') --end;
        std::string text = kEveryKey;
        if (std::isdigit(static_cast<unsigned char>(text[end - 1])) != 0) continue;  // a degree, itself a value
        text.insert(end, "q");
        const auto found = problems(text);
        EXPECT_THAT(found, Contains(AllOf(HasSubstr("unknown key"), HasSubstr("did you mean"))))
            << text.substr(end - 10, 20);
        ++keys;
    }
    EXPECT_GT(keys, 80U);
}

TEST_F(EveryKey, RefusesAValueOfTheWrongTypeForEachKey) {
    for (std::size_t line_start = 0; line_start < kEveryKey.size();) {
        const std::size_t line_end = kEveryKey.find('\n', line_start);
        const std::string line = kEveryKey.substr(line_start, line_end - line_start);
        const std::size_t equals = line.find('=');
        if (equals != std::string::npos) {
            std::string text = kEveryKey;
            text.replace(line_start, line.size(), line.substr(0, equals) + "= 1979-05-27");
            EXPECT_THAT(problems(text), Contains(HasSubstr("= a date or time: expected"))) << line;
        }
        line_start = line_end + 1;
    }
}

TEST(Config, FillsInDefaults) {
    const Config config = parse(kSmall);
    EXPECT_THAT(config.seeds, ElementsAre(0));
    EXPECT_EQ(config.model.tokenizer, "");
    EXPECT_EQ(config.specialists[0].training.steps, 100);
    EXPECT_EQ(config.specialists[0].training.trainable, "mlp");
    EXPECT_THAT(config.grid->layers, ElementsAre("all"));
    EXPECT_EQ(config.grid->host, "first");
    EXPECT_EQ(config.evaluate.windows, 256);
    EXPECT_FALSE(config.similarity.present);
    EXPECT_EQ(config.run.task_timeout, 7200);
    EXPECT_EQ(config.run.walltime, 0);
    EXPECT_EQ(config.run.grace, 60);
}

TEST(Config, MayEndAtPretrain) {
    const Config config = parse(kMakesBase);
    EXPECT_FALSE(config.grid);
    ASSERT_TRUE(config.model.pretrain);
    EXPECT_EQ(config.model.pretrain->steps, 1000);
    EXPECT_EQ(config.model.pretrain->trainable, "all");
    EXPECT_THAT(config.model.pretrain_corpora, ElementsAre("code", "prose"));
    EXPECT_EQ(config.model.geometry.blocks, 4);
    EXPECT_EQ(config.model.geometry.inner, 512);
    EXPECT_EQ(config.model.geometry.vocabulary, 0);
}

TEST(Config, ReportsAllProblemsAtOnceInTheOrderOfTheFile) {
    std::string text = replaced(kSmall, "name = \"small\"", "nam = \"small\"");
    text = replaced(text, "steps = 100", "steps = \"many\"");
    text = replaced(text, "alpha = [0.25, 0.5]", "alpha = [0.25, 1.5]");
    EXPECT_THAT(
        problems(text),
        ElementsAre("/project/configs/x.toml:1: sweep.name: missing, expected a name of letters, digits, '-', '_' and "
                    "'.', at most 64",
                    "/project/configs/x.toml:2: sweep.nam: unknown key (did you mean \"name\"?)",
                    "/project/configs/x.toml:19: finetune.steps = \"many\": expected an integer in [1, 1000000000]",
                    "/project/configs/x.toml:26: grid.method[0].alpha[1] = 1.5: expected a number in [0, 1]"));
}

TEST(Config, ReportsSyntaxErrorsWithTheirLine) {
    EXPECT_THAT(problems("[sweep]\nname = \"x\n"), ElementsAre(StartsWith("/project/configs/x.toml:2: ")));
    EXPECT_THAT(problems("[sweep]\nname = 1\nname = 2\n"), ElementsAre(StartsWith("/project/configs/x.toml:3: ")));
    EXPECT_THAT(problems(std::string("[sweep]\nname = \"\xff\"\n")),
                ElementsAre(StartsWith("/project/configs/x.toml:2: ")));
}

TEST(Config, SaysWhatIsMissing) {
    EXPECT_THAT(problems(""),
                ElementsAre(HasSubstr("sweep: missing"), HasSubstr("corpus: missing"), HasSubstr("model: missing"),
                            HasSubstr("specialist: missing"), HasSubstr("grid: missing")));
    EXPECT_THAT(problem("targets = \"code\"\n", ""), HasSubstr("grid.targets: missing"));
    EXPECT_THAT(problem("pairs = [[\"code\", \"math\"]]\n", ""), HasSubstr("grid.pairs: missing"));
    EXPECT_THAT(problem("degrees = [0, 50]\n", ""), HasSubstr("grid.degrees: missing"));
    EXPECT_THAT(problem("output = \"out\"\n", ""), HasSubstr("sweep.output: missing"));
    EXPECT_THAT(problem("name = \"average\"\nalpha = [0.25, 0.5]", ""), HasSubstr("grid.method[0].name: missing"));
    EXPECT_THAT(problems(kSmall + "[similarity]\n"),
                ElementsAre(HasSubstr("similarity.probe: missing"), HasSubstr("similarity.metrics: missing")));
}

TEST(Config, RefusesAFileThatIsNotThere) { EXPECT_THROW(read_config("/no/such/file.toml"), InputError); }

TEST(Config, RefusesSingleTablesForListsAndTheReverse) {
    EXPECT_THAT(problems_with("[[corpus]]\nname = \"code\"\nfiles = \"code/*.py\"\n[[corpus]]", "[corpus]"),
                Contains(HasSubstr("write [[corpus]]")));
    EXPECT_THAT(problems_with("[finetune]", "[[finetune]]"), Contains(HasSubstr("write [finetune] once")));
    EXPECT_THAT(problems_with("[sweep]\nname = \"small\"\noutput = \"out\"", "sweep = 3"),
                ElementsAre(HasSubstr("sweep = 3: expected a table")));
}

TEST(ConfigSweep, ChecksItsValues) {
    EXPECT_THAT(problem("\"small\"", "\"a b\""), HasSubstr("sweep.name = \"a b\": expected a name"));
    EXPECT_THAT(problem("\"out\"", "\"out.h5\""), HasSubstr("leave it out"));
    EXPECT_THAT(problem("\"out\"", "\"${CMSWEEP_NO_SUCH_VARIABLE}/out\""), HasSubstr("sweep.output"));
    EXPECT_THAT(problem("\"out\"", "\"out\"\nseeds = [0, -1]"), HasSubstr("sweep.seeds[1] = -1"));
    EXPECT_THAT(problem("\"out\"", "\"out\"\nseeds = [1, 1]"), HasSubstr("sweep.seeds[1] = 1: listed twice"));
    EXPECT_THAT(problem("\"out\"", "\"out\"\nseeds = []"), HasSubstr("sweep.seeds = []: expected"));
    EXPECT_THAT(parse(replaced(kSmall, "\"out\"", "\"out\"\nseeds = 7")).seeds, ElementsAre(7));
}

TEST(ConfigModel, IsLoadedOrMade) {
    EXPECT_THAT(problem("checkpoint = \"base\"", ""), HasSubstr("model.checkpoint: missing"));
    EXPECT_THAT(problem("checkpoint = \"base\"", "checkpoint = \"base\"\nwidth = 3"),
                HasSubstr("model.width = 3: a checkpoint has its own width"));
    EXPECT_THAT(problems_with("checkpoint = \"base\"", "checkpoint = \"base\"\narchitecture = \"gpt2\""),
                Contains(HasSubstr("both given")));
    EXPECT_THAT(problem("checkpoint = \"base\"", "checkpoint = 3"), HasSubstr("model.checkpoint = 3"));
    EXPECT_THAT(problems(kSmall + "[pretrain]\ncorpus = \"code\"\n"),
                ElementsAre(HasSubstr("loaded from a checkpoint")));
    EXPECT_THAT(problems(replaced(kMakesBase, "heads = 4", "heads = 5")),
                ElementsAre(HasSubstr("model.heads = 5: does not divide the width, 128")));
    EXPECT_THAT(problems(replaced(kMakesBase, "width = 128\n", "")), ElementsAre(HasSubstr("model.width: missing")));
    EXPECT_THAT(problems(replaced(kMakesBase, "\"gpt2\"", "\"bert\"")), ElementsAre(HasSubstr("expected \"gpt2\"")));
    EXPECT_THAT(problems(replaced(kMakesBase, "tokenizer = \"bytes\"\n", "")),
                ElementsAre(HasSubstr("model.tokenizer: missing")));
    EXPECT_THAT(problems(replaced(kMakesBase, "steps = 1000", "context = 256")),
                ElementsAre(HasSubstr("longer than the model's context, 128")));
    EXPECT_THAT(problems(replaced(kMakesBase, "steps = 1000", "trainable = \"mlp\"")),
                ElementsAre(HasSubstr("leave it out")));
    EXPECT_THAT(problems(replaced(kMakesBase, "\"prose\"]", "\"prosa\"]")),
                ElementsAre(AllOf(HasSubstr("pretrain.corpus[1] = \"prosa\""), HasSubstr("did you mean \"prose\""))));
    EXPECT_THAT(problems(kMakesBase.substr(0, kMakesBase.find("[pretrain]"))),
                Contains(HasSubstr("pretrain: missing")));
}

TEST(ConfigCorpus, ChecksWhatGoesTogether) {
    EXPECT_THAT(problem("files = \"code/*.py\"", "files = \"code/*.py\"\ntokens = \"a.bin\""),
                HasSubstr("corpus[0]: files and tokens are both given"));
    EXPECT_THAT(problem("files = \"code/*.py\"", "files = \"code/*.py\"\ntest_files = \"a\""),
                HasSubstr("corpus[0].select_files: missing"));
    EXPECT_THAT(problem("files = \"code/*.py\"", "files = \"code/*.py\"\nselect_tokens = \"a\"\ntest_tokens = \"b\""),
                HasSubstr("are mixed"));
    EXPECT_THAT(problem("files = \"code/*.py\"",
                        "files = \"code/*.py\"\nselect_files = \"a\"\ntest_files = \"b\"\nholdout = 0.2"),
                HasSubstr("corpus[0].holdout = 0.2: held-out text is given explicitly"));
    EXPECT_THAT(problem("files = \"code/*.py\"", "files = \"code/*.py\"\nholdout = 1.2"),
                HasSubstr("expected a number in [0, 1]"));
    EXPECT_THAT(problem("files = \"code/*.py\"", "files = [\"a\", 3]"), HasSubstr("corpus[0].files[1] = 3: expected"));
    EXPECT_THAT(problems_with("files = \"code/*.py\"", ""), Contains(HasSubstr("corpus[0].files: missing")));
    EXPECT_THAT(problems_with("name = \"math\"\nfiles", "name = \"code\"\nfiles"),
                Contains(HasSubstr("the name is taken (/project/configs/x.toml:6: corpus[0])")));
    EXPECT_THAT(problems_with("name = \"math\"\nfiles", "name = \"target\"\nfiles"),
                Contains(HasSubstr("a meaning of its own")));
}

TEST(ConfigCorpus, HasTheTextThatIsAskedOfIt) {
    EXPECT_THAT(problem("files = \"code/*.py\"", "files = \"code/*.py\"\nholdout = 0"),
                HasSubstr("grid.targets = \"code\": this corpus has no held-out text"));
    EXPECT_THAT(problem("files = \"math/*.txt\"", "select_files = \"a\"\ntest_files = \"b\""),
                HasSubstr("specialist[1].corpus = \"math\": this corpus has no training text"));
    EXPECT_THAT(problem("files = \"math/*.txt\"", "files = \"a\"\nholdout = 1"), HasSubstr("no training text"));
}

TEST(ConfigSpecialist, ChecksItsCorpusAndTraining) {
    EXPECT_THAT(problem("corpus = \"math\"", "corpus = \"maths\""),
                HasSubstr("specialist[1].corpus = \"maths\": no [[corpus]] has this name (did you mean \"math\"?)"));
    EXPECT_THAT(problem("corpus = \"math\"", ""), HasSubstr("specialist[1].corpus: missing"));
    EXPECT_THAT(problems_with("name = \"math\"\ncorpus", "name = \"code\"\ncorpus"),
                Contains(HasSubstr("the name is taken")));
    EXPECT_THAT(problems_with("name = \"math\"\ncorpus", "name = \"base\"\ncorpus"),
                Contains(HasSubstr("a meaning of its own")));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nwarmup = 101"),
                HasSubstr("finetune.warmup = 101: warmup (101) is longer than steps (100)"));
    EXPECT_THAT(problem("corpus = \"math\"", "corpus = \"math\"\nwarmup = 200"),
                HasSubstr("specialist[1].warmup = 200"));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nbetas = [0.9, 1.0]"),
                HasSubstr("finetune.betas[1] = 1.0: expected a number in [0, 1)"));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nbetas = 0.9"), HasSubstr("expected two numbers"));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nlearning_rate = nan"),
                HasSubstr("finetune.learning_rate = nan: expected a number in (0, 1000]"));
    EXPECT_THAT(problem("steps = 100", "steps = 100.5"), HasSubstr("expected an integer"));
    EXPECT_THAT(problem("steps = 100", "steps = 100\ncontext = 1"), HasSubstr("finetune.context = 1"));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nmix = { corpus = \"mth\", fraction = 0.5 }"),
                HasSubstr("finetune.mix.corpus = \"mth\""));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nmix = { corpus = \"math\", fraction = 1 }"),
                HasSubstr("expected a number in [0, 1)"));
    EXPECT_THAT(problem("steps = 100", "steps = 100\nmix = { fraction = 0.5 }"),
                HasSubstr("finetune.mix.corpus: missing"));
}

TEST(ConfigSpecialist, MayOverrideWhatIsMixedIn) {
    std::string text = replaced(kSmall, "steps = 100", "steps = 100\nmix = { corpus = \"code\", fraction = 0.5 }");
    text = replaced(text, "corpus = \"math\"", "corpus = \"math\"\nmix = { corpus = \"code\", fraction = 0 }");
    const Config config = parse(text);
    EXPECT_EQ(config.specialists[0].training.mix_fraction, 0.5);
    EXPECT_EQ(config.specialists[1].training.mix_fraction, 0);
    EXPECT_EQ(config.specialists[1].training.mix_corpus, "");
}

TEST(ConfigSpecialist, LoadedOnesHaveTheirDegreesOnly) {
    const std::string loaded = replaced(kSmall, "corpus = \"math\"", "checkpoints = { 10 = \"a\", 50 = \"b\" }");
    EXPECT_THAT(problems(loaded), IsEmpty());
    EXPECT_THAT(
        problems(replaced(loaded, "[0, 50]", "[0, 50, 60]")),
        ElementsAre(HasSubstr("grid.degrees[2] = 60: \"math\" has checkpoints for the degrees 0, 10, 50 only")));
    EXPECT_THAT(problems(replaced(loaded, "10 = ", "0 = ")),
                ElementsAre(HasSubstr("specialist[1].checkpoints.0: expected a degree")));
    EXPECT_THAT(problems(replaced(loaded, "10 = ", "ten = ")), ElementsAre(HasSubstr("expected a degree")));
    EXPECT_THAT(problems(replaced(loaded, "\"a\"", "3")),
                ElementsAre(HasSubstr("specialist[1].checkpoints.10 = 3: expected a checkpoint's folder")));
    EXPECT_THAT(problems(replaced(loaded, "checkpoints =", "steps = 3\ncheckpoints =")),
                ElementsAre(HasSubstr("not fine-tuned: leave it out")));
    EXPECT_THAT(problems(replaced(loaded, "checkpoints =", "corpus = \"math\"\ncheckpoints =")),
                ElementsAre(HasSubstr("fine-tuned or loaded")));
    EXPECT_THAT(problems(replaced(loaded, "[[\"code\", \"math\"]]", "[[\"math\", \"math#1\"]]")),
                ElementsAre(HasSubstr("only fine-tuned specialists have twins")));
}

TEST(ConfigGrid, ChecksPairs) {
    const std::string pair = "[[\"code\", \"math\"]]";
    EXPECT_THAT(problem(pair, "[[\"code\", \"mth\"]]"),
                HasSubstr("grid.pairs[0][1] = \"mth\": no [[specialist]] has this name (did you mean \"math\"?)"));
    EXPECT_THAT(problem(pair, "[[\"code\"]]"), HasSubstr("expected two or more specialists"));
    EXPECT_THAT(problem(pair, "[[\"code\", \"code\"]]"), HasSubstr("already a member"));
    EXPECT_THAT(problem(pair, "[[\"code\", \"base\"]]"), HasSubstr("the base is no member"));
    EXPECT_THAT(problem(pair, "[[\"code\", \"code#0\"]]"), HasSubstr("for its twin"));
    EXPECT_THAT(problem(pair, "[[\"code\", \"code#x\"]]"), HasSubstr("for its twin"));
    EXPECT_THAT(problems_with(pair, "[\"code\", \"math\"]"),
                Contains(HasSubstr("grid.pairs[0] = \"code\": expected a pair")));
    EXPECT_THAT(problem(pair, "[[\"code\", \"math\"], [\"code\", \"math\"]]"),
                HasSubstr("grid.pairs[1] = [\"code\", \"math\"]: listed twice"));
    EXPECT_THAT(problem(pair, "\"any\""), HasSubstr("expected \"all\", or a list"));
    EXPECT_TRUE(parse(replaced(kSmall, pair, "\"all\"")).grid->all_pairs);
}

TEST(ConfigGrid, ChecksDegrees) {
    EXPECT_THAT(problems_with("[0, 50]", "[0, 101]"),
                ElementsAre(HasSubstr("grid.degrees[1] = 101: beyond the 100 steps that \"code\" is fine-tuned for"),
                            HasSubstr("\"math\"")));
    EXPECT_THAT(problem("[0, 50]", "[0, -5]"), HasSubstr("grid.degrees[1] = -5"));
    EXPECT_THAT(problem("[0, 50]", "[50, 50]"), HasSubstr("listed twice"));
    EXPECT_THAT(problem("degrees = [0, 50]", "degrees = 50\ndegree_pairs = [[10, 20]]"), HasSubstr("both given"));
    EXPECT_THAT(problem("degrees = [0, 50]", "degree_pairs = [[10, 20, 30]]"),
                HasSubstr("one degree for each of the 2 members of grid.pairs[0] (code + math)"));
    EXPECT_THAT(problems_with("degrees = [0, 50]", "degree_pairs = [10, 20]"),
                AllOf(SizeIs(2), Each(HasSubstr("expected one degree a member"))));
    EXPECT_THAT(problem("degrees = [0, 50]", "degree_pairs = [[10, 200]]"),
                HasSubstr("grid.degree_pairs[0][1] = 200: beyond the 100 steps that \"math\""));
    EXPECT_THAT(parse(replaced(kSmall, "degrees = [0, 50]", "degree_pairs = [[10, 20], [20, 10]]")).grid->degrees,
                ElementsAre(ElementsAre(10, 20), ElementsAre(20, 10)));
}

TEST(ConfigGrid, ChecksLayersTargetsAndHost) {
    for (const auto* layers :
         {"\"every\"", "\"5-3\"", "\"1-\"", "-1", "\"\"", "1.5", "\"1-2-3\"", "\"+1\"", "\"99999999999999999999\""}) {
        EXPECT_THAT(problem("targets", std::string("layers = [") + layers + "]\ntargets"), HasSubstr("grid.layers[0]"))
            << layers;
    }
    EXPECT_THAT(problem("targets = \"code\"", "targets = [\"code\", \"cod\"]"),
                HasSubstr("grid.targets[1] = \"cod\": no [[corpus]] has this name"));
    EXPECT_THAT(problem("targets = \"code\"", "targets = [\"code\", \"code\"]"), HasSubstr("listed twice"));
    EXPECT_THAT(problem("targets", "host = \"maths\"\ntargets"), HasSubstr("did you mean \"math\""));
    EXPECT_EQ(parse(replaced(kSmall, "targets", "host = \"math\"\ntargets")).grid->host, "math");
}

TEST(ConfigGrid, ChecksMethodsAgainstTheRegistry) {
    EXPECT_THAT(problem("name = \"average\"", "name = \"avrage\""),
                HasSubstr("grid.method[0].name = \"avrage\": unknown method (did you mean \"average\"?)"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "alpha = [0.25, 0.25]"), HasSubstr("listed twice"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "alpha = []"), HasSubstr("at least one value"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "alpa = 0.5"),
                HasSubstr("grid.method[0].alpa: unknown key (did you mean \"alpha\"?)"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "alpha = 0.5\nweights = [1, 1]"), HasSubstr("both given"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "weights = [1, 1, 1]"),
                HasSubstr("\"average\" does not fit grid.pairs[0] (code + math): weights has 3 entries"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "weights = [[1, 2], [0, 0]]"), HasSubstr("all 0"));
    EXPECT_THAT(problem("[[\"code\", \"math\"]]", "[[\"code\", \"math\"], [\"code\", \"math\", \"code#1\"]]"),
                HasSubstr("\"average\" does not fit grid.pairs[1] (code + math + code#1): alpha is the first of two "
                          "members' weight"));
    EXPECT_THAT(problem("alpha = [0.25, 0.5]", "alpha = { a = 1 }"),
                HasSubstr("grid.method[0].alpha = a table: expected"));
}

TEST(ConfigGrid, MultipliesAxesOutWithTheFirstParameterSlowest) {
    const Config config =
        parse(replaced(kSmall, "name = \"average\"\nalpha = [0.25, 0.5]",
                       "name = \"interpolate_features\"\nsite = [\"block\", \"mlp\"]\nalpha = [1, 0.5]"));
    const auto& settings = config.grid->methods.at(0).settings;
    ASSERT_THAT(settings, SizeIs(4));
    EXPECT_EQ(settings[0], (nlohmann::json{{"alpha", 1.0}, {"site", "block"}, {"weights", nullptr}}));
    EXPECT_EQ(settings[1], (nlohmann::json{{"alpha", 1.0}, {"site", "mlp"}, {"weights", nullptr}}));
    EXPECT_EQ(settings[3], (nlohmann::json{{"alpha", 0.5}, {"site", "mlp"}, {"weights", nullptr}}));
}

TEST(ConfigGrid, ChecksWhatRoutersTrainOn) {
    const auto route = [](const std::string& rest) { return "name = \"route\"\n" + rest; };
    const std::string average = "name = \"average\"\nalpha = [0.25, 0.5]";
    EXPECT_THAT(
        problem(average, route("train_on = \"mth\"")),
        AllOf(HasSubstr("\"target\" or \"specialists\" or a corpus' name"), HasSubstr("did you mean \"math\"")));
    EXPECT_THAT(problems_with(average, route("train_on = \"math\"")), IsEmpty());
    const std::string only_held_out =
        replaced(kSmall, "[[specialist]]",
                 "[[corpus]]\nname = \"exam\"\nselect_files = \"a\"\ntest_files = \"b\"\n[[specialist]]");
    const std::string exam = replaced(only_held_out, "targets = \"code\"", "targets = \"exam\"");
    EXPECT_THAT(problems(exam), IsEmpty());
    EXPECT_THAT(problems(replaced(exam, average, route(""))),
                ElementsAre(HasSubstr("corpus \"exam\" has no training text")));
    EXPECT_THAT(problems(replaced(exam, average, route("steps = 0"))), IsEmpty());
    EXPECT_THAT(problems(replaced(exam, average, route("train_on = \"exam\""))),
                ElementsAre(HasSubstr("grid.method[0].train_on = \"exam\"")));
    const std::string loaded = replaced(kSmall, "corpus = \"math\"", "checkpoints = { 50 = \"b\" }");
    EXPECT_THAT(problems(replaced(loaded, average, route("train_on = \"specialists\""))),
                ElementsAre(HasSubstr("\"math\" is loaded from checkpoints")));
    EXPECT_THAT(problems(replaced(loaded, average, "name = \"joint\"\ntrain_on = \"code\"")),
                ElementsAre(HasSubstr("grid.method[0].steps: \"math\" is loaded from checkpoints, how long it was trained is not known")));
    EXPECT_THAT(problems(replaced(loaded, average, "name = \"joint\"\ntrain_on = \"code\"\nsteps = 5")), IsEmpty());
    EXPECT_THAT(problems(replaced(loaded, average, "name = \"rebasin\"")), IsEmpty()) << "a match by weights needs no text";
    EXPECT_THAT(problems(replaced(loaded, average, "name = \"rebasin\"\nmatching = \"activations\"")),
                ElementsAre(HasSubstr("\"math\" is loaded from checkpoints")));
}

TEST(ConfigGrid, RefusesProductsThatNobodyMeans) {
    std::string seeds, alphas;
    for (int i = 0; i < 2000; ++i) seeds += std::to_string(i) + ", ";
    for (int i = 0; i < 3000; ++i) alphas += "0." + std::to_string(10000 + i) + ", ";
    std::string text = replaced(kSmall, "output = \"out\"", "output = \"out\"\nseeds = [" + seeds + "]");
    text = replaced(text, "[0.25, 0.5]", "[" + alphas + "]");
    EXPECT_THAT(problems(text),
                ElementsAre(HasSubstr(
                    "grid: 12000000 rows (1 pairs x 2 degrees x 1 layers x 3000 settings x 1 targets x 2000 seeds)")));
    text = replaced(kSmall, "name = \"average\"\nalpha = [0.25, 0.5]",
                    "name = \"route\"\nlearning_rate = [" + alphas + "]\nhidden = [" + seeds.substr(3) + "]");
    EXPECT_THAT(problems(text), ElementsAre(HasSubstr("its arrays multiply to 5997000 settings")));
}

TEST(ConfigSimilarity, ChecksItsValues) {
    const std::string table = "[similarity]\nprobe = \"code\"\nmetrics = [\"cka_linear\"]\n";
    const auto one = [&](const std::string& from, const std::string& to) {
        return problems(kSmall + replaced(table, from, to));
    };
    EXPECT_THAT(problems(kSmall + table), IsEmpty());
    EXPECT_THAT(one("\"cka_linear\"", "\"cka_liner\""),
                ElementsAre(AllOf(HasSubstr("similarity.metrics[0] = \"cka_liner\""), HasSubstr("\"cka_linear\""))));
    EXPECT_THAT(one("\"cka_linear\"", "{ name = \"cka_linear\", wdth = 3 }"),
                ElementsAre(HasSubstr("similarity.metrics[0].wdth: unknown key")));
    EXPECT_THAT(one("\"cka_linear\"", "{ f = 3 }"), ElementsAre(HasSubstr("similarity.metrics[0].name: missing")));
    EXPECT_THAT(one("\"cka_linear\"", "\"cka_linear\", \"cka_linear\""), ElementsAre(HasSubstr("listed twice")));
    EXPECT_THAT(one("\"cka_linear\"", "\"mutual_knn\", { name = \"mutual_knn\", k = [5, 10] }"), ElementsAre(HasSubstr("listed twice")));
    EXPECT_THAT(one("\"cka_linear\"", "{ name = \"mutual_knn\", k = [5, 5] }"),
                ElementsAre(AllOf(HasSubstr("similarity.metrics[0].k[1]"), HasSubstr("listed twice"))));
    EXPECT_THAT(one("\"cka_linear\"", "{ name = \"mutual_knn\", k = [5, 0] }"), ElementsAre(HasSubstr("similarity.metrics[0].k[1] = 0")));
    EXPECT_THAT(one("\"cka_linear\"", "{ name = \"mutual_knn\", k = [] }"), ElementsAre(HasSubstr("similarity.metrics[0].k")));
    EXPECT_THAT(one("\"code\"", "\"cod\""), ElementsAre(HasSubstr("similarity.probe = \"cod\"")));
    EXPECT_THAT(one("probe", "against = [\"pairs\"]\nprobe"),
                ElementsAre(HasSubstr("expected \"pair\", \"base\", \"self\" or \"seeds\"")));
    EXPECT_THAT(one("probe", "windows = 0\nprobe"), ElementsAre(HasSubstr("similarity.windows = 0")));
    EXPECT_THAT(one("probe", "windows = \"some\"\nprobe"), ElementsAre(HasSubstr("or \"all\"")));
    EXPECT_THAT(one("probe", "permutations = -1\nprobe"), ElementsAre(HasSubstr("similarity.permutations = -1")));
}

TEST(ConfigRun, ReadsDurationsAndRefusesOthers) {
    EXPECT_EQ(parse(kSmall + "[run]\ntask_timeout = 90\nwalltime = \"\"\n").run.task_timeout, 90);
    EXPECT_THAT(problems(kSmall + "[run]\ntask_timeout = \"soon\"\n"),
                ElementsAre(HasSubstr("run.task_timeout = \"soon\": expected a duration")));
    EXPECT_THAT(problems(kSmall + "[run]\ntask_timeout = 0\n"), ElementsAre(HasSubstr("expected a duration > 0")));
    EXPECT_THAT(problems(kSmall + "[run]\nwalltime = -5\n"), ElementsAre(HasSubstr("run.walltime = -5")));
    EXPECT_THAT(problems(kSmall + "[run]\ngrace = 0\n"), ElementsAre(HasSubstr("run.grace = 0")));
    EXPECT_THAT(problems(kSmall + "[run]\ndevice = \"gpu\"\nprecision = 16\nthreads_per_rank = 0\n"), SizeIs(3));
}

TEST(ResolveLayers, KnowsTheNumberOfBlocks) {
    GridConfig grid;
    grid.where = "x.toml:3: grid";
    grid.layers = {"all", "each", "1", "0-2", "2-2", "0-1"};
    const auto layers = resolve_layers(grid, 3);
    EXPECT_THAT(layers,
                ElementsAre(LayerSpec{"all", 0, 2, true}, LayerSpec{"0", 0, 0, false}, LayerSpec{"1", 1, 1, false},
                            LayerSpec{"2", 2, 2, false}, LayerSpec{"0-2", 0, 2, false}, LayerSpec{"0-1", 0, 1, false}));
    grid.layers = {"3", "1-3", "x"};
    try {
        resolve_layers(grid, 3);
        FAIL();
    } catch (const InputError& error) {
        EXPECT_THAT(error.problems(), ElementsAre("x.toml:3: grid.layers: \"3\": the model has 3 blocks, 0 to 2",
                                                  HasSubstr("\"1-3\""), HasSubstr("\"x\"")));
    }
}

TEST(ParseMember, SplitsOffTheTwin) {
    EXPECT_EQ(parse_member("code").specialist, "code");
    EXPECT_EQ(parse_member("code").twin, 0);
    EXPECT_EQ(parse_member("code#12").twin, 12);
    EXPECT_EQ(parse_member("base").specialist, "base");
    for (const auto* text :
         {"", "#1", "code#", "code#0", "code#01", "code#-1", "code#1x", "code#1#2", "base#1", "code#99999999999"}) {
        EXPECT_THROW(parse_member(text), InputError) << text;
    }
}

TEST(Config, RefusesDeepAndHugeInput) {
    EXPECT_THAT(problems("a = " + std::string(200'000, '[')),
                ElementsAre(HasSubstr("x.toml:1: more than 32 brackets")));
    std::string key = "a";
    for (int i = 0; i < 200'000; ++i) key += ".a";
    EXPECT_THAT(problems(key + " = 1"), ElementsAre(HasSubstr("more than 32 parts of one key")));
    EXPECT_THAT(problems("[" + key + "]"), ElementsAre(HasSubstr("more than 32 parts of one key")));
    std::string quoted = "\"=\"";
    for (int i = 0; i < 200'000; ++i) quoted += ".\"=\"";
    EXPECT_THAT(problems(quoted + " = 1"), ElementsAre(HasSubstr("more than 32 parts of one key")));
    EXPECT_THAT(problems(std::string(5 << 20, '\n')), ElementsAre(HasSubstr("at most 4 MiB")));
    std::string many;
    for (int i = 0; i < 5000; ++i) many += "key" + std::to_string(i) + " = 1\n";
    EXPECT_THAT(problems(many), SizeIs(101));
    EXPECT_THAT(problems(replaced(kSmall, "\"out\"", "\"" + std::string(1'000'000, 'x') + ".h5\"")),
                ElementsAre(testing::SizeIs(testing::Lt(300U))));
}

TEST(Config, DotsInStringsAndNumbersAreNoDepth) {
    std::string list;
    for (int i = 0; i < 100; ++i) list += "0." + std::to_string(100 + i) + ", ";
    EXPECT_THAT(
        problems_with("[0.25, 0.5]",
                      "[" + list + "]  # a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h [[[["),
        IsEmpty());
    EXPECT_THAT(problems_with("\"out\"", "\"" + std::string(200, '.') + "\""), IsEmpty());
    EXPECT_THAT(problems_with("\"out\"", "'''" + std::string(100, '.') + "''[['''"), IsEmpty());
}

/// Random edits of a sound config: whatever comes, the reader either returns or throws InputError.
TEST(Config, SurvivesRandomEdits) {
    setenv("CMSWEEP_CONFIG_TEST", "/data", 1);
    std::mt19937_64 engine(20240901);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(engine() % n); };
    const std::vector<std::string> pieces{"[",
                                          "]",
                                          "{",
                                          "}",
                                          "\"",
                                          "'",
                                          "\n",
                                          "=",
                                          ".",
                                          ",",
                                          "#",
                                          "[[",
                                          "]]",
                                          "-1",
                                          "nan",
                                          "inf",
                                          "1e400",
                                          "true",
                                          "9223372036854775807",
                                          "-9223372036854775808",
                                          "0x7fffffffffffffff",
                                          "\"\"",
                                          "[]",
                                          "{}",
                                          "\\u0000",
                                          "1979-05-27",
                                          "\xff",
                                          "\xe2\x80\xa6",
                                          "\"all\"",
                                          "[[1]]",
                                          "\"\"\"",
                                          "name",
                                          "grid"};
    int refused = 0;
    for (int round = 0; round < 1500; ++round) {
        std::string text = round % 3 == 0 ? kMakesBase : round % 3 == 1 ? kSmall : kEveryKey;
        const std::size_t edits = 1 + below(4);
        for (std::size_t edit = 0; edit < edits; ++edit) {
            const std::size_t at = below(text.size());
            switch (below(4)) {
                case 0:
                    text.erase(at, 1 + below(12));
                    break;
                case 1:
                    text.insert(at, pieces[below(pieces.size())]);
                    break;
                case 2:
                    text[at] = static_cast<char>(engine() % 256);
                    break;
                default:
                    text.insert(at, text.substr(below(text.size()), below(60)));
                    break;
            }
        }
        try {
            parse(text);
        } catch (const InputError& error) {
            ++refused;
            EXPECT_FALSE(error.problems().empty());
        } catch (const std::exception& error) {
            FAIL() << error.what() << "\n" << text;
        }
    }
    EXPECT_GT(refused, 700);  // most edits break something: else the test changes nothing
}

}  // namespace
}  // namespace cmsweep
