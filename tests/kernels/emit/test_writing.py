"""Emitting into artifacts: by content, reproducibly; by the templates, and by a model behind a local server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.errors import AispError, UsageError
from aisp_prof.kernels.driver import launch
from aisp_prof.kernels.emit.artifacts import Artifacts, digest
from aisp_prof.kernels.emit.candidate import read_candidate
from aisp_prof.kernels.emit.cuda import header, write
from aisp_prof.kernels.emit.endpoint import CODE_BYTES, Endpoint, take_code
from aisp_prof.kernels.emit.header import Header
from aisp_prof.kernels.emit.spec import read_spec
from aisp_prof.kernels.emit.writing import copy_to, emit

CODE = '#include <cstdint>\nextern "C" __global__ void aisp_l2norm() {}\n'
ANSWER = f"Here it is:\n```cuda\n{CODE}```\nGood luck."


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def test_the_same_spec_gives_the_same_files(artifacts: Artifacts, tmp_path: Path) -> None:
    first, second = (emit(read_spec("l2norm"), Artifacts(tmp_path / name)) for name in ("a", "b"))
    for one, other in ((first.kernel, second.kernel), (first.log, second.log)):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()
    assert first.kernel.read_text() == write(read_spec("l2norm"))
    assert first.kernel.name == f"kernel-{digest(first.kernel.read_bytes())}.cu"
    log = json.loads(first.log.read_text())
    assert (log["kernel_sha256"], log["spec_sha256"]) == (first.sha256, read_spec("l2norm").digest)
    assert log["writer"]["kind"] == "templates"


def test_a_copy_is_the_same_bytes_and_can_be_loaded(artifacts: Artifacts, tmp_path: Path) -> None:
    spec = read_spec("l2norm")
    done = emit(spec, artifacts)
    copy_to(done, tmp_path / "test.cu")
    assert (tmp_path / "test.cu").read_bytes() == done.kernel.read_bytes()
    assert read_candidate(tmp_path / "test.cu", spec).header.entry == "aisp_l2norm"
    with pytest.raises(UsageError, match="was written for another spec"):
        read_candidate(tmp_path / "test.cu", read_spec("row_energy"))
    with pytest.raises(UsageError, match="cannot write"):
        copy_to(done, tmp_path / "none" / "test.cu")


@pytest.mark.parametrize(
    ("name", "shape", "grid", "sizes"),
    [("l2norm", (5, 4096), 5, [5, 4096]), ("residual_silu", (1, 5000), 3, [5000])],
)
def test_how_a_candidate_is_launched(
    name: str, shape: tuple[int, int], grid: int, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, launched = read_spec(name), []

    class Kernel:
        def launch(self, *arguments: Any) -> None:
            launched.append(arguments)

    monkeypatch.setattr(launch, "kernel", lambda source, entry: launched.append((source, entry)) or Kernel())
    source = tmp_path / "test.cu"
    source.write_text(write(spec))
    inputs = [torch.zeros(spec.input_shape(one.layout, shape)) for one in spec.inputs]
    output = torch.zeros(shape)
    read_candidate(source, spec).run(inputs, output)
    ((found, entry), (blocks, threads, arguments)) = launched
    assert (found, entry, blocks, threads) == (source, spec.entry, grid, header(spec).block)
    assert [value for value, _ in arguments] == [*(one.data_ptr() for one in inputs), output.data_ptr(), *sizes]


def test_an_altered_file_is_noticed(artifacts: Artifacts) -> None:
    path = artifacts.put("kernel", "cu", b"one")
    assert artifacts.put("kernel", "cu", b"one") == path
    path.write_bytes(b"two")
    for again in (lambda: artifacts.put("kernel", "cu", b"one"), lambda: artifacts.get(path)):
        with pytest.raises(AispError, match="was altered"):
            again()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        Artifacts(tmp_path / "file").put("log", "json", b"{}")


@pytest.mark.parametrize(
    "line",
    [
        "__global__ void k() {}",
        "// aisp-prof candidate v2 {}",
        "// aisp-prof candidate v1 {}",
        "// aisp-prof candidate v1 {not json}",
        '// aisp-prof candidate v1 {"spec": "x", "entry": "k", "block": 32, "per_block": 1, "arguments": []}',
        Header("0" * 64, "k", 4096, 1, ()).line(),
        Header("0" * 64, "k; --", 32, 1, ()).line(),
    ],
)
def test_headers_that_are_none(line: str) -> None:
    with pytest.raises(UsageError, match="header"):
        Header.read(f"{line}\n", "one.cu")


class Server:
    """An OpenAI-compatible server on this machine that says `answer` and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.body: bytes = json.dumps({"choices": [{"message": {"content": ANSWER}}]}).encode()
        self.status, self.headers, self.drip, self.dripped = 200, {}, 0.0, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append((self.path, dict(self.headers), data))
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                server._send(self.wfile)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def say(self, text: str) -> None:
        self.body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()

    def _send(self, file: Any) -> None:
        try:
            if not self.drip:
                file.write(self.body)
            for byte in self.body if self.drip else b"":
                file.write(bytes([byte]))
                file.flush()
                self.dripped += 1
                time.sleep(self.drip)
        except (BrokenPipeError, ConnectionResetError):
            return  # the client had enough


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("AISP_MODEL_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.http.shutdown()
    thread.join()
    found.http.server_close()


def test_a_model_writes_a_candidate(server: Server, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_MODEL_KEY", "very-secret")
    spec = read_spec("l2norm")
    done = emit(spec, artifacts, Endpoint(server.url, "some-model", 5))
    ((path, headers, data),) = server.asked
    assert (path, headers["Authorization"], data["model"]) == (
        "/v1/chat/completions",
        "Bearer very-secret",
        "some-model",
    )
    assert "aisp_l2norm" in data["messages"][0]["content"]
    head, _, rest = done.kernel.read_text().partition("\n")
    assert rest == CODE
    assert Header.read(head, "one") == Header(spec.digest, "aisp_l2norm", 256, 1, spec.arguments)
    log = done.log.read_text()
    assert json.loads(log)["writer"]["answer"] == ANSWER
    assert not any("very-secret" in one.read_text() for one in artifacts.folder.iterdir())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("no code", "holds 0 fenced code blocks"),
        (f"{ANSWER}\n{ANSWER}", "holds 2 fenced code blocks"),
        ("```\nint x;\n", "holds 0 fenced code blocks"),
        (f"```\n{'x' * CODE_BYTES}\n```", "longer than"),
        ('```\n#include "/etc/passwd"\n```', "it includes"),
        ("```\n#include </etc/passwd>\n```", "it includes"),
        ("```\n#include <cstdint> x\n```", "it includes"),
        ('```\n#inc\\\nlude "/etc/passwd"\n```', "it includes"),
        ('```\n#/**/include "/etc/passwd"\n```', "it includes"),
        ('```\n%: include "/etc/passwd"\n```', "it includes"),
        ("```\n#include NAME\n```", "it includes"),
        ('```\nchar a[] = "/*";\n#include "/etc/passwd"\nchar b[] = "*/";\n```', "it includes"),
        ('```\nasm(".incbin \\"/etc/passwd\\"");\n```', "it uses .incbin"),
        (f"```\n// aisp-prof candidate v1 {{}}\n{CODE}```", "a header of its own"),
    ],
)
def test_what_is_not_taken_of_an_answer(said: str, reason: str, server: Server, artifacts: Artifacts) -> None:
    server.say(said)
    assert take_code(said)[0] is None
    with pytest.raises(AispError, match=reason):
        emit(read_spec("l2norm"), artifacts, Endpoint(server.url, "m", 5))
    (log,) = artifacts.folder.iterdir()
    assert json.loads(log.read_text())["writer"]["answer"] == said
    assert reason in json.loads(log.read_text())["refused"]


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"{}",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer(body: bytes, server: Server, artifacts: Artifacts) -> None:
    server.body = body
    with pytest.raises(AispError, match=r"does not answer as|answers without text"):
        emit(read_spec("l2norm"), artifacts, Endpoint(server.url, "m", 5))
    assert not artifacts.folder.exists()


def test_too_much_too_slow_an_error_and_elsewhere(
    server: Server, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(match: str, timeout_s: float = 5) -> None:
        with pytest.raises(AispError, match=match):
            emit(read_spec("l2norm"), artifacts, Endpoint(server.url, "m", timeout_s))

    server.body = b" " * (1 << 21)
    refused("more than")
    server.body, server.drip = b" " * 1000, 0.05
    refused("does not answer: timed out", 0.5)
    assert server.dripped < 100  # ten at most on an idle machine; a limit a byte would wait for all thousand
    server.drip, server.status = 0.0, 500
    refused("answers 500")
    monkeypatch.setenv("AISP_MODEL_KEY", "very-secret")
    server.status, server.headers = 302, {"Location": f"{server.url}/elsewhere"}
    before = len(server.asked)
    refused("answers 302")
    assert len(server.asked) == before + 1
    server.http.server_close()


def test_nobody_listens(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(AispError, match="does not answer"):
        emit(read_spec("l2norm"), artifacts, Endpoint("http://127.0.0.1:9/v1", "m", 2))


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/v1", "http://", "http://me:key@host/v1", "http://h/v1?key=1"]
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Endpoint(url, "m", 5)


def test_a_key_does_not_travel_unencrypted(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_MODEL_KEY", "very-secret")
    with pytest.raises(UsageError, match="unencrypted"):
        emit(read_spec("l2norm"), artifacts, Endpoint("http://203.0.113.1/v1", "m", 1))
