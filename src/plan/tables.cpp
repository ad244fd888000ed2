#include "cmsweep/plan/tables.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "cmsweep/base/error.hpp"

namespace cmsweep {

static_assert(std::endian::native == std::endian::little, "records and stores are written as little-endian bytes");

namespace {

using Role = Column::Role;

Column number(std::string name, ValueType type, Role role, std::string unit, std::string description) {
    return {std::move(name), type, role, {}, {}, std::move(unit), std::move(description), 0};
}

Column text(std::string name, std::size_t size, Role role, std::string description) {
    return {std::move(name), ValueType::text, role, {}, {}, {}, std::move(description), size};
}

/// Codes into /axes/<axis>.
Column code(std::string name, std::string axis, std::string description, std::vector<std::string> dimensions = {}) {
    return {std::move(name),  ValueType::int32, Role::label, std::move(dimensions), std::move(axis), {},
            std::move(description), 0};
}

Column label(std::string name, ValueType type, std::string unit, std::string description,
             std::vector<std::string> dimensions = {}) {
    return {std::move(name),        type, Role::label, std::move(dimensions), {}, std::move(unit),
            std::move(description), 0};
}

Column value(std::string name, std::string unit, std::string description, std::vector<std::string> dimensions = {}) {
    return {std::move(name), ValueType::float64, Role::result, std::move(dimensions), {}, std::move(unit),
            std::move(description), 0};
}

Column count(std::string name, std::string unit, std::string description) {
    return {std::move(name), ValueType::int64, Role::result, {}, {}, std::move(unit), std::move(description), 0};
}

std::vector<Column> common_columns() {
    return {
        text("id", 32, Role::identity, "128-bit content hash of the result, 32 hex digits; rows may share one"),
        number("in_plan", ValueType::int8, Role::bookkeeping, "1", "1 if the current plan has this row, else 0"),
        number("status", ValueType::int8, Role::bookkeeping, "1", "0 pending, 1 done, 2 failed, 3 quarantined"),
        number("commit", ValueType::uint64, Role::bookkeeping, "1",
               "0 until committed; then a magic number (upper 32 bits) and the CRC-32 of the result values"),
        text("message", kMessageSize, Role::bookkeeping, "why the row failed; of a done row, the method's notes (JSON)"),
        number("attempt", ValueType::int32, Role::bookkeeping, "1", "how often a result was recorded for this row"),
        number("rank", ValueType::int32, Role::bookkeeping, "1", "MPI rank that computed the result; -1 if none did"),
        number("seconds", ValueType::float64, Role::bookkeeping, "s", "time spent computing the result"),
        number("retryable", ValueType::int8, Role::bookkeeping, "1", "1 if a failed row is worth another start"),
        number("label_check", ValueType::uint64, Role::bookkeeping, "1", "magic number and CRC-32 of the id, in_plan and the labels"),
        number("note_check", ValueType::uint64, Role::bookkeeping, "1",
               "0 until committed; then magic number and CRC-32 of message, attempt, rank, seconds and retryable"),
    };
}

TableSpec make_table(std::string name, std::map<std::string, std::int64_t> dimensions, std::vector<Column> own) {
    TableSpec spec{std::move(name), common_columns(), std::move(dimensions)};
    spec.columns.insert(spec.columns.end(), own.begin(), own.end());
    return spec;
}

}  // namespace

const Column* TableSpec::find(std::string_view column) const {
    for (const auto& candidate : columns) {
        if (candidate.name == column) return &candidate;
    }
    return nullptr;
}

std::int64_t TableSpec::elements(const Column& column) const {
    std::int64_t product = 1;
    for (const auto& dimension : column.dimensions) product *= dimensions.at(dimension);
    return product;
}

TableSpec experiments_table(const TableSizes& sizes) {
    return make_table(
        "experiments", {{"member", sizes.members}, {"block", sizes.blocks}, {"loss_block", kLossBlocks}},
        {
            label("seed", ValueType::int64, "1", "seed of fine-tuning, routers and data samples"),
            code("pair", "pair", "the models being combined"),
            code("method", "method", "way of combining"),
            code("setting", "setting", "method with concrete parameters"),
            code("target", "target", "text on which the combination is judged"),
            code("layer", "layer", "where the members are combined"),
            label("layer_first", ValueType::int32, "1", "first combined block; -1 for methods without a place"),
            label("layer_last", ValueType::int32, "1", "last combined block; -1 for methods without a place"),
            code("model", "model", "member models, padded with -1", {"member"}),
            label("degree", ValueType::int64, "step", "fine-tuning steps of each member, padded with -1", {"member"}),
            label("weight", ValueType::float64, "1", "weight of each member, padded with NaN", {"member"}),
            value("loss", "nat", "mean cross-entropy per token on the test split"),
            value("accuracy", "1", "share of test tokens predicted top-1"),
            value("loss_select", "nat", "mean cross-entropy per token on the select split"),
            value("loss_suffix", "nat", "mean test cross-entropy beyond the first quarter of each window"),
            count("tokens", "token", "predicted test tokens"),
            value("block_loss", "nat", "test loss of consecutive groups of windows, for paired comparison",
                  {"loss_block"}),
            count("parameters_stored", "1", "distinct scalars to store, shared and tied ones once"),
            count("parameters_active", "1", "scalars used for one token"),
            count("parameters_trained", "1", "scalars trained by the combination itself"),
            count("target_tokens", "token", "training tokens of the target that the combination saw"),
            value("flops_per_token", "flop", "floating-point operations per predicted token, a multiply-add being 2"),
            value("similarity_member", "1", "similarity of the merged model's blocks to each member's",
                  {"member", "block"}),
            value("similarity_base", "1", "similarity of the merged model's blocks to the base's", {"block"}),
        });
}

TableSpec similarity_table(const TableSizes& sizes) {
    const std::vector<std::string> matrix{"layer_a", "layer_b"};
    return make_table("similarity", {{"layer_a", sizes.blocks}, {"layer_b", sizes.blocks}},
                      {
                          label("seed", ValueType::int64, "1", "seed of the first model"),
                          label("seed_b", ValueType::int64, "1", "seed of the second model; differs for the same-specialist ceiling"),
                          code("probe", "corpus", "corpus of the probe"),
                          code("site", "site", "where the representations are read"),
                          code("metric", "metric", "similarity metric"),
                          code("model_a", "model", "first model"),
                          label("degree_a", ValueType::int64, "step", "fine-tuning steps of the first model"),
                          code("model_b", "model", "second model"),
                          label("degree_b", ValueType::int64, "step", "fine-tuning steps of the second model"),
                          value("value", "1", "similarity of block layer_a of a and block layer_b of b", matrix),
                          value("null_mean", "1", "mean similarity of independent representations", matrix),
                          value("null_p95", "1", "95th percentile of the similarity of permuted windows", matrix),
                          value("low", "1", "lower end of the 95 % interval", matrix),
                          value("high", "1", "upper end of the 95 % interval", matrix),
                      });
}

TableSpec training_table(const TableSizes& sizes) {
    return make_table("training", {{"step", sizes.steps}},
                      {
                          code("model", "model", "the model that was trained"),
                          label("seed", ValueType::int64, "1", "seed of the trajectory"),
                          value("loss", "nat", "mean cross-entropy of each step's batch, before the step", {"step"}),
                          value("learning_rate", "1", "learning rate of each step", {"step"}),
                      });
}

TableSpec routing_table(const TableSizes& sizes) {
    return make_table("routing", {{"block", sizes.blocks}, {"expert", sizes.experts}},
                      {value("weight", "1", "mean routing weight of each expert", {"block", "expert"})});
}

// A record as bytes: magic, then every field in the order of the struct, lengths before contents, little-endian.
namespace {

constexpr std::uint32_t kRecordMagic = 0x3152'4d43;  // "CMR1"
constexpr std::size_t kMostDimensions = 8;

class Writer {
public:
    template <typename T>
    void put(T value) {
        static_assert(std::is_trivially_copyable_v<T>);
        append(&value, sizeof value);
    }
    void put_text(const std::string& text) {
        put<std::uint32_t>(static_cast<std::uint32_t>(text.size()));
        append(text.data(), text.size());
    }
    void append(const void* data, std::size_t size) {
        const auto* begin = static_cast<const std::byte*>(data);
        bytes_.insert(bytes_.end(), begin, begin + size);
    }
    std::vector<std::byte> take() { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

[[noreturn]] void damaged(std::size_t offset, const std::string& what) {
    throw InputError("record, byte " + std::to_string(offset) + ": " + what +
                     "; the bytes are damaged or not a record");
}

class Reader {
public:
    explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
    template <typename T>
    T get(const char* what) {
        T value;
        copy(&value, sizeof value, what);
        return value;
    }
    std::string get_text(const char* what) {
        const auto size = get<std::uint32_t>(what);
        if (size > left()) fail(what, size);
        std::string text(size, '\0');
        copy(text.data(), size, what);
        return text;
    }
    void copy(void* out, std::size_t size, const char* what) {
        if (size > left()) fail(what, size);
        if (size > 0) std::memcpy(out, bytes_.data() + offset_, size);
        offset_ += size;
    }
    std::size_t left() const { return bytes_.size() - offset_; }
    std::size_t offset() const { return offset_; }
    [[noreturn]] void fail(const char* what, std::uint64_t size) const {
        damaged(offset_, std::string(what) + " needs " + std::to_string(size) + " bytes, " + std::to_string(left()) +
                             " are left");
    }

private:
    std::span<const std::byte> bytes_;
    std::size_t offset_ = 0;
};

}  // namespace

std::vector<std::byte> serialise(const Record& record) {
    Writer out;
    out.put(kRecordMagic);
    out.put_text(record.table);
    out.put(record.id.high);
    out.put(record.id.low);
    out.put(static_cast<std::int8_t>(record.status));
    out.put<std::int8_t>(record.retryable ? 1 : 0);
    out.put_text(record.message);
    out.put(record.seconds);
    out.put(static_cast<std::uint32_t>(record.values.size()));
    for (const auto& [column, values] : record.values) {
        std::int64_t product = 1;
        for (const auto extent : values.extents) product *= extent;
        if (values.extents.size() > kMostDimensions || product != static_cast<std::int64_t>(values.numbers.size())) {
            throw std::invalid_argument("record of table " + record.table + ", column " + column + ": " +
                                        std::to_string(values.numbers.size()) + " numbers do not fill extents of " +
                                        std::to_string(product));
        }
        out.put_text(column);
        out.put(static_cast<std::uint8_t>(values.extents.size()));
        for (const auto extent : values.extents) out.put(extent);
        out.append(values.numbers.data(), values.numbers.size() * sizeof(double));
    }
    return out.take();
}

Record parse_record(std::span<const std::byte> bytes) {
    Reader in(bytes);
    if (in.get<std::uint32_t>("magic") != kRecordMagic) damaged(0, "no record starts here");
    Record record;
    record.table = in.get_text("table name");
    record.id.high = in.get<std::uint64_t>("id");
    record.id.low = in.get<std::uint64_t>("id");
    const auto status = in.get<std::int8_t>("status");
    if (status < 0 || status > static_cast<std::int8_t>(RowStatus::quarantined)) {
        damaged(in.offset(), "status = " + std::to_string(status) + ", expected 0 to 3");
    }
    record.status = static_cast<RowStatus>(status);
    const auto retryable = in.get<std::int8_t>("retryable");
    if (retryable != 0 && retryable != 1) {
        damaged(in.offset(), "retryable = " + std::to_string(retryable) + ", expected 0 or 1");
    }
    record.retryable = retryable == 1;
    record.message = in.get_text("message");
    record.seconds = in.get<double>("seconds");
    const auto columns = in.get<std::uint32_t>("number of columns");
    for (std::uint32_t i = 0; i < columns; ++i) {
        const auto column = in.get_text("column name");
        Record::Values values;
        const auto dimensions = in.get<std::uint8_t>("number of dimensions");
        if (dimensions > kMostDimensions) {
            damaged(in.offset(), column + " has " + std::to_string(dimensions) + " dimensions, expected at most " +
                                     std::to_string(kMostDimensions));
        }
        // No product can exceed what the remaining bytes hold, so it cannot overflow either; a zero extent ends the growth.
        const auto most = static_cast<std::int64_t>(in.left() / sizeof(double));
        std::int64_t product = 1;
        for (int d = 0; d < dimensions; ++d) {
            const auto extent = in.get<std::int64_t>("extent");
            if (extent < 0 || (extent > 0 && product > most / extent)) {
                damaged(in.offset(), column + " has an extent of " + std::to_string(extent) + ", more than its bytes");
            }
            product *= extent;
            values.extents.push_back(extent);
        }
        const auto size = static_cast<std::size_t>(product) * sizeof(double);
        if (size > in.left()) in.fail("column values", size);
        values.numbers.resize(static_cast<std::size_t>(product));
        in.copy(values.numbers.data(), size, "column values");
        if (!record.values.emplace(column, std::move(values)).second) {
            damaged(in.offset(), "column " + column + " occurs twice");
        }
    }
    if (in.left() != 0) damaged(in.offset(), std::to_string(in.left()) + " bytes follow the record");
    return record;
}

}  // namespace cmsweep
