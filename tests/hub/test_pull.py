"""strata pull and hf: names, against the hub of hub_server.py: what works, and every way in which a server may fail.

Run by ctest with the Python that builds need, without packages: python3 -m unittest. STRATA is the program.
"""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from hub_server import TOKEN, Hub, git_blob, sha256  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("STRATA", "build/release/strata")).absolute()
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden/models/llama_tied"
OTHER_WORDS = ("HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE",
               "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DOWNLOAD_TIMEOUT", "TRANSFORMERS_OFFLINE", "XDG_CACHE_HOME")


def model_files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in GOLDEN.iterdir() if file.suffix in (".json", ".safetensors")}


class WithHub(unittest.TestCase):
    """A hub with the repository org/model, a cache of its own, and the program between them."""

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="strata-hub-"))
        self.hub = self.enterContext(Hub())
        self.files = model_files() | {"README.md": b"# a model\n", "pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx",
                                      "additional_chat_templates/tools.jinja": b"{{ messages }}", ".gitattributes": b"*.bin lfs"}
        self.repository = self.hub.add("org/model", self.files)

    def tearDown(self):
        shutil.rmtree(self.home)

    def environment(self, **more: str) -> dict[str, str]:
        base = {key: value for key, value in os.environ.items() if key not in OTHER_WORDS and "proxy" not in key.lower()}
        return base | {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(self.home)} | more

    def run_strata(self, *words, expect: int = 0, **more: str) -> subprocess.CompletedProcess:
        done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, env=self.environment(**more),
                              cwd=self.home, timeout=120)
        self.assertEqual(done.returncode, expect, f"{words}\n{done.stdout}\n{done.stderr}")
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        self.assertNotIn("Signature=", done.stdout + done.stderr)
        return done

    def pull(self, *words, **more) -> pathlib.Path:
        return pathlib.Path(self.run_strata("pull", *words, **more).stdout.strip())

    def refused(self, *words, expect: int = 1, **more) -> str:
        return self.run_strata("pull", *words, expect=expect, **more).stderr

    @property
    def storage(self) -> pathlib.Path:
        return self.home / "hub/models--org--model"

    def blob(self, name: str) -> pathlib.Path:
        data = self.files[name]
        return self.storage / "blobs" / (sha256(data) if name.endswith((".safetensors", ".bin", ".gguf")) else git_blob(data))


class Pull(WithHub):
    def test_takes_what_a_model_needs_into_the_layout_of_huggingface_hub(self):
        done = self.run_strata("pull", "org/model")
        folder = pathlib.Path(done.stdout.strip())
        self.assertEqual(folder, self.storage / "snapshots" / self.repository.commit)
        self.assertEqual((self.storage / "refs/main").read_text(), self.repository.commit)
        there = {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()}
        self.assertEqual(there, set(self.files) - {"pytorch_model.bin", "onnx/model.onnx", ".gitattributes"})
        for name in there:
            self.assertEqual((folder / name).read_bytes(), self.files[name])
            self.assertEqual((folder / name).resolve(), self.blob(name))
            self.assertFalse(os.readlink(folder / name).startswith("/"))
        self.assertIn("onnx/model.onnx", done.stderr)
        self.assertIn("pytorch_model.bin", done.stderr)
        self.assertTrue((self.home / "hub/CACHEDIR.TAG").exists())
        self.assertTrue((self.home / f"hub/.locks/models--org--model/{self.blob('config.json').name}.lock").exists())

    def test_asks_for_nothing_twice(self):
        self.pull("org/model")
        self.hub.requests.clear()
        said = json.loads(self.run_strata("pull", "org/model", "--json").stdout)
        self.assertEqual(said["fetched_bytes"], 0)
        self.assertEqual(len(self.hub.requests), 1)
        shutil.rmtree(self.home / "hub/.locks")
        self.run_strata("inspect", "hf:org/model")
        self.assertFalse((self.home / "hub/.locks").exists(), "nothing is written into a cache that has all")
        self.assertEqual(said["commit"], self.repository.commit)
        self.assertIn("pytorch_model.bin", [file["name"] for file in said["left_out"]])

    def test_include_chooses_files(self):
        folder = self.pull("org/model", "--include", "*.bin", "--include", "onnx/*")
        self.assertEqual(sorted(str(f.relative_to(folder)) for f in folder.rglob("*.*")), ["onnx/model.onnx", "pytorch_model.bin"])
        self.assertIn("config.json", self.refused("org/model", "--include", "*.gguf"))

    def test_bin_files_are_taken_where_there_are_no_safetensors(self):
        self.hub.add("org/old", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
        self.assertTrue((self.pull("org/old") / "pytorch_model.bin").exists())

    def test_a_revision_is_a_branch_a_tag_or_a_commit(self):
        for revision in ("v1", self.repository.commit):
            self.assertEqual(self.pull(f"org/model@{revision}").name, self.repository.commit)
        self.assertEqual((self.storage / "refs/v1").read_text(), self.repository.commit)
        self.assertFalse((self.storage / "refs" / self.repository.commit).exists())
        self.assertIn("has no revision 'v2'", self.refused("org/model@v2"))

    def test_names_that_are_none_are_refused_before_anything_is_asked(self):
        for name in ("org/model/more", "../model", "org/..", "a b/c", "org/model@../../x", "-x/y"):
            self.refused("--", name, expect=2)
        self.assertEqual(self.hub.requests, [])

    def test_the_cache_is_where_the_variables_say(self):
        folder = self.pull("org/model", HF_HUB_CACHE=str(self.home / "other"))
        self.assertEqual(folder.parent.parent.parent, self.home / "other")

    def test_a_disk_that_is_too_small_is_known_before_the_first_byte(self):
        self.hub.listing = json.dumps({"sha": self.repository.commit, "siblings": [
            {"rfilename": "model.safetensors", "blobId": "0" * 40, "size": 1 << 60, "lfs": {"sha256": "0" * 64, "size": 1 << 60}}]})
        self.assertIn("make room", self.refused("org/model"))
        self.assertEqual(self.hub.seen("storage"), [])


class Token(WithHub):
    def test_goes_to_the_endpoint_and_never_to_where_that_redirects(self):
        self.hub.add("org/secret", self.files, private=True)
        self.pull("org/secret", HF_TOKEN=TOKEN)
        self.assertTrue(self.hub.seen("storage"))
        for path, headers in self.hub.seen("storage"):
            self.assertNotIn("Authorization", headers, path)
        for path, headers in self.hub.seen("hub"):
            self.assertEqual(headers.get("Authorization"), f"Bearer {TOKEN}", path)

    def test_is_read_from_the_file_of_hf_auth_login(self):
        self.hub.add("org/secret", self.files, private=True)
        (self.home / "token").write_text(TOKEN + "\n")
        self.pull("org/secret")
        self.assertIn("HF_TOKEN", self.refused("org/secret", HF_HUB_DISABLE_IMPLICIT_TOKEN="1"))

    def test_does_not_reach_a_redirect_of_the_list_to_another_host(self):
        self.hub.scripted = [("/api/models", 302, {"Location": f"{self.hub.storage}/elsewhere?Signature=of-the-storage"})]
        self.hub.blobs["elsewhere"] = b"{}"
        self.refused("org/model", HF_TOKEN=TOKEN)
        self.assertNotIn("Authorization", self.hub.seen("storage")[0][1])

    def test_that_a_server_repeats_is_not_shown(self):
        self.hub.scripted = [("/api/models", 403, {"X-Error-Message": f"You sent {TOKEN}!"})]
        self.assertIn("You sent", self.refused("org/model", HF_TOKEN=TOKEN))
        for listing in (f'{{"sha": "{TOKEN}", "siblings": []}}', f'["{TOKEN}"]', f'{{"sha": "{self.repository.commit}", "siblings": [{{"rfilename": "/{TOKEN}"}}]}}'):
            self.hub.listing = listing
            self.refused("org/model", HF_TOKEN=TOKEN)

    def test_with_a_line_end_inside_is_refused(self):
        said = self.refused("org/model", HF_TOKEN="hf_a b")
        self.assertIn("HF_TOKEN", said)
        self.assertNotIn("hf_a", said)


class Refusals(WithHub):
    def test_say_what_to_do(self):
        self.hub.add("org/gated", self.files, gated=True)
        wrong = {"HF_TOKEN": "hf_wrong"}
        for words, more, parts in (
            ("org/mode", {}, ("no such public repository", "spelling", "HF_TOKEN")),
            ("org/mode", {"HF_TOKEN": TOKEN}, ("no such repository that this token may see",)),
            ("org/model", wrong, ("does not accept the token", "/settings/tokens")),
            ("org/gated", {}, ("is gated: accept its terms at", "/org/gated", "HF_TOKEN")),
        ):
            said = self.refused(words, **more)
            for part in parts:
                self.assertIn(part, said)
            self.assertNotIn("hf_wrong", said)

    def test_a_status_becomes_a_sentence(self):
        self.hub.scripted = [("/api/models", 418, {"X-Error-Message": "I am\x1b[31m a teapot"})]
        said = self.refused("org/model")
        self.assertIn("418", said)
        self.assertNotIn("\x1b", said)

    def test_xet_only_is_refused(self):
        self.hub.xet_only = True
        said = self.refused("org/model")
        self.assertIn("Xet protocol", said)
        self.assertIn("hf download org/model", said)
        self.hub.xet_only = False
        self.hub.scripted = [("Signature", 403, {})]
        self.assertIn("Xet protocol", self.refused("org/model"))

    def test_no_hub_at_all(self):
        said = self.refused("org/model", HF_ENDPOINT="http://127.0.0.1:1")
        self.assertIn("127.0.0.1:1", said)
        self.assertIn("HF_ENDPOINT", self.refused("org/model", HF_ENDPOINT="huggingface.co"))

    def test_redirects_without_end(self):
        self.hub.scripted = [("/api/models", 302, {"Location": "/api/models/org/model/revision/main"})] * 20
        self.assertIn("redirects without end", self.refused("org/model"))

    def test_redirects_to_other_protocols(self):
        self.hub.scripted = [("/api/models", 302, {"Location": "file:///etc/passwd"})]
        self.assertIn("neither http nor https", self.refused("org/model"))


class Encrypted(WithHub):
    """A hub with a certificate that nobody but SSL_CERT_FILE vouches for; its storage is not encrypted."""

    def setUp(self):
        super().setUp()
        self.certificate = str(self.home / "certificate.pem")
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                               "subjectAltName=DNS:localhost", "-keyout", self.certificate, "-out", self.certificate + ".public"],
                              capture_output=True) if shutil.which("openssl") else None
        if made is None or made.returncode != 0:
            self.skipTest("there is no openssl program to make a certificate with")
        with open(self.certificate, "ab") as both:
            both.write(pathlib.Path(self.certificate + ".public").read_bytes())
        self.hub = self.enterContext(Hub(self.certificate))
        self.hub.add("org/model", self.files)

    def test_a_certificate_must_be_trusted(self):
        said = self.refused("org/model", HF_TOKEN=TOKEN)
        self.assertIn("certificate", said)
        self.assertEqual(self.hub.requests, [])
        self.pull("org/model", "--include", "config.json", SSL_CERT_FILE=self.certificate + ".public")

    def test_a_redirect_does_not_leave_encryption(self):
        self.assertIn("not encrypted", self.refused("org/model", SSL_CERT_FILE=self.certificate + ".public"))
        self.assertEqual(self.hub.seen("storage"), [])


class Patience(WithHub):
    def test_429_waits_as_long_as_it_is_asked_to(self):
        self.hub.scripted = [("/resolve/", 429, {"Retry-After": "2"})]
        begin = time.monotonic()
        self.pull("org/model", "--include", "config.json")
        self.assertGreaterEqual(time.monotonic() - begin, 2.0)
        self.hub.scripted = [("/api/models", 429, {"Retry-After": "3600"})]
        self.assertIn("try again in 60 min", self.refused("org/model"))

    def test_a_server_in_trouble_is_asked_again(self):
        self.hub.scripted = [("/api/models", 503, {}), ("/resolve/", 500, {}), ("Signature", 502, {})]
        self.pull("org/model")
        self.hub.scripted = [("/resolve/", 500, {})] * 20
        self.assertIn("try again later", self.refused("org/model", "--include", "README.md", "--include", "*.bin"))

    def test_a_connection_that_is_cut_goes_on_where_it_was(self):
        size = (5 << 20) + 123
        data = hashlib.shake_256(b"large").digest(size)
        self.hub.add("org/large", {"model.safetensors": data})
        self.hub.cut_after = 1 << 20
        folder = self.pull("org/large")
        self.assertEqual((folder / "model.safetensors").read_bytes(), data)
        ranges = [headers.get("Range") for _, headers in self.hub.seen("storage")]
        self.assertEqual(ranges, [None] + [f"bytes={n << 20}-" for n in range(1, 6)])

    def test_a_connection_that_falls_silent_goes_on_where_it_was(self):
        data = hashlib.shake_256(b"silent").digest((1 << 20) + 1)
        self.hub.add("org/large", {"model.safetensors": data})
        self.hub.cut_after, self.hub.stall = 1 << 20, 20.0
        begin = time.monotonic()
        folder = self.pull("org/large", HF_HUB_DOWNLOAD_TIMEOUT="1")
        self.assertLess(time.monotonic() - begin, 15.0)
        self.assertEqual((folder / "model.safetensors").read_bytes(), data)
        self.assertIn("at least 1", self.refused("org/large", HF_HUB_DOWNLOAD_TIMEOUT="soon"))

    def test_a_server_that_does_not_send_parts_begins_anew(self):
        self.hub.ranges = False
        self.pull("org/model", "--include", "config.json")
        part = self.storage / "blobs" / (self.blob("model.safetensors").name + ".incomplete")
        part.write_bytes(self.files["model.safetensors"][:100])
        folder = self.pull("org/model")
        self.assertEqual((folder / "model.safetensors").read_bytes(), self.files["model.safetensors"])

    def test_what_an_earlier_run_left_is_used_where_it_is_right(self):
        self.pull("org/model", "--include", "config.json")
        data = self.files["model.safetensors"]
        part = self.storage / "blobs" / (self.blob("model.safetensors").name + ".incomplete")
        for left, asked in ((data[:1000], ["bytes=1000-"]), (data, []), (b"?" * 1000, ["bytes=1000-", None]), (data + b"?", [None])):
            self.blob("model.safetensors").unlink(missing_ok=True)
            part.write_bytes(left)
            self.hub.requests.clear()
            folder = self.pull("org/model")
            self.assertEqual((folder / "model.safetensors").read_bytes(), data)
            self.assertEqual([headers.get("Range") for _, headers in self.hub.seen("storage")], asked)

    def test_a_wrong_hash_is_refused_and_nothing_is_left(self):
        self.hub.spoil = True
        said = self.refused("org/model")
        self.assertIn("model.safetensors: what arrived has the hash", said)
        self.assertEqual([f for f in (self.storage / "blobs").iterdir() if sha256(self.files["model.safetensors"]) in f.name], [])
        self.assertFalse((self.storage / "refs/main").exists())

    def test_ctrl_c_keeps_what_has_arrived(self):
        data = hashlib.shake_256(b"slow").digest(8 << 20)
        self.hub.add("org/large", {"model.safetensors": data})
        self.hub.cut_after = 1 << 20
        for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            program = subprocess.Popen([PROGRAM, "pull", "org/large"], env=self.environment(), stderr=subprocess.PIPE, text=True)
            part = self.home / f"hub/models--org--large/blobs/{sha256(data)}.incomplete"
            had = part.stat().st_size if part.exists() else 0
            while not part.exists() or part.stat().st_size <= had:
                time.sleep(0.01)
            program.send_signal(number)
            _, said = program.communicate(timeout=20)
            self.assertEqual(program.returncode, code, said)
            self.assertEqual("is kept" in said, number == signal.SIGINT)
            self.assertGreater(part.stat().st_size, had)
        self.assertEqual((self.pull("org/large") / "model.safetensors").read_bytes(), data)

    def test_two_at_once_fetch_a_file_once(self):
        data = hashlib.shake_256(b"shared").digest(3 << 20)
        self.hub.add("org/large", {"model.safetensors": data})
        self.hub.cut_after = 1 << 20
        programs = [subprocess.Popen([PROGRAM, "pull", "org/large"], env=self.environment(), stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
        for program in programs:
            out, _ = program.communicate(timeout=60)
            self.assertEqual(program.returncode, 0)
            self.assertEqual((pathlib.Path(out.strip()) / "model.safetensors").read_bytes(), data)
        self.assertEqual(len(self.hub.seen("storage")), 3)


class Hostile(WithHub):
    def listing(self, *siblings: dict, **more) -> str:
        return json.dumps({"sha": self.repository.commit, "siblings": list(siblings)} | more)

    def test_names_stay_within_the_snapshot(self):
        for name in ("../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a/.", "", "a\\b", "a\nb", "x" * 300, "a/" * 600 + "b"):
            self.hub.listing = self.listing({"rfilename": name, "size": 4, "blobId": git_blob(b"evil")})
            self.assertIn("not safe to pull", self.refused("org/model", "--include", "*"), name)
        self.assertFalse((self.home / "hub/models--org--model/snapshots").exists())

    def test_answers_of_other_shapes_are_refused(self):
        file = {"rfilename": "a.json", "size": 4, "blobId": "0" * 40}
        for listing in ("", "[]", "{", "[" * 500, '{"sha": "x", "siblings": []}', self.listing(sha="../../x"),
                        self.listing(sha="0" * 39), self.listing(siblings={}), self.listing(siblings=None), self.listing("a.json"),
                        self.listing(file | {"size": -1}), self.listing(file | {"size": 1.5}), self.listing(file | {"size": 1 << 64}),
                        self.listing(file | {"blobId": "../../../../evil"}), self.listing(file | {"blobId": "A" * 40}),
                        self.listing(file | {"lfs": []}), self.listing(file | {"lfs": {"sha256": "0" * 40, "size": 4}}),
                        self.listing(file, file), self.listing(file, file | {"rfilename": "a.json/b.json"})):
            self.hub.listing = listing
            self.assertTrue(self.refused("org/model").startswith("strata: hf:org/model at 127.0.0.1"), listing)
        self.assertFalse((self.home / "hub/models--org--model").exists())

    def test_more_bytes_than_were_said_are_not_written(self):
        data = self.files["model.safetensors"]
        self.hub.listing = self.listing({"rfilename": "model.safetensors", "size": 10, "blobId": "0" * 40,
                                         "lfs": {"sha256": sha256(data), "size": 10}})
        self.assertIn("more than the 10 bytes", self.refused("org/model"))
        self.assertLessEqual(sum(f.stat().st_size for f in (self.storage / "blobs").iterdir()), 10)


class Names(WithHub):
    """hf:ORG/NAME where a verb takes a model."""

    def test_verbs_take_them(self):
        said = json.loads(self.run_strata("inspect", "hf:org/model", "--json").stdout)
        self.assertEqual(said["path"], str(self.storage / "snapshots" / self.repository.commit))
        self.run_strata("quantize", "hf:org/model@v1", "-o", "out", "--preset", "uniform:int4_g32", "--no-verify", "--scale", "minmax")
        self.assertIn("base_model: org/model", (self.home / "out/README.md").read_text())
        self.assertEqual(json.loads((self.home / "out.report.json").read_text())["model"]["name"], "org/model")
        self.assertIn("hf:ORG/NAME", self.run_strata("inspect", "org/model", expect=1).stderr)
        self.assertIn("on this machine", self.run_strata("report", "hf:org/model", expect=2).stderr)

    def test_offline_is_what_the_cache_has(self):
        self.assertIn("HF_HUB_OFFLINE", self.run_strata("inspect", "hf:org/model", expect=1, HF_HUB_OFFLINE="1").stderr)
        folder = self.pull("org/model")
        self.hub.requests.clear()
        self.run_strata("inspect", "hf:org/model", HF_HUB_OFFLINE="1")
        self.assertEqual(self.pull("org/model", HF_HUB_OFFLINE="1"), folder)
        self.run_strata("inspect", f"hf:org/model@{self.repository.commit}", HF_HUB_OFFLINE="1")
        self.assertEqual(self.hub.requests, [])
        self.run_strata("inspect", "hf:org/model", HF_ENDPOINT="http://127.0.0.1:1")

    def test_gguf_models(self):
        """The files are too short to be models: the sentence names the file that was opened."""
        self.hub.add("org/one-GGUF", {"README.md": b"", "one.gguf": b"GGUF1"})
        self.hub.add("org/two-GGUF", {"README.md": b"", "one.gguf": b"GGUF1", "sub/two.gguf": b"GGUF2"})
        for name, opened in (("hf:org/one-GGUF", "one.gguf"), ("hf:org/two-GGUF:one.gguf", "one.gguf"),
                             ("hf:org/two-GGUF@v1:sub/two.gguf", "sub/two.gguf")):
            said = self.run_strata("inspect", name, expect=1).stderr
            self.assertRegex(said, f"snapshots/[0-9a-f]{{40}}/{opened}: ")
            self.assertEqual(said, self.run_strata("inspect", name, expect=1, HF_HUB_OFFLINE="1").stderr)
        said = self.run_strata("inspect", "hf:org/two-GGUF", expect=1).stderr
        self.assertIn("several GGUF models", said)
        self.assertIn("sub/two.gguf", said)
        self.assertIn("has no file three.gguf", self.run_strata("inspect", "hf:org/two-GGUF:three.gguf", expect=1).stderr)
        self.run_strata("inspect", "hf:org/model:config.json", expect=2)
        self.assertEqual([f.name for f in self.pull("org/two-GGUF", "--include", "*two.gguf").glob("**/t*")], ["two.gguf"])


if __name__ == "__main__":
    unittest.main()
