"""A whole piece of evidence with the numbers of an H200: one stream against four, twenty iterations each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aisp_prof.declaration import Declaration
from aisp_prof.profiler.evidence import (
    ClaimResult,
    Completeness,
    Evidence,
    Finding,
    GainTerm,
    Iteration,
    LedgerLine,
    Op,
    Speedup,
    VariantEvidence,
    Verdict,
    Witness,
)
from aisp_prof.profiler.manifest import Manifest

CHUNKS = 16
BYTES = 16 << 20
H2D, KERNEL, D2H = 304_000, 170_000, 305_000
KERNEL_NAME = "void wave_kernel<float, 16>(float const*, float*, unsigned long)"
MEMCPY, KERNELS = "CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_KERNEL"

DECLARATION = Declaration(
    chapter="ch11",
    name="streams",
    topic={"en": "Streams and overlap", "ko": "스트림과 겹침"},
    title={"en": "One stream against four", "ko": "스트림 하나와 네 개"},
    sentence={
        "en": "Four streams finish the same iteration {speedup} than one.",
        "ko": "스트림 네 개는 같은 반복을 하나보다 {speedup} 끝냅니다.",
    },
    compares={
        "en": "Both move the same 256 MiB in and out in 16 chunks and run the same kernel; only the streams differ.",
        "ko": "두 변형 모두 같은 256 MiB를 16조각으로 넣고 꺼내며 같은 커널을 실행합니다. 스트림만 다릅니다.",
    },
    variants={
        "baseline": {"en": "one stream: copy, compute, copy, in turn", "ko": "스트림 하나: 복사, 계산, 복사를 차례로"},
        "optimized": {
            "en": "four streams: the copies hide behind each other",
            "ko": "스트림 넷: 복사가 서로 겹쳐 숨음",
        },
    },
    claims=(
        "speedup >= 2.1",
        "optimized.hidden(h2d, d2h) >= 0.85",
        "optimized.hidden(compute, copy) >= 0.95",
        "baseline.overlap_ratio <= 0.01",
        "optimized.kernels_per_iteration == baseline.kernels_per_iteration",
    ),
    sizes={"h200": {"bytes": 256 << 20, "chunks": CHUNKS}, "small": {"bytes": 1 << 20, "chunks": 4}},
    tolerance=1e-6,
    bitwise=True,
    perturbation_band=0.05,
    queued=True,
    needs=("cuda",),
)

MANIFEST = Manifest.from_json(
    {
        "schema": 1,
        "id": "ch11.streams-20261120T213045Z-7c1f2a",
        "declaration": DECLARATION.to_json(),
        "created_utc": "2026-11-20T21:30:45.104212Z",
        "hardware_key": "h200",
        "size": "h200",
        "sizes": {"mib": 256, "chunks": CHUNKS, "streams": 4},
        "command": ["aisp-prof", "capture", "ch11"],
        "commit": {"sha": "c5f0489d2b7f4f0a9be31c0a64d8e0f2a9471c35", "dirty": False},
        "gpus": [{"name": "NVIDIA H200", "driver": "580.159.04"}],
        "versions": {
            "aisp_prof": "0.1.0",
            "cuda": "13.0",
            "driver": "580.159.04",
            "nsys": "2025.3.2.0",
            "python": "3.12.3",
            "torch": "2.11.0+cu130",
            "triton": "3.6.0",
            "nvtx": None,
        },
        "conditions": {
            "before": {"sm_mhz": 1980, "temperature_c": 31, "power_w": 118.4},
            "during": [
                {"utc_ns": 1_795_210_200_000_000_000, "sm_mhz": 1980, "temperature_c": 33, "power_w": 151.0},
                {"utc_ns": 1_795_210_200_100_000_000, "sm_mhz": 1965, "temperature_c": 34, "power_w": 163.9},
            ],
            "after": {"sm_mhz": 1980, "temperature_c": 33, "power_w": 121.7},
        },
        "runs": {},
        "files": {
            "trace.sqlite": {
                "sha256": "2cf1c0843d00f30b44106b0c9e1a7d52b3f8846ac0de19f7725b3c4d6e8f9a01",
                "bytes": 1_482_752,
            },
            "events.json": {
                "sha256": "9b0e5f1c7a3d2846e1f09c8b7a6d5e4f3c2b1a0998877665544332211f0e0d0c",
                "bytes": 3_181,
            },
        },
    }
)


LEDGER = {
    "kernels": 672,
    "kernels_one_by_one": 672,
    "kernels_in_graphs": 0,
    "kernels_unmatched": 0,
    "copies": 1_344,
    "copies_one_by_one": 1_344,
    "copies_in_graphs": 0,
    "copies_unmatched": 0,
    "memsets": 1,
    "memsets_one_by_one": 1,
    "memsets_in_graphs": 0,
    "memsets_unmatched": 0,
    "kernel_launch_calls": 672,
    "graph_launch_calls": 0,
    "graphs_untraced": 0,
    "captured_calls": 0,
    "failed_calls": 0,
    "unmatched_calls": 0,
    "syncs": 84,
}


def op(kind: str, row: int, stream: int, start: int, length: int, name: str = "") -> Op:
    table = KERNELS if kind == "compute" else MEMCPY
    size = None if kind == "compute" else BYTES
    return Op(
        table, row, name or (KERNEL_NAME if kind == "compute" else kind), kind, 0, stream, start, start + length, size
    )


def serial(origin: int) -> tuple[Op, ...]:
    ops: list[Op] = []
    at = origin
    for chunk in range(CHUNKS):
        for kind, length in (("h2d", H2D), ("compute", KERNEL), ("d2h", D2H)):
            ops.append(op(kind, 3 * chunk + len(kind) % 3 + 1, 7, at, length))
            at += length + (12_500 if kind == "d2h" else 0)
    return tuple(ops)


def overlapped(origin: int) -> tuple[Op, ...]:
    """Four streams; each copy engine takes one copy at a time, both directions run together, a little slower."""
    ops: list[Op] = []
    in_free = out_free = origin
    for chunk in range(CHUNKS):
        stream = (13, 17, 25, 21)[chunk % 4]
        copied = in_free + 328_000
        computed = copied + 4_000 + KERNEL
        out_start = max(computed + 3_000, out_free)
        ops.append(op("h2d", 100 + chunk, stream, in_free, 328_000))
        ops.append(op("compute", 200 + chunk, stream, copied + 4_000, KERNEL))
        ops.append(op("d2h", 300 + chunk, stream, out_start, 330_000))
        in_free, out_free = copied + 2_000, out_start + 331_000
    return tuple(sorted(ops, key=lambda one: one.start))


def iteration(index: int, start: int, length: int, numbers: Mapping[str, int | float]) -> Iteration:
    return Iteration(index, start, start + length, length + 41_000, numbers)


def variant(
    name: str, ops: tuple[Op, ...], numbers: Mapping[str, int | float], witnesses: tuple[Witness, ...]
) -> VariantEvidence:
    length = max(one.end for one in ops) - ops[0].start
    wobble = (0, 9, -7, 14, -12, 4, 21, -3, 8, -16, 2, 11, -9, 30, -5, 6, -1, 17, -11, 3)
    iterations = tuple(
        iteration(index, ops[0].start, length + wobble[index] * 1_300, numbers) for index in range(len(wobble))
    )
    untraced = tuple(length - 31_000 + step * 1_100 for step in wobble)
    return VariantEvidence(name, iterations, 0, ops, witnesses, untraced)


def baseline() -> VariantEvidence:
    numbers = {
        "busy(compute)": CHUNKS * KERNEL,
        "busy(h2d)": CHUNKS * H2D,
        "busy(d2h)": CHUNKS * D2H,
        "overlap": 0,
        "hidden(compute, copy)": 0.0,
        "hidden(h2d, d2h)": 0.0,
        "idle": 187_500,
        "rate(h2d)": BYTES / H2D * 1e9,
        "rate(d2h)": BYTES / D2H * 1e9,
        "kernels_per_iteration": CHUNKS,
        "copies_per_iteration": 2 * CHUNKS,
        "launch_calls_per_iteration": CHUNKS,
        "syncs_per_iteration": 1,
    }
    return variant("baseline", serial(1_000_000_000), numbers, ())


def optimized() -> VariantEvidence:
    ops = overlapped(2_000_000_000)
    ins, outs = [one for one in ops if one.kind == "h2d"], [one for one in ops if one.kind == "d2h"]
    pairs = [(a, b, max(a.start, b.start), min(a.end, b.end)) for a in ins for b in outs]
    longest = sorted((pair for pair in pairs if pair[2] < pair[3]), key=lambda pair: pair[2] - pair[3])[:4]
    numbers = {
        "busy(compute)": CHUNKS * KERNEL,
        "busy(h2d)": CHUNKS * 328_000,
        "busy(d2h)": CHUNKS * 330_000,
        "overlap": 4_720_000,
        "hidden(compute, copy)": 0.991,
        "hidden(h2d, d2h)": 0.905,
        "idle": 7_000,
        "rate(h2d)": BYTES / 328_000 * 1e9,
        "rate(d2h)": BYTES / 330_000 * 1e9,
        "kernels_per_iteration": CHUNKS,
        "copies_per_iteration": 2 * CHUNKS,
        "launch_calls_per_iteration": CHUNKS,
        "syncs_per_iteration": 1,
    }
    return variant("optimized", ops, numbers, tuple(Witness(*pair) for pair in longest))


def claim(text: str, unit: str, measured: float | None, threshold: float, **more: Any) -> ClaimResult:
    comparison = next(sign for sign in (">=", "<=", "==") if sign in text)
    fields: dict[str, Any] = {
        "metric": text.split(comparison)[0].strip(),
        "variant": text.partition(".")[0],
        "low": None,
        "high": None,
        "n": 20,
        "values": (),
        "verdict": Verdict.PROVEN,
        "reasons": (),
    }
    return ClaimResult(
        text=text, comparison=comparison, threshold=threshold, unit=unit, measured=measured, **(fields | more)
    )


def claims() -> tuple[ClaimResult, ...]:
    texts = DECLARATION.claims
    return (
        claim(texts[0], "x", 2.1802, 2.1, low=2.176, high=2.185, variant="", n=0),
        claim(texts[1], "ratio", 0.9043, 0.85, values=(0.9043, 0.9071)),
        claim(texts[2], "ratio", 0.9907, 0.95, values=(0.9907, 0.9931)),
        claim(texts[3], "ratio", 0.0, 0.01, values=(0.0, 0.0)),
        claim(texts[4], "count", 16, 16, values=(16, 16)),
    )


def sample() -> Evidence:
    """The proven pair."""
    before, after = baseline(), optimized()
    length = [one.iterations[0].end - one.iterations[0].start for one in (before, after)]
    gain = (("idle", 180_500), ("overlap", 7_366_000), ("compute", 0), ("copy", -784_000))
    total = length[0] - length[1]
    terms = tuple(GainTerm(code, ns) for code, ns in gain)
    residual = total - sum(term.ns for term in terms)
    return Evidence(
        manifest=MANIFEST,
        capture_id=MANIFEST.id,
        shipped=False,
        verdict=Verdict.PROVEN,
        claims=claims(),
        speedup=Speedup(length[0] / length[1], 2.176, 2.185, length[0], length[1], 20, 20, 0.0041, "trace", 20),
        perturbation={"baseline": 1.0025, "optimized": 1.0053},
        gain=(*terms, GainTerm("residual", residual), GainTerm("total", total)),
        ledger=(*(LedgerLine(code, count) for code, count in LEDGER.items()),),
        completeness=Completeness("complete", 6_184, 6_184, ()),
        caveats=(
            Finding("noise_floor", {"percent": 0.41}),
            Finding("clocks_moved", {"low_mhz": 1965, "high_mhz": 1980}),
            Finding("same_engine_bound", {"ms": 5.28}),
        ),
        conditions={"sm_mhz": (1965, 1980), "temperature_c": (33, 34), "power_w": (151.0, 163.9)},
        baseline=before,
        optimized=after,
    )


def judged(verdict: Verdict) -> Evidence:
    """The same pair with another outcome."""
    return {
        Verdict.PROVEN: sample,
        Verdict.REFUTED: _refuted,
        Verdict.UNPROVEN: _unproven,
        Verdict.INVALID: _invalid,
        Verdict.UNSUPPORTED: _unsupported,
    }[verdict]()


def _first_claim(evidence: Evidence, **change: Any) -> tuple[ClaimResult, ...]:
    return (replace(evidence.claims[0], **change), *evidence.claims[1:])


def _refuted() -> Evidence:
    good = sample()
    assert good.speedup is not None
    reasons = (Finding("contradicted", {"measured": 0.836, "threshold": 2.1}),)
    change = {"measured": 0.836, "low": 0.831, "high": 0.842, "verdict": Verdict.REFUTED, "reasons": reasons}
    speedup = replace(
        good.speedup,
        value=0.836,
        low=0.831,
        high=0.842,
        baseline_ns=12_660_000,
        optimized_ns=15_143_000,
        source="events",
    )
    late = variant(
        "optimized", tuple(_slower(one) for one in good.optimized.timeline), good.optimized.iterations[0].numbers, ()
    )
    return replace(
        good, verdict=Verdict.REFUTED, claims=_first_claim(good, **change), speedup=speedup, gain=(), optimized=late
    )


def _slower(one: Op) -> Op:
    origin, stretch = 2_000_000_000, 15_112 / 5_800
    return replace(
        one, start=origin + round((one.start - origin) * stretch), end=origin + round((one.end - origin) * stretch)
    )


def _unproven() -> Evidence:
    good = sample()
    missing = Finding("events_missing", {"stated": 6_184, "found": 5_120}, "range")
    claims = tuple(
        replace(one, verdict=Verdict.UNPROVEN, reasons=(missing,), measured=None, low=None, high=None)
        for one in good.claims
    )
    return replace(
        good,
        verdict=Verdict.UNPROVEN,
        claims=claims,
        speedup=None,
        completeness=Completeness("incomplete", 6_184, 5_120, (missing,)),
    )


def _invalid() -> Evidence:
    good = sample()
    wrong = Finding("outputs_invalid", {"error": 0.0312, "tolerance": 1e-6})
    claims = tuple(
        replace(one, verdict=Verdict.INVALID, reasons=(wrong,), measured=None, low=None, high=None)
        for one in good.claims
    )
    return replace(good, verdict=Verdict.INVALID, speedup=None, claims=claims, caveats=(wrong, *good.caveats))


def _unsupported() -> Evidence:
    good = sample()
    empty = VariantEvidence("baseline", (), None, (), (), ())
    lacking = Finding("capability_missing", {"capability": "distributed shared memory (cc >= 9.0)"})
    claims = tuple(
        replace(one, measured=None, low=None, high=None, n=0, values=(), verdict=Verdict.UNSUPPORTED)
        for one in good.claims
    )
    return replace(
        good,
        verdict=Verdict.UNSUPPORTED,
        claims=claims,
        speedup=None,
        gain=(),
        ledger=(),
        completeness=Completeness("unattested", None, 0, ()),
        caveats=(lacking,),
        baseline=empty,
        optimized=replace(empty, name="optimized"),
    )
