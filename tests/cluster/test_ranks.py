"""Several ranks on this machine do what one process does: the same bytes, the same figures, and no rank is waited for in vain.

Run by ctest with the Python that builds need, without packages: python3 -m unittest. STRATA is the program, MPIRUN what starts
several of it.
"""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PROGRAM = pathlib.Path(os.environ.get("STRATA", "build/release/strata")).absolute()
MPIRUN = os.environ.get("MPIRUN", "mpirun")
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden/models"
# Ranks of a machine without enough processors, or of root in a container, are Open MPI's to refuse unless it is told.
SHARES = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism", "none"]
LONG = ["--samples", "72", "--seq-len", "128"]  # 5 batches of a rounding
SCALED = ["--preset", "uniform:nvfp4_a4", "--codecs", "nvfp4_a4", "--for", "b200"]
SECONDS = 120


def write_model(name: str, folder: pathlib.Path) -> None:
    """A golden model with letters for its tokens; calibration needs no better tokenizer."""
    shutil.copytree(GOLDEN / name, folder)
    special = {"id": 26, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    vocab = {chr(ord("a") + i): i for i in range(26)}
    tokenizer = {"version": "1.0", "added_tokens": [special], "model": {"type": "BPE", "vocab": vocab, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "<s>"}))


def without(value, *keys):
    """JSON without what two runs need not share, such as their seconds."""
    if isinstance(value, dict):
        return {k: without(v, *keys) for k, v in value.items() if k not in keys}
    return [without(v, *keys) for v in value] if isinstance(value, list) else value


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = pathlib.Path(tempfile.mkdtemp(prefix="strata-ranks-"))
        write_model("llama_untied_sharded", cls.made / "llama")
        write_model("qwen3_moe", cls.made / "moe")
        letters = random.Random(5)
        for name in ("text.txt", "other.txt"):
            (cls.made / name).write_text("".join(letters.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(20000)))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.made)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.made))

    def command(self, ranks: int, words: list) -> list[str]:
        start = [] if ranks == 1 else [MPIRUN, "-n", str(ranks), *SHARES]
        return [*start, str(PROGRAM), *map(str, words)]

    def run_ranks(self, ranks: int, *words, exit_code: int = 0) -> subprocess.CompletedProcess:
        result = subprocess.run(self.command(ranks, list(words)), cwd=self.folder, capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(result.returncode, exit_code, f"{ranks} ranks: {result.stderr[-3000:]}{result.stdout[-1000:]}")
        return result

    def files(self, output: str) -> dict[str, bytes]:
        """The bytes of an output, by name. The card names the command and the seconds, which differ."""
        path = self.folder / output
        files = [path] if path.is_file() else sorted(path.iterdir())
        return {file.name if path.is_dir() else file.suffix: file.read_bytes() for file in files if file.name != "README.md"}

    def expect_same_files(self, words: list, suffix: str = "", counts=(2, 3, 8)):
        self.run_ranks(1, *words, "-o", "alone" + suffix)
        alone = self.files("alone" + suffix)
        for ranks in counts:
            self.run_ranks(ranks, *words, "-o", f"by{ranks}{suffix}", "--threads", 1 + ranks % 2)
            self.assertEqual(self.files(f"by{ranks}{suffix}"), alone, f"{ranks} ranks")

    def quantize(self, model: str, *options) -> list:
        return ["quantize", f"../{model}", "--calib", "../text.txt", *LONG, "--no-report", *options]


class SameBytes(Ranks):
    def test_rounding_with_feedback(self):
        self.expect_same_files(self.quantize("llama", "--method", "gptq", "--preset", "uniform:int4_g32", "--verify-samples", "3"))

    def test_rounding_a_mixture_of_experts(self):
        self.expect_same_files(self.quantize("moe", "--method", "gptq", "--preset", "uniform:int4_g32", "--no-verify"))

    def test_rounding_to_gguf_without_the_correction(self):
        self.expect_same_files(self.quantize("llama", "--method", "gptq", "--preset", "uniform:q4_0", "--no-verify", "--no-asymmetric"),
                               suffix=".gguf", counts=(3,))

    def test_one_batch_for_all_ranks(self):
        words = ["quantize", "../llama", "--method", "gptq", "--preset", "uniform:int4_g32", "--calib", "../text.txt", "--samples", "2",
                 "--seq-len", "32", "--no-report", "--no-verify"]
        self.expect_same_files(words, counts=(2, 3))

    def test_scoring_a_budget_and_rounding(self):
        self.expect_same_files(self.quantize("llama", "--bits", "5", "--method", "gptq", "--for", "transformers", "--no-verify"))

    def test_rounding_to_nearest_by_measured_inputs(self):
        self.expect_same_files(self.quantize("moe", "--preset", "uniform:int4_g32", "--no-verify"))

    def test_rounding_to_nearest_with_scales_that_groups_share(self):
        self.expect_same_files(self.quantize("llama", "--preset", "uniform:nvfp4", "--no-verify"), counts=(2, 8))
        self.expect_same_files(self.quantize("llama", "--preset", "uniform:q4_k", "--no-verify", "--scale", "minmax"),
                               suffix=".gguf", counts=(3,))

    def test_a_search(self):
        words = ["quantize", "../llama", "--calib", "../text.txt", "--samples", "30", "--seq-len", "72", "--no-report", "--no-verify",
                 "--bits", "5", "--for", "transformers", "--search-steps", "40"]
        self.expect_same_files(words)

    def test_plans_under_a_divergence_by_two_texts(self):
        words = ["quantize", "../moe", "--calib", "../text.txt", "--calib", "../other.txt", "--samples", "20", "--seq-len", "128",
                 "--no-report", "--no-verify", "--max-kl", "0.02", "--for", "transformers"]
        self.expect_same_files(words, counts=(3,))

    def test_scaling_channels(self):
        self.expect_same_files(self.quantize("llama", *SCALED, "--method", "gptq", "--verify-samples", "3"), counts=(2,))

    def test_scaling_channels_of_a_mixture_by_measured_inputs(self):
        self.expect_same_files(self.quantize("moe", *SCALED, "--no-verify"), counts=(3,))

    def test_tuning_is_done_by_the_first_rank(self):
        self.expect_same_files(self.quantize("llama", "--method", "gptq", "--preset", "uniform:int4_g32", "--tune", "--tune-steps", "3", "--no-verify"),
                               counts=(2,))


class SameFigures(Ranks):
    def test_scores(self):
        for model, options in [("llama", ["--signals", "all", "--kl-codecs", "int4_g64,nvfp4"]), ("moe", []),
                               ("moe", ["--signals", "fisher,act_mse", "--samples", "21", "--codecs", "int4_g32,nvfp4"]),
                               ("moe", ["--signals", "act_mse", "--for", "b200", "--codecs", "nvfp4_a4,fp8_static,fp8_channel"]),
                               ("llama", ["--signals", "lim,spike,act_mse,alpha", "--samples", "3"])]:
            words = ["score", f"../{model}", "--calib", "../text.txt", "--seq-len", "64", *options]
            self.run_ranks(1, *words, "-o", "alone.json")
            alone = without(json.loads((self.folder / "alone.json").read_text()), "seconds")
            for ranks in (2, 3, 8):
                self.run_ranks(ranks, *words, "-o", "shared.json")
                self.assertEqual(without(json.loads((self.folder / "shared.json").read_text()), "seconds"), alone, f"{ranks}, {options}")
            self.assertFalse(list(self.folder.glob("*.journal*")))

    def test_evaluations(self):
        self.run_ranks(1, "quantize", "../llama", "-o", "out", "--preset", "uniform:int4_g32", "--no-verify", "--no-report")
        for options in (["out", "--ref", "../llama"], ["out", "../llama"], ["out", "--samples", "1", "--ref", "../llama"]):
            words = ["eval", *options, "--text", "../text.txt", "--seq-len", "64"]
            self.run_ranks(1, *words, "-o", "alone.json")
            alone = without(json.loads((self.folder / "alone.json").read_text()), "seconds", "command")
            for ranks in (2, 3, 8):
                shown = self.run_ranks(ranks, *words, "-o", "shared.json").stdout
                shared = json.loads((self.folder / "shared.json").read_text())
                self.assertEqual(without(shared, "seconds", "command"), alone, f"{ranks}, {options}")
                self.assertEqual(shown.count("tokens scored in"), 1)

    def test_sweeps(self):
        words = ["sweep", "../llama", "--calib", "../text.txt", "--text", "../text.txt", "--tokens", "128", "--low", "int4_g32",
                 "--seq-len", "64", "--no-report"]
        self.run_ranks(1, *words, "-o", "alone")
        for ranks in (2, 3):
            self.run_ranks(ranks, *words, "-o", f"by{ranks}")
            self.assertEqual((self.folder / f"by{ranks}/sweep.csv").read_text(), (self.folder / "alone/sweep.csv").read_text())


class Endings(Ranks):
    def children(self, starter: int) -> list[int]:
        """The processes of strata that mpirun has started, in the order of their ranks."""
        found = {}
        for status in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if os.readlink(status.parent / "exe") != str(PROGRAM):
                    continue
                parent = int(re.search(r"\) \S (\d+)", (status.parent / "stat").read_text())[1])
                environment = dict(e.split("=", 1) for e in status.read_text().split("\0") if "=" in e)
            except (OSError, TypeError):
                continue
            if parent == starter:
                found[int(environment["OMPI_COMM_WORLD_RANK"])] = int(status.parent.name)
        return [found[rank] for rank in sorted(found)]

    def kill_and_resume(self, words: list, output: str, read, kills: list[tuple[int, int]], last: int) -> None:
        """Kills a rank (SIGKILL) of one run after another; then `last` ranks finish, with what `read` has of a run of one."""
        self.run_ranks(1, *words, "-o", "alone" + output)
        begin = time.monotonic()
        self.run_ranks(3, *words, "-o", "whole" + output)
        took = time.monotonic() - begin
        chance = random.Random(7)
        killed = 0
        for ranks, victim in kills:
            job = subprocess.Popen(self.command(ranks, [*words, "-o", output]), cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, env=os.environ | {"STRATA_NOTE_SECONDS": "0"})
            time.sleep(took * chance.uniform(0.3, 0.95))
            there = self.children(job.pid) if ranks > 1 else [job.pid]
            if len(there) == ranks:
                os.kill(there[victim], signal.SIGKILL)
            err = job.communicate(timeout=SECONDS)[1]
            if (self.folder / output).exists():  # it had its name before the kill
                self.assertEqual(read(output), read("alone" + output))
                shutil.rmtree(self.folder / output, ignore_errors=True)
                (self.folder / output).unlink(missing_ok=True)
                continue
            killed += 1
            self.assertNotEqual(job.returncode, 0)
            if ranks > 1 and len(there) == ranks:
                self.assertIn("exited on signal 9", err)
        self.assertGreater(killed, 0)
        self.run_ranks(last, *words, "-o", output)
        self.assertEqual(read(output), read("alone" + output))

    def test_a_rounding_whose_ranks_were_killed_resumes_with_others(self):
        words = self.quantize("llama", "--method", "gptq", "--preset", "uniform:int4_g32", "--no-verify")
        self.kill_and_resume(words, "out", self.files, [(3, 1), (2, 0), (8, 5), (3, 2), (2, 1)], last=2)

    def test_a_scoring_whose_ranks_were_killed_resumes_with_others(self):
        def read(name: str):
            return without(json.loads((self.folder / name).read_text()), "seconds")
        words = ["score", "../llama", "--calib", "../text.txt", "--samples", "128", "--seq-len", "128", "--signals",
                 "lim,spike,act_mse,alpha,kl"]
        self.kill_and_resume(words, "scores.json", read, [(3, 1), (2, 0), (8, 7), (1, 0), (3, 2)], last=2)
        self.assertFalse(list(self.folder.glob("scores.json.*")))

    def test_a_search_whose_ranks_were_killed_resumes_with_others(self):
        words = self.quantize("llama", "--bits", "5", "--for", "transformers", "--search-steps", "60", "--no-verify")
        self.kill_and_resume(words, "out", self.files, [(3, 2), (2, 0)], last=2)

    def test_an_error_that_all_ranks_have_is_said_once(self):
        result = self.run_ranks(3, "eval", "nowhere", "--text", "../text.txt", exit_code=1)
        self.assertEqual(result.stderr.count("strata: "), 1, result.stderr)
        result = self.run_ranks(3, "score", "../llama", "--no-such-option", exit_code=2)
        self.assertEqual(result.stderr.count("strata: "), 1, result.stderr)

    def test_an_error_of_the_first_rank_ends_all(self):
        (self.folder / "out").mkdir()
        result = self.run_ranks(3, *self.quantize("llama", "--method", "gptq", "--bits", "5", "-o", "out"), exit_code=1)
        self.assertIn("exists already", result.stderr)
        self.assertEqual(result.stderr.count("strata: "), 1, result.stderr)

    def test_what_one_rank_does_is_shown_once(self):
        self.assertEqual(self.run_ranks(3, "inspect", "../llama").stdout, self.run_ranks(1, "inspect", "../llama").stdout)
        self.assertIn("MPI: Open MPI", self.run_ranks(1, "--version", "--verbose").stdout)


if __name__ == "__main__":
    unittest.main()
