"""A small hub on this machine: it answers as huggingface.co does where huggingface_hub and strata ask it something.

Two servers: the hub itself at 127.0.0.1, and the storage of large files at another host, localhost, to which the hub
redirects with a signed address. Both note every request, so that a test can see what was asked and with which token.
Standard library only.
"""
import base64
import hashlib
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse

TOKEN = "hf_TheTokenOfTheTests"
LARGE = (".safetensors", ".bin", ".gguf")  # endings of files in Git LFS, as .gitattributes has them
SIGNATURE = "Signature=of-the-storage"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repository:
    """A repository of one commit, which main and the tag v1 have."""

    def __init__(self, files: dict[str, bytes], private: bool = False, gated: bool = False):
        self.files, self.private, self.gated = dict(files), private, gated
        self.commit = hashlib.sha1(repr(sorted(files)).encode() + str(time.monotonic_ns()).encode()).hexdigest()
        self.commits: list[list[dict]] = []  # the lines of each, as they were sent

    def entry(self, name: str) -> dict:
        data = self.files[name]
        if not name.endswith(LARGE):
            return {"size": len(data), "oid": git_blob(data)}
        return {"size": len(data), "oid": git_blob(b"pointer" + data),
                "lfs": {"oid": sha256(data), "size": len(data), "pointerSize": 130}}

    def siblings(self) -> list[dict]:
        result = []
        for name in self.files:
            entry = self.entry(name)
            sibling = {"rfilename": name, "size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                sibling["lfs"] = {"sha256": entry["lfs"]["oid"], "size": entry["size"], "pointerSize": 130}
            result.append(sibling)
        return result


class Hub:
    """`with Hub() as hub:`; hub.endpoint is what HF_ENDPOINT should be."""

    def __init__(self, certificate: str | None = None):
        """certificate: a file with a certificate for localhost and its key; the hub then speaks https, the storage does not."""
        self.certificate = certificate
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}  # of the storage, by SHA-256
        self.requests: list[tuple[str, str, str, dict]] = []  # "hub" or "storage", method, path, headers
        self.scripted: list[tuple] = []  # a part of a path, then status, headers and perhaps body of its next answer
        self.listing: str | None = None  # what is answered in place of every list of files
        self.instead: tuple[str, bytes] | None = None  # a part of a path, and what is always answered there
        self.cut_after: int | None = None  # bytes of a body after which the storage closes the connection
        self.stall = 0.0  # seconds of silence before the storage cuts a connection
        self.ranges = True
        self.spoil = False  # the storage sends other bytes than those of the hash
        self.xet_only = False
        self.part_size: int | None = None  # larger uploads are in parts of so many bytes
        self.parts: dict[str, dict[int, bytes]] = {}
        self.transfer = "basic"

    def add(self, name: str, files: dict[str, bytes], **how) -> Repository:
        repository = self.repositories[name] = Repository(files, **how)
        self.blobs.update({sha256(data): data for file, data in files.items() if file.endswith(LARGE)})
        return repository

    def seen(self, server: str, method: str = "") -> list[tuple[str, dict]]:
        return [(path, headers) for who, how, path, headers in self.requests if who == server and how.startswith(method)]

    def __enter__(self):
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self, role)) for role in (HubHandler, StorageHandler)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.servers[0].server_port}"
        self.storage = f"http://localhost:{self.servers[1].server_port}"
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self.servers[0].socket = context.wrap_socket(self.servers[0].socket, server_side=True)
            self.endpoint = f"https://localhost:{self.servers[0].server_port}"
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()


def handler(hub: Hub, role: type) -> type:
    return type(role.__name__, (role,), {"hub": hub})


class Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    name = ""

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: bytes | dict | list = b"", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def handle_request(self):
        self.hub.requests.append((self.name, self.command, self.path, dict(self.headers)))
        for scripted in self.hub.scripted:
            if scripted[0] in self.path:
                self.hub.scripted.remove(scripted)
                self.body()
                return self.answer(scripted[1], *scripted[3:], **scripted[2])
        if self.hub.instead is not None and self.hub.instead[0] in self.path:
            self.body()
            return self.answer(200, self.hub.instead[1])
        parts = urllib.parse.urlsplit(self.path)
        self.route(urllib.parse.unquote(parts.path), parts.query)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request


class HubHandler(Handler):
    name = "hub"

    def route(self, path: str, query: str):
        if path == "/api/repos/create":
            return self.create(json.loads(self.body()))
        if path == "/api/validate-yaml":
            self.body()
            return self.answer(200, {"errors": [], "warnings": []})
        for pattern, call in ((r"/api/models/(.+)/revision/(.+)", self.info), (r"/api/models/([^/]+/[^/]+)", self.info),
                              (r"/api/models/(.+)/tree/(.+)", self.tree), (r"/api/models/(.+)/preupload/(.+)", self.preupload),
                              (r"/api/models/(.+)/commit/(.+)", self.commit), (r"/(.+)\.git/info/lfs/objects/batch", self.batch),
                              (r"/verify/(.+)", self.verify), (r"/complete/(.+)", self.complete),
                              (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve)):
            if match := re.fullmatch(pattern, path):
                return call(*match.groups())
        self.answer(404, b"no such page")

    def may(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, name: str) -> Repository | None:
        """The repository, or None after an answer that says why not."""
        sent = self.headers.get("Authorization")
        if sent and not self.may():
            self.answer(401, b"", X_Error_Message="Invalid credentials in Authorization header")
            return None
        found = self.hub.repositories.get(name)
        if found is None or (found.private and not self.may()):
            self.answer(404 if sent else 401, b"", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return None
        return found

    def info(self, name: str, revision: str = "main"):
        if (found := self.repository(name)) is None:
            return
        if revision not in ("main", "v1", found.commit):
            return self.answer(404, b"", X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        if self.hub.listing is not None:
            return self.answer(200, self.hub.listing.encode())
        self.answer(200, {"id": name, "sha": found.commit, "private": found.private, "siblings": found.siblings()})

    def tree(self, name: str, revision: str):
        if (found := self.repository(name)) is not None:
            self.answer(200, [{"type": "file", "path": file, **found.entry(file)} for file in found.files])

    def resolve(self, name: str, revision: str, file: str):
        if (found := self.repository(name)) is None:
            return
        common = {"X_Repo_Commit": found.commit}
        if found.gated and not self.may():
            return self.answer(403 if self.headers.get("Authorization") else 401, b"", X_Error_Code="GatedRepo", **common)
        if file not in found.files:
            return self.answer(404, b"", X_Error_Code="EntryNotFound", **common)
        data = found.files[file]
        if not file.endswith(LARGE):
            return self.answer(200, data, ETag=f'"{git_blob(data)}"', **common)
        common.update(X_Linked_Etag=f'"{sha256(data)}"', X_Linked_Size=len(data), X_Xet_Hash="00" * 32)
        if self.hub.xet_only:
            return self.answer(200, b"", **common)
        self.answer(302, b"", Location=f"{self.hub.storage}/{sha256(data)}?{SIGNATURE}", **common)

    def create(self, asked: dict):
        if not self.may():
            return self.answer(401, b"")
        name = f"{asked['organization']}/{asked['name']}"
        self.hub.add(name, {}, private=asked.get("visibility") == "private" or asked.get("private", False))
        self.answer(200, {"url": f"{self.hub.endpoint}/{name}", "name": name})

    def preupload(self, name: str, _: str):
        asked = json.loads(self.body())
        if (found := self.repository(name)) is None or not self.writes():
            return
        files = []
        for file in asked["files"]:
            base64.b64decode(file["sample"], validate=True)
            large = file["path"].endswith(LARGE) or file["size"] > 10_000_000
            there = found.files.get(file["path"])
            oid = None if there is None else sha256(there) if large else git_blob(there)
            files.append({"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid})
        self.answer(200, {"files": files})

    def writes(self) -> bool:
        if not self.may():
            self.answer(403, b"", X_Error_Message="This token cannot write")
        return self.may()

    def batch(self, _: str):
        asked = json.loads(self.body())
        objects = []
        for item in asked["objects"]:
            oid, size = item["oid"], item["size"]
            entry: dict = {"oid": oid, "size": size}
            if oid not in self.hub.blobs:
                upload = {"href": f"{self.hub.storage}/{oid}?{SIGNATURE}"}
                if self.hub.part_size and size > self.hub.part_size:
                    count = -(-size // self.hub.part_size)
                    upload = {"href": f"{self.hub.endpoint}/complete/{oid}", "header": {"chunk_size": str(self.hub.part_size)}}
                    upload["header"].update({str(i + 1): f"{self.hub.storage}/{oid}?part={i + 1}&{SIGNATURE}" for i in range(count)})
                entry["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.endpoint}/verify/{oid}"}}
            objects.append(entry)
        self.answer(200, {"transfer": self.hub.transfer, "objects": objects}, Content_Type="application/vnd.git-lfs+json")

    def complete(self, oid: str):
        asked, parts = json.loads(self.body()), self.hub.parts.pop(oid)
        data = b"".join(parts[number] for number in sorted(parts))
        right = asked["parts"] == [{"partNumber": n, "etag": f'"{sha256(parts[n])}"'} for n in sorted(parts)] and sha256(data) == oid
        if right:
            self.hub.blobs[oid] = data
        self.answer(200 if right else 400, {})

    def verify(self, oid: str):
        asked = json.loads(self.body())
        there = self.hub.blobs.get(oid)
        self.answer(200 if there is not None and len(there) == asked["size"] and self.may() else 404, {})

    def commit(self, name: str, _: str):
        lines = [json.loads(line) for line in self.body().splitlines()]
        if (found := self.repository(name)) is None or not self.writes():
            return
        for line in lines[1:]:
            value = line["value"]
            found.files[value["path"]] = base64.b64decode(value["content"]) if line["key"] == "file" else self.hub.blobs[value["oid"]]
        found.commits.append(lines)
        found.commit = hashlib.sha1(found.commit.encode()).hexdigest()
        self.answer(200, {"success": True, "commitOid": found.commit, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{found.commit}"})


class StorageHandler(Handler):
    name = "storage"

    def route(self, path: str, query: str):
        oid = path.strip("/")
        if SIGNATURE not in query:
            return self.answer(403, b"")
        if self.command == "PUT":
            data = self.body()
            if number := urllib.parse.parse_qs(query).get("part"):
                self.hub.parts.setdefault(oid, {})[int(number[0])] = data
            elif sha256(data) == oid:
                self.hub.blobs[oid] = data
            else:
                return self.answer(400, b"")
            return self.answer(200, b"", ETag=f'"{sha256(data)}"')
        data = self.hub.blobs[oid]
        if self.hub.spoil:
            data = bytes(len(data))
        first, status, headers = 0, 200, {}
        if self.hub.ranges and (match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            first, status = int(match[1]), 206
            if first >= len(data):
                return self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
            headers = {"Content_Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        rest = data[first:]
        cut = self.hub.cut_after
        if cut is None or len(rest) <= cut:
            return self.answer(status, rest, **headers)
        self.close_connection = True
        self.answer(status, rest[:cut], Content_Length=len(rest), **headers)
        time.sleep(self.hub.stall)
