// The nesting of JSON is bounded, and a wrong value is an Error that names the place and the key.
// Numbers that do not fit the wanted type are refused, never wrapped.
#include "core/json.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/error_of.h"

namespace strata {
namespace json_test {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, NestingIsBounded) {
  EXPECT_NO_THROW(parse_json(nested(200), "f"));
  EXPECT_NE(error_of([] { parse_json(nested(201), "f"); }).find("f: JSON nested deeper than 200 levels at byte 200"),
            std::string::npos);
  EXPECT_THROW(parse_json(std::string(1'000'000, '['), "f"), Error);
}

TEST(ParseJson, BracketsInTextsAreNoNesting) {
  EXPECT_EQ(parse_json('"' + std::string(500, '[') + '"', "f").get<std::string>().size(), 500u);
  EXPECT_EQ(parse_json(R"({"a\"[[": "\\"})", "f").size(), 1u);
}

TEST(ParseJson, SyntaxErrorsNameThePlace) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "nul", "\"\\x\"", "\"\xC3\"", "1 2", "\"", "\"\\"}) {
    const std::string message = error_of([&] { parse_json(text, "dir/f.json"); });
    EXPECT_TRUE(message.starts_with("dir/f.json: not valid JSON: ")) << text << ": " << message;
  }
  EXPECT_NE(error_of([] { parse_json("{\"a\":\n x}", "f"); }).find("line 2"), std::string::npos);
}

TEST(ParseJson, PythonsFloatsBecomeWhatTransformersWritesForThem) {
  const json value = parse_json(R"({"limit":[0.0,Infinity,-Infinity],"x":NaN,"name":"a \"Infinity\" b"})", "f");
  EXPECT_EQ(value.dump(), R"({"limit":[0.0,{"__float__":"Infinity"},{"__float__":"-Infinity"}],)"
                          R"("x":{"__float__":"NaN"},"name":"a \"Infinity\" b"})");
  EXPECT_NE(error_of([&] { get<double>(value, "x", "f"); }).find("expected a number"), std::string::npos);
  EXPECT_THROW(parse_json("{\"x\": Infinite}", "f"), Error);
}

TEST(ParseJson, KeysKeepTheirOrder) { EXPECT_EQ(parse_json(R"({"z":1,"a":2})", "f").begin().key(), "z"); }

const json kObject = {{"int", -3},   {"count", 7},   {"big", 4294967296}, {"huge", UINT64_MAX}, {"real", 0.5},
                      {"text", "x"}, {"true", true}, {"null", nullptr},   {"list", {1, 2}}};

TEST(Get, ValuesOfTheRightType) {
  EXPECT_EQ(get<int>(kObject, "int", "f"), -3);
  EXPECT_EQ(get<std::size_t>(kObject, "count", "f"), 7u);
  EXPECT_EQ(get<std::uint64_t>(kObject, "huge", "f"), UINT64_MAX);
  EXPECT_EQ(get<double>(kObject, "real", "f"), 0.5);
  EXPECT_EQ(get<float>(kObject, "count", "f"), 7.0f);
  EXPECT_EQ(get<std::string>(kObject, "text", "f"), "x");
  EXPECT_TRUE(get<bool>(kObject, "true", "f"));
  EXPECT_EQ(get<std::vector<int>>(kObject, "list", "f"), (std::vector<int>{1, 2}));
}

TEST(Get, NumbersInArraysAreCheckedToo) {
  const json object = {{"wide", {3.3e25, 2}}, {"real", {0.5}}, {"mixed", {1, "a"}}, {"negative", {-1}}, {"one", 1}};
  for (const char* key : {"wide", "real", "mixed", "one"})
    EXPECT_THROW(get<std::vector<int>>(object, key, "f"), Error) << key;
  EXPECT_THROW(get<std::vector<std::uint32_t>>(object, "negative", "f"), Error);
  EXPECT_THROW(get<float>(json{{"x", 1e300}}, "x", "f"), Error);
}

TEST(Get, MissingKeysAreNamed) {
  EXPECT_EQ(error_of([] { get<int>(kObject, "absent", "f"); }), "f: 'absent' is missing");
  EXPECT_EQ(error_of([] { get<int>(json::array(), "absent", "f"); }), "f: 'absent' is missing");
  EXPECT_EQ(error_of([] { get<int>(json(3), "absent", "f"); }), "f: 'absent' is missing");
}

TEST(Get, OtherTypesAreRefused) {
  EXPECT_EQ(error_of([] { get<int>(kObject, "real", "f"); }), "f: 'real' is 0.5, expected an integer");
  EXPECT_EQ(error_of([] { get<unsigned>(kObject, "int", "f"); }), "f: 'int' is -3, expected a non-negative integer");
  EXPECT_EQ(error_of([] { get<int>(kObject, "true", "f"); }), "f: 'true' is true, expected an integer");
  EXPECT_EQ(error_of([] { get<double>(kObject, "true", "f"); }), "f: 'true' is true, expected a number");
  EXPECT_EQ(error_of([] { get<float>(kObject, "null", "f"); }), "f: 'null' is null, expected a number");
  EXPECT_EQ(error_of([] { get<std::string>(kObject, "int", "f"); }), "f: 'int' is -3, expected a text");
  EXPECT_THROW(get<bool>(kObject, "count", "f"), Error);
  EXPECT_THROW(get<std::vector<int>>(kObject, "text", "f"), Error);
  EXPECT_THROW(get<std::vector<std::string>>(kObject, "list", "f"), Error);
}

TEST(Get, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(error_of([] { get<unsigned>(kObject, "big", "f"); }), "f: 'big' is 4294967296, which is out of range");
  EXPECT_THROW(get<int>(kObject, "big", "f"), Error);
  EXPECT_THROW(get<std::int64_t>(kObject, "huge", "f"), Error);
  EXPECT_EQ(get<std::int64_t>(kObject, "big", "f"), 4294967296);
}

TEST(Get, LongValuesAreCutInMessages) {
  const json object = {{"k", std::string(10000, 'x')}};
  EXPECT_LT(error_of([&] { get<int>(object, "k", "f"); }).size(), 200u);
}

TEST(GetOr, AbsentAndNullGiveTheFallback) {
  EXPECT_EQ(get_or<int>(kObject, "absent", 5, "f"), 5);
  EXPECT_EQ(get_or<int>(kObject, "null", 5, "f"), 5);
  EXPECT_EQ(get_or<int>(kObject, "count", 5, "f"), 7);
  EXPECT_THROW(get_or<int>(kObject, "text", 5, "f"), Error);
}

}  // namespace json_test
}  // namespace strata
