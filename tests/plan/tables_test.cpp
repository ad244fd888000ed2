#include "cmsweep/plan/tables.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

using testing::HasSubstr;

const TableSizes kSizes{.members = 3, .blocks = 4, .steps = 50, .experts = 6};

std::vector<TableSpec> all_tables() {
    return {experiments_table(kSizes), similarity_table(kSizes), training_table(kSizes), routing_table(kSizes)};
}

Record example() {
    Record record;
    record.table = "experiments";
    record.id = {0x0123456789abcdef, 0xfedcba9876543210};
    record.status = RowStatus::failed;
    record.retryable = true;
    record.message = "loss is not finite at step 3: μ";
    record.seconds = 0.1;
    record.set("loss", 1.0 / 3);
    record.set("accuracy", std::numeric_limits<double>::quiet_NaN());
    record.set("similarity_member", {2, 3}, {1, 2, 3, 4, 5, -0.0});
    record.set("empty", {0, 7}, {});
    return record;
}

TEST(Tables, start_with_the_common_columns) {
    const std::vector<std::string> common{"id",      "in_plan", "status",  "commit",   "message",
                                          "attempt", "rank",    "seconds", "retryable", "label_check", "note_check"};
    for (const auto& table : all_tables()) {
        ASSERT_GE(table.columns.size(), common.size()) << table.name;
        for (std::size_t i = 0; i < common.size(); ++i) EXPECT_EQ(table.columns[i].name, common[i]) << table.name;
        EXPECT_EQ(table.find("id")->text_size, 32u);
        EXPECT_EQ(table.find("message")->text_size, kMessageSize);
        EXPECT_EQ(table.find("commit")->type, ValueType::uint64);
    }
}

TEST(Tables, describe_every_column_completely) {
    for (const auto& table : all_tables()) {
        std::vector<std::string> names;
        for (const auto& column : table.columns) {
            names.push_back(column.name);
            EXPECT_FALSE(column.description.empty()) << table.name << '.' << column.name;
            if (column.role == Column::Role::result) {
                EXPECT_FALSE(column.unit.empty()) << table.name << '.' << column.name;
            }
            EXPECT_EQ(column.text_size > 0, column.type == ValueType::text) << table.name << '.' << column.name;
            if (!column.axis.empty()) {
                EXPECT_EQ(column.type, ValueType::int32);
                EXPECT_EQ(column.role, Column::Role::label);
            }
            for (const auto& dimension : column.dimensions) EXPECT_EQ(table.dimensions.count(dimension), 1u);
        }
        std::sort(names.begin(), names.end());
        EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end()) << table.name;
    }
}

TEST(Tables, count_the_values_of_a_row) {
    const auto experiments = experiments_table(kSizes);
    EXPECT_EQ(experiments.elements(*experiments.find("loss")), 1);
    EXPECT_EQ(experiments.elements(*experiments.find("degree")), 3);
    EXPECT_EQ(experiments.elements(*experiments.find("block_loss")), 64);
    EXPECT_EQ(experiments.elements(*experiments.find("similarity_member")), 12);
    const auto similarity = similarity_table(kSizes);
    EXPECT_EQ(similarity.elements(*similarity.find("value")), 16);
    const auto routing = routing_table(kSizes);
    EXPECT_EQ(routing.elements(*routing.find("weight")), 24);
    EXPECT_EQ(routing.find("nothing"), nullptr);
}

TEST(Records, come_back_bit_for_bit) {
    const auto record = example();
    const auto back = parse_record(serialise(record));
    EXPECT_EQ(back.table, record.table);
    EXPECT_EQ(back.id, record.id);
    EXPECT_EQ(back.status, record.status);
    EXPECT_EQ(back.retryable, record.retryable);
    EXPECT_EQ(back.message, record.message);
    EXPECT_EQ(back.seconds, record.seconds);
    ASSERT_EQ(back.values.size(), record.values.size());
    for (const auto& [column, values] : record.values) {
        const auto& other = back.values.at(column);
        EXPECT_EQ(other.extents, values.extents) << column;
        ASSERT_EQ(other.numbers.size(), values.numbers.size()) << column;
        for (std::size_t i = 0; i < values.numbers.size(); ++i) {
            EXPECT_EQ(std::bit_cast<std::uint64_t>(other.numbers[i]), std::bit_cast<std::uint64_t>(values.numbers[i]));
        }
    }
    EXPECT_EQ(serialise(back), serialise(record));
}

TEST(Records, refuse_extents_that_do_not_match) {
    auto record = example();
    record.set("loss", {2, 2}, {1, 2, 3});
    EXPECT_THROW(serialise(record), std::invalid_argument);
}

TEST(Records, refuse_every_truncation_and_extra_bytes) {
    const auto bytes = serialise(example());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_THROW(parse_record(std::span(bytes).first(size)), InputError) << size;
    }
    auto longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_THROW(parse_record(longer), InputError);
    try {
        parse_record(std::span(bytes).first(9));
        FAIL();
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("table name"));
    }
}

TEST(Records, survive_any_damage_without_huge_allocations) {
    const auto bytes = serialise(example());
    std::mt19937_64 random(1);
    int refused = 0;
    for (int i = 0; i < 20000; ++i) {
        auto damaged = bytes;
        const int flips = 1 + static_cast<int>(random() % 8);
        for (int f = 0; f < flips; ++f) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
        try {
            const auto record = parse_record(damaged);
            std::size_t total = 0;
            for (const auto& [column, values] : record.values) total += values.numbers.size() * sizeof(double);
            EXPECT_LE(total, bytes.size());
        } catch (const InputError&) {
            ++refused;
        }
    }
    EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace cmsweep
