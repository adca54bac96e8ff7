"""strata push against the hub of hub_server.py: what is committed, what is sent again, and what is refused."""
import json
import os
import pathlib
import pty
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from hub_server import TOKEN, sha256  # noqa: E402
from test_pull import PROGRAM, WithHub  # noqa: E402


class Push(WithHub):
    def setUp(self):
        super().setUp()
        self.out = self.home / "out"
        self.content = {"config.json": b"{}", "README.md": b"# mine\n", "model.safetensors": bytes(range(256)) * 40, "empty.txt": b"",
                        "sub/chat.jinja": "{{ \u00e9 }}".encode()}
        for name, data in self.content.items():
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            (self.out / name).write_bytes(data)
        for name in (".cache/x", ".hidden", "model.gguf.part"):
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            (self.out / name).write_bytes(b"not to be seen")

    def push(self, *words, **more) -> dict:
        return json.loads(self.run_strata("push", *words, "--json", **({"HF_TOKEN": TOKEN} | more)).stdout)

    def refused(self, *words, expect: int = 1, **more) -> str:
        return self.run_strata("push", *words, expect=expect, **({"HF_TOKEN": TOKEN} | more)).stderr

    def test_commits_a_folder(self):
        repository = self.hub.add("me/model", {"kept.txt": b"before"})
        said = self.push("out", "me/model", "--message", "first")
        self.assertEqual(repository.files, self.content | {"kept.txt": b"before"})
        self.assertEqual((said["commit"], said["files"], said["created"]), (repository.commit, 5, False))
        self.assertEqual(said["bytes"], sum(map(len, self.content.values())))
        self.assertEqual([commit[0] for commit in repository.commits], [{"key": "header", "value": {"summary": "first", "description": ""}}])
        for path, headers in self.hub.seen("storage"):
            self.assertNotIn("Authorization", headers, path)

    def test_sends_only_what_has_changed(self):
        repository = self.hub.add("me/model", {})
        self.push("out", "me/model")
        self.hub.requests.clear()
        self.assertIn("has all of it", self.run_strata("push", "out", "me/model", HF_TOKEN=TOKEN).stdout)
        self.assertEqual(len(repository.commits), 1)
        (self.out / "README.md").write_bytes(b"# other\n")
        self.assertEqual(self.push("out", "me/model")["files"], 1)
        self.assertEqual(self.hub.seen("storage"), [])
        self.assertEqual(repository.files["README.md"], b"# other\n")

    def test_what_the_storage_has_is_not_sent(self):
        self.hub.add("me/model", {})
        self.hub.blobs[sha256(self.content["model.safetensors"])] = self.content["model.safetensors"]
        self.push("out", "me/model")
        self.assertEqual(self.hub.seen("storage"), [])

    def test_large_files_go_in_parts_where_the_hub_asks_for_them(self):
        repository = self.hub.add("me/model", {})
        self.hub.part_size = 4000
        self.push("out", "me/model")
        self.assertEqual(len(self.hub.seen("storage", "PUT")), 3)
        self.assertEqual(repository.files["model.safetensors"], self.content["model.safetensors"])

    def test_a_gguf_file_goes_alone(self):
        repository = self.hub.add("me/model-GGUF", {})
        (self.home / "m.gguf").write_bytes(b"GGUF")
        self.push("m.gguf", "hf:me/model-GGUF")
        self.assertEqual(repository.files, {"m.gguf": b"GGUF"})

    def test_a_repository_is_made_only_when_asked_for(self):
        self.assertIn("--create", self.refused("out", "me/new"))
        self.assertNotIn("me/new", self.hub.repositories)
        self.assertTrue(self.push("out", "me/new", "--create", "--private")["created"])
        self.assertTrue(self.hub.repositories["me/new"].private)
        self.assertEqual(self.hub.repositories["me/new"].files, self.content)
        self.assertFalse(self.push("out", "me/open", "--create") and self.hub.repositories["me/open"].private)

    def test_a_person_at_a_terminal_is_asked(self):
        for answer, made in (("n\n", False), ("\n", False), ("y\n", True)):
            person, terminal = pty.openpty()
            program = subprocess.Popen([PROGRAM, "push", self.out, "me/asked"], env=self.environment(HF_TOKEN=TOKEN),
                                       stdin=terminal, stderr=terminal, stdout=subprocess.DEVNULL)
            os.close(terminal)
            said = b""
            while b"[y/N]" not in said:
                said += os.read(person, 1000)
            self.assertIn(b"for all to see", said)
            os.write(person, answer.encode())
            self.assertEqual(program.wait(timeout=20), 0 if made else 1)
            self.assertEqual("me/asked" in self.hub.repositories, made)
            os.close(person)

    def test_trouble_of_a_moment_is_waited_out(self):
        repository = self.hub.add("me/model", {})
        self.hub.scripted = [("/preupload/", 429, {"Retry-After": "1"}), ("Signature", 500, {}), ("/commit/", 503, {})]
        self.push("out", "me/model")
        self.assertEqual(len(repository.commits), 1)

    def test_a_commit_that_may_have_been_made_is_not_made_again(self):
        self.hub.add("me/model", {})
        self.hub.scripted = [("/commit/", 500, {})]
        self.assertIn("status 500", self.refused("out", "me/model"))
        self.assertEqual(len([path for path, _ in self.hub.seen("hub") if "/commit/" in path]), 1)

    def test_refusals(self):
        self.hub.add("me/model", {})
        self.assertIn("needs a token", self.refused("out", "me/model", HF_TOKEN=""))
        self.assertIn("does not accept the token", self.refused("out", "me/model", HF_TOKEN="hf_other"))
        self.assertIn("neither a folder nor a GGUF file", self.refused("out/config.json", "me/model"))
        self.assertIn("neither", self.refused("nothing", "me/model"))
        self.refused("out", "me/model:file", expect=2)
        self.hub.transfer = "xet"
        self.assertIn("hf upload me/model", self.refused("out", "me/model"))
        self.assertIn("HF_HUB_OFFLINE", self.refused("out", "me/model", HF_HUB_OFFLINE="1"))
        self.assertEqual(self.hub.repositories["me/model"].files, {})

    def test_what_the_hub_says_against_a_commit_is_shown(self):
        self.hub.add("me/model", {})
        self.hub.scripted = [("/commit/", 400, {"Content-Type": "application/json"}, b'{"error": "license: must be one of"}')]
        self.assertIn('status 400 ("license: must be one of")', self.refused("out", "me/model"))

    def test_links_are_not_followed(self):
        self.hub.add("me/model", {})
        (self.out / "key").symlink_to("/etc/hostname")
        self.assertIn("is a link", self.refused("out", "me/model"))
        self.assertEqual(self.hub.requests, [])

    def test_answers_that_make_no_sense_are_refused(self):
        self.hub.add("me/model", {})
        for part, answers in (("/preupload/", ("", "[]", "{}", '{"files": []}', '{"files": [1]}',
                                               '{"files": [{"path": "config.json", "uploadMode": "other"}]}')),
                              ("/batch", ("[]", "{}", '{"objects": []}', '{"objects": [{"oid": 1}]}', '{"objects": {}}'))):
            for answer in answers:
                self.hub.instead = (part, answer.encode())
                self.assertTrue(self.refused("out", "me/model").startswith("strata: hf:me/model"), (part, answer))
        oid, size = sha256(self.content["model.safetensors"]), len(self.content["model.safetensors"])
        for upload in ({}, {"href": 1}, {"href": "file:///etc/passwd"}, {"href": "x", "header": {"chunk_size": "0"}},
                       {"href": "http://localhost:1/", "header": {"chunk_size": "-1"}}, {"href": "http://localhost:1/", "header": {"chunk_size": "1e3"}},
                       {"href": "http://localhost:1/", "header": {"chunk_size": 100}}):
            self.hub.instead = ("/batch", json.dumps({"objects": [{"oid": oid, "size": size, "actions": {"upload": upload}}]}).encode())
            self.assertTrue(self.refused("out", "me/model"), upload)
        self.assertEqual(self.hub.repositories["me/model"].files, {})


if __name__ == "__main__":
    unittest.main()
