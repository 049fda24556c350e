"""Claims in words: every metric, operation, comparison and quantifier of the language, and every claim that ships."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import product

import pytest
from aisp_prof.profiler.analysis.metrics import METRICS
from aisp_prof.profiler.analysis.overlap import SELECTORS
from aisp_prof.profiler.judging.language import COMPARISONS, Claim, parse
from aisp_prof.profiler.judging.limits import CEILINGS, OF_PAIR
from aisp_prof.profiler.judging.rate_metrics import RATE_METRICS
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.reports.catalog import LANGUAGES, Catalog, catalog
from aisp_prof.reports.claim_words import in_words, read, terms_explained
from aisp_prof.reports.units import exactly

VARIANTS = ("baseline", "step", "optimized")
SCALES = {"%": "0.01", "×": "1", "ns": "1", "µs": "1e3", "ms": "1e6", "s": "1e9", "": "1"} | {
    f"{prefix}{unit}": power
    for unit in ("FLOP/B", "FLOP/s", "FLOP", "B/s", "B")
    for prefix, power in {"P": "1e15", "T": "1e12", "G": "1e9", "M": "1e6", "k": "1e3", "": "1"}.items()
}
NUMBERS = {"ns": "20us", "B/s": "45 GB/s", "B": "4.38 GB", "FLOP/s": "700 TFLOP/s", "FLOP": "1.099511627776 TFLOP"}


def read_back(text: str) -> Decimal:
    """A number in words as one in its base unit, by a table that the code does not know."""
    found = re.fullmatch(r"(?P<number>[−\d,.]+)\u00a0?(?P<unit>\D*)", text)
    assert found is not None, text
    return Decimal(found["number"].replace(",", "").replace("−", "-")) * Decimal(SCALES[found["unit"]])


def numbers_in(words: str) -> list[Decimal]:
    pattern = r"(?<![\w.])[\d,]*\d(?:\.\d+)?(?:%|×|\u00a0(?:[PTGMk]?(?:FLOP(?:/[Bs])?|B(?:/s)?)|[nµm]?s)(?![\w/]))?"
    return [read_back(one) for one in re.findall(pattern, words)]


def every_metric() -> Iterator[str]:
    """Each metric with each number of arguments it takes, and each class of operations once in each place."""
    selectors = [*SELECTORS, "stream:7", "kernel:*gemm*"]
    for name, metric in METRICS.items():
        if metric.globs:
            yield f"{name}({', '.join(['cuMemAlloc', 'kv_*'][: metric.arguments[0]])})"
            continue
        for count in metric.arguments:
            if count == 0:
                yield name
            for one in selectors if count else ():
                other = "d2h" if one != "d2h" else "h2d"
                if one == "migration" and name not in ("count", "sum", "busy", "rate"):
                    continue
                yield f"{name}({', '.join([one, other][:count])})"
    yield from (*RATE_METRICS, "time", "of_floor")


@cache
def every_claim() -> list[Claim]:
    asked = list(product(every_metric(), COMPARISONS))
    units = {metric: parse(f"step.{metric} < baseline.{metric}", VARIANTS).left.unit for metric, _ in asked}
    plain = [f"step.{metric} {comparison} {NUMBERS.get(units[metric], '0.5')}" for metric, comparison in asked]
    idle = ["idle <= 20us", "hidden(h2d, d2h) >= 0.7", "kernels == 7"]
    plain += [f"step.{metric} == baseline.{metric}" for metric in dict.fromkeys(metric for metric, _ in asked)]
    quantified = [
        f"{quantifier} step.{rest}"
        for rest in idle
        for quantifier in ("every", "any", "median", "95% of iterations:", "12.5% of iterations:")
    ]
    ceilings = [
        f"step.{'rate(h2d)' if unit == 'B/s' else 'achieved_flops'} >= 0.9 * ceiling({name})"
        for name, unit in CEILINGS.items()
    ]
    others = [
        "step.idle <= baseline.idle", "step.idle <= 0.5 * baseline.idle", "step.idle <= busy(h2d)", "step.idle <= 2 * busy(h2d)",
        "step.time <= 1.15 * floor", "step.time <= optimized.floor", "speedup >= 1.2", "speedup(step, baseline) >= 1.2",
        "speedup(baseline, step) >= 1.2", "speedup >= 0.9 * bound", "speedup(step, optimized) >= bound",
        "speedup > speedup(baseline, step)", "step.achieved_flops >= ceiling(bf16)",
    ]  # fmt: skip
    return [parse(text, VARIANTS) for text in (*plain, *quantified, *ceilings, *others)]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_two_claims_of_the_grammar_read_the_same(lang: str) -> None:
    """So that nothing of a claim is lost in its words; `hidden(copy)` is `hidden(copy, compute)`, and not written twice here."""
    claims = every_claim()
    words = {}
    for claim in claims:
        meant = (claim.left, claim.comparison, claim.right, claim.quantifier, claim.factor, claim.share)
        words.setdefault(in_words(claim, catalog(lang)), set()).add(str(meant))
    assert {line: meant for line, meant in words.items() if len(meant) > 1 and not _one_metric(meant)} == {}
    assert len(words) > 600
    assert not [line for line in words if "{" in line or "words." in line]


def _one_metric(meant: set[str]) -> bool:
    """Whether they differ by the default of an argument alone."""
    return len({re.sub(r"\((\w+|\w+:[^,)]+)\)", r"(\1, compute)", one) for one in meant}) == 1


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_number_in_the_words_is_the_one_claimed(lang: str) -> None:
    for claim in every_claim():
        bound = claim.factor if claim.factor is not None else claim.right
        if isinstance(bound, float):
            assert float(bound) in [
                pytest.approx(float(one), rel=1e-14) for one in numbers_in(in_words(claim, catalog(lang)))
            ]


def test_the_units_cover_all_that_can_be_measured() -> None:
    units = {metric.unit for metric in METRICS.values()} | {metric.unit for metric in RATE_METRICS.values()}
    for unit in units | set(OF_PAIR.values()) | set(CEILINGS.values()) | {"x"}:
        for value in (0.0, 0.00005, 0.005, 0.1, 1.0, 1.005, 17.0, 999.5, 20_000.0, 4.38e9, 1.099511627776e12):
            assert float(read_back(exactly(value, unit))) == pytest.approx(value, rel=1e-14)


def shipped_claims() -> dict[str, Manifest]:
    """Each text of a claim in the shipped captures, with a manifest that holds it."""
    folders = sorted(shipped_store().folder.iterdir())
    manifests = [Manifest.from_json(json.loads((one / "manifest.json").read_text())) for one in folders if one.is_dir()]
    return {text: manifest for manifest in manifests for text in manifest.declaration.claims}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_shipped_claim_has_words_that_name_its_variants_and_its_number(lang: str) -> None:
    say, shipped = catalog(lang), shipped_claims()
    assert len(shipped) > 250
    for text, manifest in shipped.items():
        claim = parse(text, manifest.declaration.names)
        words = in_words(claim, say)
        assert all(say.get(f"variant.{name}", name) in words for name in claim.names), words
        if isinstance(claim.right, float):
            assert claim.right in [pytest.approx(float(one), rel=1e-14) for one in numbers_in(words)], words


@pytest.mark.parametrize(
    ("text", "en", "ko"),
    [
        ("optimized.hidden(h2d, d2h) >= 0.80", "optimized: at least 80% of the time of copies in is hidden by copies out",
         "최적화: 입력 복사 시간의 80% 이상 부분이 출력 복사에 가려짐"),
        ("speedup(step, optimized) >= 0.97", "optimized is at least 0.97× as fast as step", "step 대비 최적화의 속도: 0.97× 이상"),
        ("step.kernels == baseline.kernels", "step, kernels in an iteration: exactly that of baseline",
         "step, 반복당 커널 수: 정확히 기준의 값"),
        ("median step.idle <= 0.5 * baseline.idle", "step, idle time: at most 0.5\u00a0× that of baseline, in the median",
         "step, 유휴 시간: 기준의 값의 0.5배 이하 (중앙값으로)"),
        ("95% of iterations: step.gap_max < 3us", "step, longest gap: less than 3\u00a0µs, in 95% of iterations",
         "step, 가장 긴 빈 구간: 3\u00a0µs 미만 (반복의 95%에서)"),
        ("step.dram_rate >= 0.88 * ceiling(copy)",
         "step, DRAM bandwidth reached: at least 0.88\u00a0× the ceiling measured for copying device memory",
         "step, 달성한 DRAM 대역폭: 디바이스 메모리 복사 측정 상한의 0.88배 이상"),
    ],
)  # fmt: skip
def test_how_claims_read(text: str, en: str, ko: str) -> None:
    claim = parse(text, VARIANTS)
    assert (in_words(claim, catalog("en")), in_words(claim, catalog("ko"))) == (en, ko)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_terms_are_explained_once_each(lang: str) -> None:
    explained = terms_explained(every_claim(), catalog(lang))
    assert len(explained) == len(set(explained))
    assert {*METRICS, *RATE_METRICS, *OF_PAIR, "ceiling", "speedup"} <= {name for name, _ in explained}
    assert all(means.endswith(".") for _, means in explained)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_word_of_claims_is_used(lang: str) -> None:
    used = set[str]()

    class Read(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            used.add(key)
            return super().__getitem__(key)

    words = Read(catalog(lang).words)
    say = Catalog(lang, words)
    claims = [*every_claim(), *(parse(f"step.kernels == {number}", VARIANTS) for number in (1, 2))]
    assert [in_words(claim, say) for claim in claims]
    assert terms_explained(claims, say)
    assert {key for key in words if key.startswith("words.")} - used == set()


def test_what_is_no_claim_of_this_language_has_no_words() -> None:
    assert read("<script>alert(1)</script>", VARIANTS) is None
    assert read("newer.metric ~= 7", VARIANTS) is None
    assert read("step.idle <= 20us", VARIANTS) == parse("step.idle <= 20us", VARIANTS)
