// The command line as a whole: help, exit codes, names that are strange, pages that the program writes of itself.
#include <set>
#include <sstream>

#include "cli/fixtures.h"
#include "core/cpu.h"

namespace strata {
namespace command_line_test {

using fixtures::Cli, fixtures::Outcome;
namespace fs = std::filesystem;

TEST_F(Cli, PageOfFamiliesIsTheTableOfTheProgram) {
  const Outcome outcome = run("inspect --families --markdown");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string page = read_text_file(fs::path(STRATA_TEST_DATA) / "../docs/families.md");
  EXPECT_NE(page.find("\n\n" + outcome.out + "\n"), std::string::npos) << "put this table into docs/families.md:\n"
                                                                       << outcome.out;
}

TEST_F(Cli, PageOfConsumersIsTheTableOfTheProgram) {
  const Outcome outcome = run("inspect --targets --markdown");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string page = read_text_file(fs::path(STRATA_TEST_DATA) / "../docs/formats/consumers.md");
  EXPECT_NE(page.find("\n\n" + outcome.out + "\n"), std::string::npos)
      << "put this table into docs/formats/consumers.md:\n"
      << outcome.out;
  const json listed = json::parse(run("inspect --targets --json").out);
  const json& vllm = listed["targets"][0];
  EXPECT_EQ(vllm["name"], "vllm");
  EXPECT_EQ(vllm["codecs"]["int3_g64"]["dense"], true);
  EXPECT_EQ(vllm["codecs"]["int3_g64"]["least_version"], "vLLM 0.25");
  EXPECT_TRUE(vllm["codecs"]["int3_channel"]["experts"].is_string());
  expect_refused("inspect model --targets", "leave out model", 2);
}

TEST_F(Cli, FamiliesAreListedWithoutAModel) {
  const json listed = json::parse(run("inspect --families --json").out);
  EXPECT_GT(listed["families"].size(), 30u);
  std::map<std::string, json> by_type;
  for (const json& family : listed["families"]) by_type[family["model_type"]] = family;
  EXPECT_EQ(by_type["llama"]["tune"], true);
  EXPECT_EQ(by_type["gemma4_text"]["tune"], true);
  EXPECT_EQ(by_type["llama"]["vllm_fusion"], json({"qkv_proj", "gate_up_proj"}));
  EXPECT_EQ(by_type["gpt_oss"]["vllm_fusion"], json({"qkv_proj", "experts"}));
  EXPECT_EQ(by_type["phi3"]["vllm_fusion"], json::array());
  EXPECT_EQ(by_type["qwen3_moe"]["gguf"], "qwen3moe");
  EXPECT_EQ(by_type["qwen3_moe"]["mlx"], true);
  EXPECT_EQ(by_type["arcee"]["mlx"], false);
  EXPECT_EQ(by_type["mistral"]["also"], json({"mistral3", "ministral"}));
  expect_refused("inspect model --families", "leave out model", 2);
  expect_refused("inspect", "MODEL is required", 2);
  expect_refused("inspect model --markdown", "--markdown is for --families", 2);
}

TEST_F(Cli, TheVersionSaysWhichKernelsWereChosen) {
  EXPECT_EQ(run("--version").exit_code, 0);
  const Outcome verbose = run("--version --verbose");
  EXPECT_EQ(verbose.exit_code, 0);
  EXPECT_NE(verbose.out.find("products in bf16 by"), std::string::npos) << verbose.out;
  EXPECT_NE(verbose.out.find(", chosen"), std::string::npos) << verbose.out;
  const json value = parse_json(run("--json --verbose --version").out, "the version");
  EXPECT_FALSE(value.at("version").get<std::string>().empty());
  EXPECT_FALSE(value.at("products_bf16").empty());
}

TEST_F(Cli, EventsAreLinesOfJsonAndNothingElse) {
  const Outcome outcome = run(std::string(kQuantize) + " --events");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::set<std::string> kinds;
  std::istringstream lines(outcome.err);
  for (std::string line; std::getline(lines, line);)
    kinds.insert(parse_json(line, line).at("event").get<std::string>());
  EXPECT_EQ(kinds, (std::set<std::string>{"estimate", "progress", "remark", "stage_end", "written"})) << outcome.err;
}

TEST_F(Cli, HelpListsEveryVerbAndEveryVerbHasExamples) {
  const Outcome help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* verb : {"inspect", "score", "plan", "quantize", "tune", "eval", "sweep", "report", "generate",
                           "chat", "convert", "bench"}) {
    EXPECT_NE(help.out.find(std::string("\n  ") + verb), std::string::npos) << verb;
    const Outcome of_verb = run(std::string(verb) + " --help");
    EXPECT_EQ(of_verb.exit_code, 0);
    EXPECT_NE(of_verb.out.find("Examples:"), std::string::npos) << verb;
  }
}

TEST_F(Cli, WrongCommandLinesExitWithTwo) {
  expect_refused("", "give a verb", 2);
  expect_refused("quantise model", "did you mean quantize?", 2);
  expect_refused("quantize model -o out --sise 110MiB", "did you mean --size?", 2);
  expect_refused("frobnicate", "strata", 2);
  expect_refused("inspect", "MODEL", 2);
  expect_refused("inspect model --threads=-1", "threads", 2);
  expect_refused("quantize model -o out", "budget", 2);
  expect_refused("quantize model -o out --bits 4 --size 1MiB", "contradict", 2);
  expect_refused("quantize model -o out --size lots", "not a size", 2);
  expect_refused("quantize model -o out --preset worst --scale minmax", "unknown", 2);
  expect_refused("quantize model -o out --bits 4 --for abacus", "unknown target", 2);
  expect_refused("quantize model -o out --bits 4 --assign foo", "REGEX=CODEC", 2);
  expect_refused("plan model --bits 5", "--scores", 2);
  for (const char* bits : {"0", "-4", "nan", "inf", "x"})
    expect_refused(fmt::format("plan model --preset prior --bits={}", bits), "--bits", 2);
  for (const char* size : {"0", "-1GiB", "nan", "8Gib8"}) {
    expect_refused(fmt::format("plan model --preset prior --size={}", size), "--size", 2);
    expect_refused(fmt::format("plan model --preset prior --fit={}", size), "--fit", 2);
  }
  expect_refused("plan model --preset prior --bits 5 --fit 1GiB", "contradict", 2);
  expect_refused("plan model --preset prior --bits 5 --ctx 100", "--fit", 2);
  expect_refused("plan model --preset prior --bits 5 --search-steps 3", "preset best", 2);
  expect_refused("plan model --scores x --bits 5 --search-time soon", "--search-time", 2);
  expect_refused("plan model --preset uniform:int4_g32 --levels int4_g32:1,int2_g32", "lwq", 2);
  expect_refused("plan model --preset lwq --levels int4_g32", "two levels", 2);
  expect_refused("plan model --preset prior --bits 5 --prior model/config.json", "strata prior");
  expect_refused("plan model --preset prior --bits 5 --at-least q_proj", "REGEX=CODEC", 2);
  expect_refused("quantize model -o out --bits 5 --codecs int9_g7", "int9_g7");
  expect_refused("quantize model -o out --bits 3 --for vllm:marlin", "smallest plan");
}

TEST_F(Cli, BracketsOfAWordAreKept) {
  const std::string plan = "plan model --preset uniform:int4_g32 --json --keep ";
  for (const char* keep : {"'[qk]_proj|[o]'", "'[o],?[_]'", "'[o]_proj[.]?' --keep=[o]"}) {
    const Outcome outcome = run(plan + keep);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  const json groups = json::parse(run(plan + "'[o][_]'").out)["groups"];
  for (const json& group : groups)
    EXPECT_EQ(group["codec"] == "keep", group["name"].get<std::string>().find("o_") != std::string::npos) << group;
  expect_refused("inspect model '[extra]'", "'[extra]' is one argument too many", 2);
}

TEST_F(Cli, NamesThatAreNotUtf8AreNames) {
  const std::string odd = "\xFF";
  fs::copy(model_, folder_ / ("m" + odd));
  const Outcome outcome =
      run(fmt::format("quantize 'm{}' -o 'out{}' --preset uniform:int4_g32 --scale minmax "
                      "--no-verify --no-report",
                      odd, odd));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder_ / ("out" + odd) / "config.json"));
}

TEST_F(Cli, EarlierNamesOfOptionsAreStillRead) {
  for (const char* arguments :
       {"eval model --text nothing.txt --samples 1 --seq-len 64", "eval model --text nothing.txt --chunks 1 --n-ctx 64",
        "generate model hello --max-tokens 4", "generate model --prompt hello -n 4",
        "generate model --prompt hello --tokens 4"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << arguments;
    EXPECT_NE(outcome.err.find("tokenizer.json"), std::string::npos) << arguments << "\n" << outcome.err;
  }
  EXPECT_EQ(run("eval --help").out.find("--n-ctx"), std::string::npos);
  EXPECT_EQ(run("generate --help").out.find("--tokens"), std::string::npos);
  expect_refused("generate model", "give a prompt", 2);
}

TEST_F(Cli, AnInstructionSetThatIsUnknownOrUnsupportedIsAnError) {
  EXPECT_EQ(setenv("STRATA_ISA", "abacus", 1), 0);
  expect_refused("inspect model", "abacus");
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512bf16, Isa::amx}) {
    if (isa_runs_here(isa)) continue;
    EXPECT_EQ(setenv("STRATA_ISA", std::string(isa_name(isa)).c_str(), 1), 0);
    expect_refused("inspect model", fmt::format("STRATA_ISA={}: unsupported here", isa_name(isa)));
  }
  unsetenv("STRATA_ISA");
}

}  // namespace command_line_test
}  // namespace strata
