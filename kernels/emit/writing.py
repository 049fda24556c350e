"""Emits a candidate for a spec, from the templates or by a language model, and keeps what was written and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...machine.files import output_file
from . import cuda, plan
from .artifacts import Artifacts, digest
from .endpoint import Endpoint, ask, model_header, prompt
from .spec import VERSION, Spec

TEMPLATES = 1
"""Version of the templates: it changes whenever they produce other bytes for any spec."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """Where a candidate and its log lie among the artifacts; `sha256` is the source's."""

    kernel: Path
    log: Path
    sha256: str


def emit(spec: Spec, artifacts: Artifacts, endpoint: Endpoint | None = None) -> Emitted:
    """Write the candidate and its log. The templates make the same bytes for the same spec; a model need not.

    Raises:
        AispError: the endpoint does not answer, or its answer is not one block of code; that is logged too.
        UsageError: the artifacts cannot be written.
    """
    log: dict[str, Any] = {"schema": 1, "spec": asdict(spec), "spec_sha256": spec.digest, "language": VERSION}
    if endpoint is None:
        source = cuda.write(spec)
        log["writer"] = {"kind": "templates", "version": TEMPLATES, "plan": asdict(plan.plan(spec))}
    else:
        answer = ask(endpoint, prompt(spec))
        log["writer"] = {"kind": "model", **answer.record}
        if answer.code is None:
            artifacts.put_json("log", {**log, "refused": answer.refusal})
            raise answer.error()
        source = f"{model_header(spec).line()}\n{answer.code}"
    data = source.encode()
    kernel = artifacts.put("kernel", "cu", data)
    return Emitted(kernel, artifacts.put_json("log", {**log, "kernel_sha256": digest(data)}), digest(data))


def copy_to(emitted: Emitted, out: Path) -> None:
    """Put the candidate's bytes where the user wants them.

    Raises:
        UsageError: they cannot be written there.
    """
    try:
        with output_file(out) as file:
            file.write(emitted.kernel.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}", "name a file in a writable folder") from error
