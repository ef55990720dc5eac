"""The verbs `seednorm data ...` as a user meets them: results, errors, interrupts and full disks.

usage: data_cli_test.py PROGRAM
"""
import contextlib
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = ""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, *arguments, code=0, **options):
        result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120,
                                cwd=self.folder, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        if code != 0:
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            self.assertLess(len(result.stderr), 500, result.stderr)
        return result

    def error(self, *arguments, code=2, **options):
        return self.run_program(*arguments, code=code, **options).stderr

    def files(self):
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


class CommandLine(Case):
    def test_help_of_everything(self):
        for verb in ((), ("data",), ("data", "tokenize"), ("data", "get"), ("data", "list")):
            self.assertIn("--help", self.run_program(*verb, "--help").stdout)
        self.assertRegex(self.run_program("--version").stdout, r"^seednorm \d+\.\d+")

    def test_unknown_words_name_the_nearest(self):
        self.assertIn('unknown verb "dat" (did you mean data?); see seednorm --help', self.error("dat"))
        self.assertIn("(did you mean tokenize?)", self.error("data", "tokenise"))
        self.assertIn("(did you mean --tokenizer?)", self.error("data", "tokenize", "x", "--tokeniser=y", "--out", "z"))
        self.assertIn("seednorm --help", self.error())
        self.assertIn("--out", self.error("data", "tokenize", "x", "--tokenizer", "byte"))
        self.assertIn("--workers", self.error("data", "tokenize", "x", "--tokenizer", "byte", "--out", "z", "--workers", "0"))

    def test_list(self):
        self.run_program("data", "list", "--json", "list.json")
        sets = json.loads((self.folder / "list.json").read_text())["sets"]
        self.assertGreater(len(sets), 3)
        self.assertEqual(len({entry["url"] for entry in sets}), len(sets))
        for entry in sets:
            # Without https only a known checksum says that the file is the right one.
            self.assertTrue(entry["url"].startswith("https://") or entry["sha256"])
            self.assertTrue(entry["sha256"] is None or len(entry["sha256"]) == 64)
        self.assertIn("no folder", self.error("data", "list", "--json", "none/list.json"))
        self.assertEqual(subprocess.run(f"{PROGRAM} data list | true; exit ${{PIPESTATUS[0]}}", shell=True,
                                        executable="/bin/bash").returncode, 0)


class Output(Case):
    def test_full_disk_is_an_error(self):
        for arguments in (("--help",), ("--version",), ("data", "list"), ("data", "get", "--help")):
            with open("/dev/full", "w") as full:
                result = subprocess.run([PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn("cannot write", result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)

    def test_closed_streams_do_not_reach_files(self):
        (self.folder / "b.txt").write_text("three")
        for number, closed in enumerate((">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")):
            command = f"exec {PROGRAM} data tokenize b.txt --tokenizer byte --out out{number} {closed}"
            subprocess.run(["/bin/sh", "-c", command], cwd=self.folder, check=True)
            data = (self.folder / f"out{number}/00000.bin").read_bytes()
            self.assertEqual(struct.unpack("<6H", data), (*b"three", 256))
        command = f"exec {PROGRAM} data tokenize none.txt --tokenizer byte --out out 2>&-"
        self.assertEqual(subprocess.run(["/bin/sh", "-c", command], cwd=self.folder).returncode, 2)

    def test_json_to_a_device(self):
        result = self.run_program("data", "list", "--json", "/dev/stderr")
        self.assertIn("sets", json.loads(result.stderr))


class Tokenize(Case):
    def setUp(self):
        super().setUp()
        with gzip.open(self.folder / "a.jsonl.gz", "wt") as file:
            for text in ("one", "two", ""):
                file.write(json.dumps({"text": text}) + "\n")
        (self.folder / "b.txt").write_text("three")

    def tokenize(self, *arguments, code=0, **options):
        return self.run_program("data", "tokenize", *arguments, "--tokenizer", "byte", "--out", "out", code=code, **options)

    def test_result(self):
        text = self.tokenize("a*.gz", "b.txt", "--json", "result.json").stdout
        self.assertIn("14 tokens of 3 documents", text)
        self.assertIn("1 documents without text", text)
        data = (self.folder / "out/00000.bin").read_bytes()
        self.assertEqual(struct.unpack("<14H", data), (*b"one", 256, *b"two", 256, *b"three", 256))
        info = json.loads((self.folder / "out/tokens.json").read_text())
        for key, value in {"tokenizer": "byte", "vocab_size": 257, "eos_id": 256, "dtype": "uint16", "documents": 3,
                           "tokens": 14, "text_bytes": 11}.items():
            self.assertEqual(info[key], value)
        self.assertEqual([source["file"] for source in info["sources"]], ["a.jsonl.gz", "b.txt"])
        self.assertGreater(info["unigram_entropy"], 1)
        result = json.loads((self.folder / "result.json").read_text())
        self.assertEqual(result["empty_documents"], 1)
        self.assertEqual(result["tokens"], 14)

    def test_never_overwrites(self):
        self.tokenize("b.txt")
        before = (self.folder / "out/tokens.json").read_bytes()
        self.assertIn("already exists", self.tokenize("a.jsonl.gz", code=2).stderr)
        self.assertEqual((self.folder / "out/tokens.json").read_bytes(), before)

    def test_link_to_an_empty_folder(self):
        (self.folder / "real").mkdir()
        (self.folder / "out").symlink_to("real")
        self.tokenize("b.txt")
        self.assertTrue((self.folder / "out").is_symlink())
        self.assertTrue((self.folder / "real/tokens.json").exists())
        (self.folder / "out").unlink()
        (self.folder / "out").symlink_to("none")
        self.assertIn("link", self.tokenize("b.txt", code=2).stderr)

    def test_threads_that_cannot_be_started(self):
        # Only some of the threads, whose stacks do not fit.
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000, 8_000_000_000))
        self.assertIn("6 tokens", self.tokenize("b.txt", "--workers", "1024", preexec_fn=limit).stdout)

    def test_bad_input(self):
        (self.folder / "bad.jsonl").write_text('{"text": "a"}\n{"text": 5}\n')
        (self.folder / "bad.json").write_text('{"model": {}}')
        before = self.files()
        self.assertIn("bad.jsonl:2: field", self.tokenize("bad.jsonl", code=2).stderr)
        self.assertIn("no such file", self.tokenize("none.txt", code=2).stderr)
        for count in ("0", "x", "-1", "5Q", "99999999999999999999", "10000000000G"):
            self.assertIn("--shard-tokens", self.tokenize("b.txt", "--shard-tokens", count, code=2).stderr)
        for tokenizer in ("none.json", "bad.json", "b.txt", "."):
            self.error("data", "tokenize", "b.txt", "--tokenizer", tokenizer, "--out", "out")
        message = self.error("data", "tokenize", "b.txt", "--tokenizer", "byte", "--out", "b.txt/out")
        self.assertIn("b.txt is a file", message)
        self.assertEqual(self.files(), before)

    def large(self):
        line = json.dumps({"text": "some words that repeat " * 400}) + "\n"
        with open(self.folder / "large.jsonl", "w") as file:
            for _ in range(100):
                file.write(line * 100)  # 90 MB in all

    def start(self):
        process = subprocess.Popen([PROGRAM, "data", "tokenize", "large.jsonl", "--tokenizer", "byte", "--out", "out",
                                    "--workers", "2"], cwd=self.folder, stderr=subprocess.PIPE, text=True)
        while not list(self.folder.glob("out.partial/*.bin")):
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        return process

    def test_stopped_leaves_nothing(self):
        self.large()
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            process.send_signal(number)
            self.assertEqual(process.communicate()[1], "seednorm: stopped\n")
            self.assertEqual(process.returncode, 130)
            self.assertEqual(self.files(), ["a.jsonl.gz", "b.txt", "large.jsonl"])

    def test_killed_leaves_nothing_in_the_way(self):
        self.large()
        process = self.start()
        process.send_signal(signal.SIGSTOP)  # or it might end before the other one has started
        self.assertIn("another process", self.tokenize("b.txt", code=2).stderr)
        process.kill()
        process.communicate()
        self.assertFalse((self.folder / "out").exists())
        self.tokenize("b.txt")
        self.assertFalse((self.folder / "out.partial").exists())

    def test_full_disk(self):
        (self.folder / "large.txt").write_text("x" * 5_000_000)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        message = self.tokenize("large.txt", code=1, preexec_fn=limit).stderr
        self.assertIn("cannot write", message)
        self.assertEqual(self.files(), ["a.jsonl.gz", "b.txt", "large.txt"])


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`; settings are attributes of the class that a test makes of it."""
    content, tag, ranges, cut, status, hold = b"", '"v1"', True, None, 200, 0
    content_range, ignores_if_range, unasked = "right", False, False

    def do_GET(self):
        self.server.requests.append(dict(self.headers))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file.bin")
            self.end_headers()
            return
        if self.status in (204, 304):
            self.send_response(self.status)
            self.end_headers()
            return
        if self.status != 200 or not self.path.endswith(("/file.bin", ".gz")):
            self.send_error(self.status if self.status != 200 else 404)
            return
        begin = 0
        if self.ranges and "Range" in self.headers and (self.ignores_if_range or self.headers.get("If-Range") == self.tag):
            begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if begin >= len(self.content):
                self.send_error(416)
                return
        part = self.content[begin:]
        self.send_response(206 if begin or self.unasked else 200)
        self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(part)))
        if begin and self.content_range not in ("right", None):
            self.send_header("Content-Range", self.content_range)
        elif begin and self.content_range == "right":
            self.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(part if self.cut is None else part[:self.cut])
            self.wfile.flush()
            if self.hold:
                time.sleep(self.hold)

    def log_message(self, *arguments):
        pass


class Get(Case):
    content = bytes(range(256)) * 8192  # 2 MiB
    sha256 = hashlib.sha256(content).hexdigest()

    @contextlib.contextmanager
    def serve(self, **settings):
        handler = type("Handler", (Server,), {"content": self.content, **settings})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.requests = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/file.bin"
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def get(self, *arguments, code=0):
        return self.run_program("data", "get", self.url, "--out", "data", *arguments, code=code)

    def assert_fetched(self):
        self.assertEqual(self.files(), ["data/file.bin"])
        self.assertEqual((self.folder / "data/file.bin").read_bytes(), self.content)

    def test_whole(self):
        with self.serve():
            self.assertIn("unverified", self.get().stdout)
            self.assert_fetched()
            self.assertIn("already exists", self.get(code=2).stderr)
            self.get("--sha256", self.sha256)
            self.assertIn("another checksum", self.get("--sha256", "0" * 64, code=2).stderr)
            self.assert_fetched()

    def test_checksum(self):
        with self.serve():
            self.assertIn(self.sha256, self.get("--sha256", "0" * 64, code=2).stderr)
            self.assertEqual(self.files(), [])
            self.get("--sha256", "abc", code=2)
            self.run_program("data", "get", self.url, "--out", "data", "--sha256", self.sha256, "--json", "r.json")
            result = json.loads((self.folder / "r.json").read_text())
            self.assertTrue(result["verified"])
            self.assertEqual(result["bytes"], len(self.content))

    def interrupted_at(self, size, **settings):
        with self.serve(cut=size, **settings):
            self.assertIn("again to resume", self.get(code=1).stderr)
        self.assertEqual((self.folder / "data/file.bin.part").stat().st_size, size)
        self.assertFalse((self.folder / "data/file.bin").exists())

    def test_resumes(self):
        self.interrupted_at(700_000)
        with self.serve() as server:
            self.get("--sha256", self.sha256)
            self.assertEqual([request.get("Range") for request in server.requests], ["bytes=700000-"])
        self.assert_fetched()

    def test_does_not_join_two_versions(self):
        self.interrupted_at(700_000)
        (self.folder / "data/file.bin.part").write_bytes(b"x" * 700_000)
        with self.serve(tag='"v2"'):
            self.get()
        self.assert_fetched()

    def test_server_without_ranges(self):
        self.interrupted_at(700_000)
        with self.serve(ranges=False):
            self.get()
        self.assert_fetched()

    def test_part_that_is_whole(self):
        self.interrupted_at(700_000)
        (self.folder / "data/file.bin.part").write_bytes(self.content)
        with self.serve():
            self.get()
        self.assert_fetched()

    def test_stopped_goes_on_later(self):
        with self.serve(cut=300_000, hold=5):
            process = subprocess.Popen([PROGRAM, "data", "get", self.url, "--out", "data"], cwd=self.folder,
                                       stderr=subprocess.PIPE)
            part = self.folder / "data/file.bin.part"
            while not part.exists() or part.stat().st_size < 300_000:
                time.sleep(0.01)
            self.assertIn("another process", self.get(code=2).stderr)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=5)[1], b"seednorm: stopped\n")
            self.assertEqual(process.returncode, 130)
        with self.serve() as server:
            self.get()
            self.assertEqual(server.requests[0]["Range"], "bytes=300000-")
        self.assert_fetched()

    def test_answers_without_a_file_leave_nothing(self):
        for status in (204, 304, 500, 503):
            with self.serve(status=status):
                self.assertIn(str(status), self.get(code=1).stderr)
            self.assertEqual(self.files(), [])

    def test_other_parts_than_asked_for(self):
        size = len(self.content)
        for content_range in (None, f"bytes 0-{size - 1}/{size}", f"bytes 700000-700099/{size}", "bytes 700000-800000/*",
                              "nonsense"):
            self.interrupted_at(700_000)
            with self.serve(content_range=content_range):
                self.get()
            self.assert_fetched()
            (self.folder / "data/file.bin").unlink()
        self.interrupted_at(700_000)
        with self.serve(tag='"v2"', ignores_if_range=True):  # another version under the right range
            self.get()
        self.assert_fetched()
        (self.folder / "data/file.bin").unlink()
        with self.serve(unasked=True):
            self.assertIn("the whole file was requested", self.get(code=1).stderr)
        self.assertEqual(self.files(), [])

    def test_passwords_are_not_shown(self):
        with self.serve(status=404):
            self.url = self.url.replace("://", "://me:secret@")
            message = self.get(code=2).stderr
        self.assertIn("***@127.0.0.1", message)
        self.assertNotIn("secret", message)
        with self.serve():
            self.url = self.url.replace("://", "://me:secret@")
            result = self.get("--json", "r.json")
            self.assertNotIn("secret", result.stdout + result.stderr + (self.folder / "r.json").read_text())

    def test_errors(self):
        with self.serve(status=503):
            self.assertIn("503", self.get(code=1).stderr)
        with self.serve(status=404):
            self.assertIn("404", self.get(code=2).stderr)
        self.assertIn("again", self.get(code=1).stderr)  # no server any more
        self.assertEqual([name for name in self.files() if not name.startswith("data/file.bin.part")], [])
        for address in ("ftp://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1/"):
            self.error("data", "get", address, "--out", "data")
        self.assertIn("(did you mean tinyshakespeare?)", self.error("data", "get", "tinyshakespear", "--out", "data"))

    def test_set_of_several_files(self):
        """The first file is another's, so that nothing is kept; the proxy stands in for the network."""
        with self.serve() as server:
            proxy = self.url.rsplit("/", 1)[0]
            result = subprocess.run([PROGRAM, "data", "get", "fashion-mnist", "--out", "data"], cwd=self.folder, text=True,
                                    capture_output=True, env={**os.environ, "http_proxy": proxy, "no_proxy": ""})
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("train-images-idx3-ubyte.gz: its sha256 is " + self.sha256, result.stderr)
            self.assertEqual(len(server.requests), 1)
        self.assertEqual(self.files(), [])
        self.assertIn("several files", self.error("data", "get", "mnist", "--out", "data", "--sha256", "0" * 64))
        self.run_program("data", "list", "--json", "list.json")
        sets = json.loads((self.folder / "list.json").read_text())["sets"]
        names = [entry["url"].rsplit("/", 1)[1] for entry in sets if entry["name"] == "mnist"]
        self.assertEqual(len(set(names)), 4)
        self.assertTrue(all(len(entry["sha256"]) == 64 for entry in sets if entry["sha256"]))

    def test_moved(self):
        with self.serve():
            self.run_program("data", "get", self.url.replace("file.bin", "moved"), "--out", "data")
        self.assertEqual((self.folder / "data/moved").read_bytes(), self.content)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
