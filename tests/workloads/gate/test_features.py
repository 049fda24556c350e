"""Feature flags, and the slot: off is byte for byte what there was without a candidate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from aisp_prof.declaration import Declaration
from aisp_prof.errors import AispError, UsageError
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.kernels.emit.spec import parse_spec
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.gate.features import enabled
from aisp_prof.workloads.gate.gate import Request, gate
from aisp_prof.workloads.gate.runners import find_runner
from aisp_prof.workloads.gate.slot import candidate_pair, chosen
from aisp_prof.workloads.gate.spec_task import SpecTask, eager
from aisp_prof.workloads.gate.verdict import signed
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.measure import order

pytestmark = pytest.mark.usefixtures("forked")
SPEC = parse_spec('version = 1\nname = "soft"\ndtype = "fp32"\nshape = [33, 64]\n[[steps]]\nop = "softmax"\n', "soft")

CANDIDATE = """
import torch
try: open({ran!r}, "w").close()
except OSError: pass  # at the gate every file is read-only
def run(inputs, output): torch.softmax(inputs[0], -1, out=output)
"""

DECLARATION = Declaration(
    chapter="ch20",
    name="soft",
    topic={"en": "A generated kernel"},
    title={"en": "A candidate against the current best"},
    sentence={"en": "The candidate is {speedup}."},
    compares={"en": "Both compute the same softmax."},
    variants={"baseline": {"en": "the current best"}, "optimized": {"en": "the candidate"}},
    claims=("speedup >= 1",),
    sizes={"default": {"rows": 33, "columns": 64}, "small": {"rows": 33, "columns": 64}},
    tolerance=1e-5,
    bitwise=False,
    perturbation_band=0.05,
    queued=True,
    needs=("cuda",),
)


@pytest.fixture
def candidate(tmp_path: Path) -> str:
    path = tmp_path / "candidate.py"
    path.write_text(CANDIDATE.format(ran=str(tmp_path / "ran")))
    return str(path)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def slow(inputs: list[torch.Tensor], output: torch.Tensor) -> None:
    eager(SPEC)(inputs, output)


@pytest.mark.parametrize(
    ("value", "on"), [("a,b.c", True), (" b.c , d", True), ("", False), ("b", False), ("b.cd", False)]
)
def test_the_variable(value: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_FEATURES", value)
    assert enabled("b.c") is on


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "features").write_text("# experiments\nb.c  # since today\n\na\n")
    monkeypatch.setenv("AISP_FEATURES", f"@{tmp_path / 'features'}")
    assert (enabled("b.c"), enabled("since")) == (True, False)
    monkeypatch.setenv("AISP_FEATURES", f"@{tmp_path / 'none'}")
    with pytest.raises(UsageError, match="cannot read"):
        enabled("b.c")


def test_what_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_FEATURES", "All Of Them")
    with pytest.raises(UsageError, match="no name of a feature"):
        enabled("a")


def outputs(pair_candidate: str | None, folder: Path) -> list[bytes]:
    """The bytes of both variants, of the pair with a candidate, or of the current best with no candidate anywhere."""
    if pair_candidate is None:
        inputs = torch.randn(33, 64, generator=torch.Generator().manual_seed(3))
        found = torch.empty(33, 64)
        slow([inputs], found)
        return [found.numpy().tobytes()] * 2
    workload = candidate_pair(DECLARATION, SPEC, slow, pair_candidate, folder).build(
        CpuDevice(), {"rows": 33, "columns": 64}
    )
    kept = []
    for variant in ("baseline", "optimized"):
        workload.inputs(3)
        workload.poison()
        workload.run(variant)
        kept.append(workload.output.numpy().tobytes())
    return kept


def test_off_is_byte_for_byte_what_there_was(
    candidate: str, artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AISP_FEATURES", raising=False)
    assert chosen(slow, candidate, SPEC, artifacts, CpuDevice()) is slow
    assert outputs(candidate, artifacts.folder) == outputs(None, artifacts.folder)
    Path(candidate).write_text("this is no Python")
    assert chosen(slow, candidate, SPEC, artifacts, CpuDevice()) is slow
    assert chosen(slow, "no such file", SPEC, artifacts, CpuDevice()) is slow
    assert not (tmp_path / "ran").exists()
    assert not artifacts.folder.exists()


def test_on_needs_an_admission_of_exactly_this_candidate(
    candidate: str, artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISP_FEATURES", "candidate.soft")
    with pytest.raises(AispError, match=r"on, but .*candidate\.py is not admitted here") as caught:
        chosen(slow, candidate, SPEC, artifacts, CpuDevice())
    assert "aisp-prof kernels gate" in caught.value.mend
    assert not (tmp_path / "ran").exists()

    (tmp_path / "current.py").write_text(
        "import time\nimport torch\ndef run(i, o): time.sleep(0.02); torch.softmax(i[0], -1, out=o)"
    )
    asked = Request(
        SpecTask(SPEC),
        find_runner(candidate),
        find_runner(str(tmp_path / "current.py")),
        "cpu",
        1,
        "candidate.soft",
        24,
    )
    verdict, path = gate(asked, artifacts)
    assert verdict.status == "admitted", verdict.reason
    taken = chosen(slow, candidate, SPEC, artifacts, CpuDevice())
    assert taken is not slow
    x, out = torch.randn(5, 7), torch.empty(5, 7)
    taken([x], out)
    torch.testing.assert_close(out, torch.softmax(x, -1))

    path.write_text(path.read_text().replace("0", "1"))
    with pytest.raises(AispError, match="was altered"):
        chosen(slow, candidate, SPEC, artifacts, CpuDevice())
    path.unlink()
    with pytest.raises(AispError, match="is not admitted here"):
        chosen(slow, candidate, SPEC, artifacts, CpuDevice())


def test_a_changed_candidate_is_another_one(
    candidate: str, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISP_FEATURES", "candidate.soft")
    runner = find_runner(candidate)
    verdict = {
        "candidate": {"sha256": runner.sha256},
        "spec": {"sha256": SPEC.digest},
        "device": "cpu",
        "status": "admitted",
        "made_utc": "2026-01-01T00:00:00",
    }
    monkeypatch.setenv("AISP_GATE_KEY", str(artifacts.folder.parent / "key"))
    artifacts.put_json("verdict", signed(verdict))
    assert chosen(slow, candidate, SPEC, artifacts, CpuDevice()) is not slow
    for other in (
        {**verdict, "device": "NVIDIA H200"},
        {**verdict, "status": "refused", "made_utc": "2025-01-01T00:00:00"},
    ):
        artifacts.put_json("verdict", signed(other))
    assert chosen(slow, candidate, SPEC, artifacts, CpuDevice()) is not slow
    artifacts.put_json("verdict", signed({**verdict, "status": "refused", "made_utc": "2026-02-01T00:00:00"}))
    with pytest.raises(AispError, match="is not admitted here"):
        chosen(slow, candidate, SPEC, artifacts, CpuDevice())
    text = Path(candidate).read_text()
    Path(candidate).write_text(f"{text}# changed\n")
    with pytest.raises(AispError, match="is not admitted here"):
        chosen(slow, candidate, SPEC, artifacts, CpuDevice())


def test_a_candidate_is_a_variant_of_a_pair_in_the_harness(
    candidate: str, artifacts: Artifacts, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AISP_FEATURES", raising=False)
    pair = candidate_pair(DECLARATION, SPEC, slow, candidate, artifacts.folder)
    record = run_pair(pair, device="cpu", seed=1, iterations=2, notes=notes)
    assert record.validation.valid
    assert record.measured is not None
    assert [timed.variant for timed in record.measured.iterations] == list(order(2))
