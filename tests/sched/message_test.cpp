#include "cmsweep/sched/message.hpp"

#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/plan/task.hpp"

namespace cmsweep {
namespace {

Task example_task() {
    Task task;
    task.id = hash_text("task");
    task.kind = TaskKind::compare;
    task.label = "compare \"code\" and mäth";
    task.payload = {{"alpha", 0.1}, {"blocks", {1, 2, 3}}};
    task.results = {{"experiments", hash_text("a")}, {"similarity", hash_text("b")}};
    task.needs = {hash_text("c")};
    task.produces = {hash_text("d"), hash_text("e")};
    task.work = 1.0 / 3.0;
    return task;
}

TEST(Message, CarriesATaskExactly) {
    Message message{Message::Kind::assign, 0, {{"task", example_task()}}};
    const Message parsed = parse_message(serialise(message), 7);
    EXPECT_EQ(parsed.kind, Message::Kind::assign);
    EXPECT_EQ(parsed.from, 7);
    const Task task = parsed.body.at("task").get<Task>(), expected = example_task();
    EXPECT_EQ(task.id, expected.id);
    EXPECT_EQ(task.kind, expected.kind);
    EXPECT_EQ(task.label, expected.label);
    EXPECT_EQ(task.payload, expected.payload);
    EXPECT_EQ(task.results, expected.results);
    EXPECT_EQ(task.needs, expected.needs);
    EXPECT_EQ(task.produces, expected.produces);
    EXPECT_EQ(task.work, expected.work);  // bit for bit
}

TEST(Message, OfEveryKindSurvivesWithoutABody) {
    for (int kind = 0; kind <= static_cast<int>(Message::Kind::finish); ++kind) {
        const Message parsed = parse_message(serialise({static_cast<Message::Kind>(kind), 0, {}}), 1);
        EXPECT_EQ(static_cast<int>(parsed.kind), kind);
        EXPECT_TRUE(parsed.body.is_null());
    }
}

TEST(Message, RefusesDamagedBytes) {
    auto bytes = serialise({Message::Kind::assign, 0, {{"task", example_task()}}});
    EXPECT_THROW(parse_message({}, 0), InputError);
    EXPECT_THROW(parse_message(std::span(bytes).first(bytes.size() / 2), 0), InputError);
    bytes[0] = std::byte{200};
    EXPECT_THROW(parse_message(bytes, 0), InputError);
}

TEST(Task, OfUnknownKindIsRefusedByName) {
    nlohmann::json json = example_task();
    json["kind"] = "bake";
    try {
        json.get<Task>();
        FAIL() << "no exception";
    } catch (const InputError& error) {
        EXPECT_NE(std::string(error.what()).find("'bake'"), std::string::npos);
    }
}

}  // namespace
}  // namespace cmsweep
