"""Asks an OpenAI-compatible server to write a candidate; the answer is untrusted text, from which one code block is taken."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...errors import AispError, UsageError
from . import cuda
from .header import MARK, Header
from .spec import Spec

KEY_VARIABLE = "AISP_MODEL_KEY"
"""The environment variable that holds the endpoint's key, if it needs one. It is neither logged nor passed to candidates."""

ANSWER_BYTES = 1 << 20
CODE_BYTES = 64 << 10
THREADS = 256
INCLUDES = frozenset({"cmath", "cstdint", "cuda_bf16.h", "cuda_fp16.h", "math.h", "stdint.h"})
"""Headers that a candidate may include: a source from outside must not name files on this machine."""

_FENCED = re.compile(r"^ {0,3}```[^\n`]*\n(.*?)^ {0,3}```[ \t]*$", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r"^[ \t]*(?:#|%:|\?\?=)[ \t]*(?:include|include_next|import|embed)\b[ \t]*(.*)$", re.MULTILINE)
_FILES = re.compile(r"\.incbin|\.include|__has_include|__has_embed")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and one of its models; `url` is the base, as `http://127.0.0.1:8000/v1`."""

    url: str
    model: str
    timeout_s: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"the endpoint {self.url} is no http or https address", "--endpoint http://127.0.0.1:8000/v1"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UsageError("the endpoint's address holds more than a place", f"a key belongs into ${KEY_VARIABLE}")


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` of the one block, or None and why; `record` is what the log keeps."""

    code: str | None
    refusal: str
    record: dict[str, Any]

    def error(self) -> AispError:
        return AispError(f"the model's answer is not taken: {self.refusal}", "ask again, or use the templates")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the key where the user did not."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def prompt(spec: Spec) -> str:
    """What the model is told: the chain, the signature, the launch, and what the gate checks."""
    header = model_header(spec)
    unit = "elements" if spec.flat else "rows"
    chain = "\n".join(f"- {line}" for line in cuda.describe(spec))
    rows = (
        ""
        if spec.flat
        else "A tensor is row-major [rows, columns]; a column input has `columns` entries, a row input `rows`.\n"
    )
    return (
        f"Write one CUDA C++17 kernel for this chain:\n{chain}\n{rows}"
        f'Signature: extern "C" __global__ void {header.entry}({cuda.signature(spec)})\n'
        f"Launch: ceil({unit} / {header.per_block}) blocks of {header.block} threads; no dynamic shared memory.\n"
        f"Tuned for {spec.shape[0]} x {spec.shape[1]}, right for every size from 1 x 1 on and for pointers of any alignment.\n"
        "NaN and infinities propagate as IEEE arithmetic sends them through the formulas (a maximum keeps a NaN).\n"
        "Write every element of the output and nothing else. Reductions in a fixed order, without atomics.\n"
        f"Include only: {', '.join(sorted(INCLUDES))}. Answer with exactly one fenced code block."
    )


def model_header(spec: Spec) -> Header:
    """The launch that a model must write for: fixed, and never taken from its answer."""
    return Header(spec.digest, spec.entry, THREADS, THREADS * 4 if spec.flat else 1, spec.arguments)


def ask(endpoint: Endpoint, text: str) -> Answer:
    """One request to `/chat/completions`, and the usable part of its answer.

    Raises:
        AispError: the server cannot be reached, or its answer is late, too long or of another form.
    """
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": text}], "temperature": 0, "stream": False}
    said = _content(_post(endpoint, json.dumps(body).encode()), endpoint)
    code, refusal = take_code(said)
    return Answer(code, refusal, {"endpoint": endpoint.url, "model": endpoint.model, "prompt": text, "answer": said})


def take_code(said: str) -> tuple[str | None, str]:
    """The one fenced block of an answer; or None and the reason."""
    blocks = _FENCED.findall(said)
    if len(blocks) != 1:
        return None, f"it holds {len(blocks)} fenced code blocks, not one"
    code = str(blocks[0])
    if len(code.encode()) > CODE_BYTES:
        return None, f"its code is longer than {CODE_BYTES} bytes"
    if MARK in code:
        return None, "its code brings a header of its own"
    joined = re.sub(r"\\[ \t]*\r?\n", "", code)  # a directive may be continued on the next line, or hold a comment
    for what in _INCLUDE.findall(joined) + _INCLUDE.findall(re.sub(r"/\*.*?\*/", " ", joined, flags=re.DOTALL)):
        if not re.fullmatch(r"<([\w./]+)>\s*(//.*)?", what) or what[1 : what.index(">")] not in INCLUDES:
            return None, f"it includes {what.strip()!r}"
    if match := _FILES.search(joined):
        return None, f"it uses {match[0]}"
    return code, ""


def _post(endpoint: Endpoint, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        if urlsplit(endpoint.url).scheme != "https" and not _loopback(endpoint.url):
            raise UsageError(f"${KEY_VARIABLE} would travel unencrypted to {endpoint.url}", "use https")
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{endpoint.url.rstrip('/')}/chat/completions", body, headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=endpoint.timeout_s) as answer:
            data = _read(answer, time.monotonic() + endpoint.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise AispError(
            f"{endpoint.url} answers {error.code}", f"check the address, the model and ${KEY_VARIABLE}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AispError(f"{endpoint.url} does not answer: {error}", "check the address; raise --timeout") from error
    if len(data) > ANSWER_BYTES:
        raise AispError(f"{endpoint.url} answers with more than {ANSWER_BYTES} bytes")
    return data


def _read(answer: Any, deadline: float) -> bytes:
    """Reads at most one byte more than is accepted; the socket's own timeout would restart with every byte that trickles in.

    Raises:
        TimeoutError: the deadline has passed.
    """
    data = b""
    while len(data) <= ANSWER_BYTES and (part := answer.read1(ANSWER_BYTES + 1 - len(data))):
        data += part
        if time.monotonic() > deadline:
            raise TimeoutError("timed out while it was answering")
    return data


def _content(data: bytes, endpoint: Endpoint) -> str:
    try:
        said = json.loads(data)["choices"][0]["message"]["content"]
        str(said).encode()  # JSON may hold half of a surrogate pair, which no file does
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise AispError(f"{endpoint.url} does not answer as an OpenAI-compatible server does") from error
    if not isinstance(said, str):
        raise AispError(f"{endpoint.url} answers without text")
    return said


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
