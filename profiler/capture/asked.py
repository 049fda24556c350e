"""What somebody asks of ranges of his own: which are the baseline and which the optimized variant, and what is claimed of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...declaration import VARIANTS, Declaration, Text
from ...errors import UsageError
from ..manifest import ONE_TRACE, PROGRAM, TWO_TRACES

FASTER = "speedup > 1"
"""What is claimed where somebody names a baseline and an optimized variant, and claims nothing."""
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """The question, apart from any trace.

    ranges   variant -> the name, path or glob of its ranges, the baseline first and the optimized variant last; of several runs
             or programs "" stands for all variants
    claims   in the claim language of docs/metrics.md; without any it is that the optimized variant is faster
    title    of the page; made of the ranges' names where it is empty
    commands of programs: variant -> what is run
    """

    ranges: Mapping[str, str]
    claims: tuple[str, ...] = ()
    title: str = ""
    domain: str | None = None
    attribution: str = "thread"
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def named(self) -> dict[str, str]:
        """The ranges by variant, in order.

        Raises:
            UsageError: the baseline's or the optimized variant's are not named.
        """
        if "" in self.ranges:
            return dict.fromkeys(VARIANTS, self.ranges[""])
        lacking = [name for name in VARIANTS if name not in self.ranges]
        if lacking:
            both = "--range baseline='old step*' --range optimized='new step*'"
            mend = f"as both programs call a step: --range step; or {both}" if self.commands else f"name both: {both}"
            raise UsageError(f"which ranges are the {lacking[0]}?", f"{mend}; aisp-prof trace ranges lists them")
        between = [name for name in self.ranges if name not in VARIANTS]
        return {name: self.ranges[name] for name in (VARIANTS[0], *between, VARIANTS[1])}

    def declaration(self, kind: str, name: str) -> Declaration:
        """The question as a capture of this origin declares it.

        Raises:
            UsageError: as `named`.
        """
        ranges = self.named()
        return Declaration(
            chapter=PROGRAM if kind == PROGRAM else ONE_TRACE,
            name=name,
            topic=_TOPICS[kind],
            title={"en": self.title} if self.title else _title(ranges),
            sentence=_sentence(ranges, kind, _plain(self.title)),
            compares=_COMPARES[ONE_TRACE if kind == PROGRAM and not self.commands else kind],
            variants={variant: self._caption(variant, glob) for variant, glob in ranges.items()},
            claims=self.claims or (FASTER,),
            sizes={"default": {}},
            tolerance=0.0,
            bitwise=False,
            perturbation_band=0.1,
            queued=False,
            needs=(),
            attribution=self.attribution,
        )

    def _caption(self, variant: str, glob: str) -> Text:
        words = shown(self.commands.get(variant, ())) or glob
        return {"en": words, "ko": words}


def shown(command: Sequence[str]) -> str:
    """A command in a page's words: of an absolute path its last part, since the others tell where somebody works."""
    return " ".join(Path(word).name if word.startswith("/") else word for word in command)


def unasked(name: str, command: Sequence[str]) -> Declaration:
    """Of a program that was captured before anybody asked: nothing is claimed, and no range is anybody's yet."""
    words = shown(command)
    return Declaration(
        chapter=PROGRAM,
        name=name,
        topic=_TOPICS[PROGRAM],
        title={"en": words, "ko": words},
        sentence=_sentence({"baseline": words, "optimized": words}, PROGRAM, ""),
        compares=_COMPARES[ONE_TRACE],
        variants={variant: {"en": words, "ko": words} for variant in VARIANTS},
        claims=(),
        sizes={"default": {}},
        tolerance=0.0,
        bitwise=False,
        perturbation_band=0.1,
        queued=False,
        needs=(),
    )


def name_of(text: str) -> str:
    """A plain name made of a title or a file's name: part of paths and keys."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_LONGEST].strip("_")
    return words or "unnamed"


_TOPICS: Mapping[str, Text] = {
    ONE_TRACE: {"en": "ranges of a trace", "ko": "트레이스의 범위"},
    TWO_TRACES: {"en": "two runs", "ko": "두 번의 실행"},
    PROGRAM: {"en": "programs", "ko": "프로그램"},
}
_COMPARES: Mapping[str, Text] = {
    ONE_TRACE: {
        "en": "Two ranges of one trace, as their program ran them; nobody controlled what else differs between them.",
        "ko": "한 트레이스의 두 범위를 프로그램이 실행한 그대로 비교합니다. 그 밖의 차이는 통제하지 않았습니다.",
    },
    TWO_TRACES: {
        "en": "The same range in two runs, each traced by itself; nobody controlled what else differs between them.",
        "ko": "따로 트레이스한 두 실행의 같은 범위를 비교합니다. 그 밖의 차이는 통제하지 않았습니다.",
    },
    PROGRAM: {
        "en": "The same range in two programs, run in turn on one machine.",
        "ko": "한 기기에서 번갈아 실행한 두 프로그램의 같은 범위를 비교합니다.",
    },
}


def _plain(text: str) -> str:
    """Without braces, which a sentence has around the place of the speedup."""
    return text.replace("{", "(").replace("}", ")")


def _sentence(ranges: Mapping[str, str], kind: str, title: str) -> Text:
    """With a place for the speedup."""
    if title:
        return {"en": f"{title}: {{speedup}}.", "ko": f"{title}: {{speedup}} 실행되었습니다."}
    before, after = (_plain(ranges[name]) for name in VARIANTS)
    if kind == TWO_TRACES:
        return {
            "en": f"In the second run “{after}” ran {{speedup}}.",
            "ko": f"두 번째 실행에서 “{after}” 범위는 {{speedup}} 실행되었습니다.",
        }
    if kind == PROGRAM and before == after:
        return {
            "en": f"The optimized program ran “{after}” {{speedup}}.",
            "ko": f"최적화한 프로그램에서 “{after}” 범위는 {{speedup}} 실행되었습니다.",
        }
    return {
        "en": f"Against “{before}”, “{after}” ran {{speedup}}.",
        "ko": f"“{before}”과 비교하면 “{after}” 범위는 {{speedup}} 실행되었습니다.",
    }


def _title(ranges: Mapping[str, str]) -> Text:
    before, after = ranges[VARIANTS[0]], ranges[VARIANTS[1]]
    if before == after:
        return {"en": f"{after}, before and after", "ko": f"{after}, 이전과 이후"}
    return {"en": f"{after} against {before}", "ko": f"{before} 대비 {after}"}
