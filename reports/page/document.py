"""One self-contained document made from evidence: it loads nothing, and is complete without its script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ...errors import CannotTell
from ...profiler.evidence import Evidence, Verdict
from ...profiler.expect.check import Checked
from ..catalog import catalog
from ..hostile import json_for_script, visible, whole_words
from ..units import sensible
from .against import against
from .colours import DARK, LIGHT, as_css
from .contents import Contents
from .identity import shared_facts
from .overview import overview
from .terms import terms_of
from .timeline import swatch
from .view import proof

_FONTS: Final = (
    ("Inter", 400, "inter-latin-400-normal.woff2"),
    ("Inter", 500, "inter-latin-500-normal.woff2"),
    ("Inter", 600, "inter-latin-600-normal.woff2"),
    ("JetBrains Mono", 400, "jetbrains-mono-latin-400-normal.woff2"),
)
_SCRIPTS: Final = ("timeline.js", "contents.js")
_FIRST: Final = (Verdict.REFUTED, Verdict.INVALID, Verdict.UNPROVEN, Verdict.UNSUPPORTED, Verdict.PROVEN)


def render_html(
    stage: str,
    evidences: Sequence[Evidence],
    lang: str = "en",
    proof_sha256: str = "",
    expected: Mapping[str, Checked | None] | None = None,
    brief: bool = False,
    missing: Sequence[str] = (),
) -> str:
    """The report of a stage: an overview when it has several pairs, then a page a pair, refuted ones first, then the appendix.

    Args:
        proof_sha256: of the proof.json in the bundle that the page is part of; it is written into the page's head.
        expected: capture id -> how the expectations of its pair fared, None if there are none for its hardware. For a
            capture that is not in it, the page says nothing about expectations.
        brief: without the appendix.
        missing: the stage's pairs of which there is no evidence, which the page names.

    Raises:
        CannotTell: there is no evidence to print.
        UsageError: no catalog for `lang`, or a manifest that does not say which pair it belongs to.
    """
    if not evidences:
        raise CannotTell(f"nothing to report: {stage} has no capture", f"aisp-prof capture {stage}")
    say = catalog(lang)
    ordered = in_order(evidences)
    anchored = {f"pair-{place}": evidence for place, evidence in enumerate(ordered, 1)}
    proofs = [
        proof(evidence, say, anchor, against(evidence, expected or {}, say)) for anchor, evidence in anchored.items()
    ]
    first = overview(anchored, expected or {}, say, missing) if len(ordered) > 1 else None
    style, script = _style(), "\n".join(map(_asset, _SCRIPTS))
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            lang=lang,
            stage=stage,
            say=say,
            title=f"{stage}: {first.title if first else proofs[0].headline.text}",
            created=max(one.created_utc for one in proofs),
            proof_sha256=proof_sha256,
            proofs=proofs,
            overview=first,
            missing=missing,
            terms=terms_of(ordered, say),
            shared=shared_facts([one.facts for one in proofs]),
            brief=brief,
            contents=Contents(),
            style=Markup(style),
            script=Markup(script),
            csp=_policy(style, script),
        )
    )


def render_alone(template: str, lang: str, more_style: str, values: Mapping[str, Any]) -> str:
    """A document without a script from a template of its own; it loads nothing either.

    Args:
        more_style: the name of a style sheet among the templates, added to the page's own.

    Raises:
        UsageError: no catalog for `lang`.
    """
    style = f"{_style()}\n{_asset(more_style)}"
    head = {
        "lang": lang,
        "say": catalog(lang),
        "contents": Contents(),
        "style": Markup(style),
        "csp": _policy(style, ""),
    }
    return _environment().get_template(template).render(**head, **values)


def in_order(evidences: Sequence[Evidence]) -> list[Evidence]:
    """The order of a page: refuted ones first."""
    return sorted(evidences, key=lambda evidence: _FIRST.index(evidence.verdict))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole_words"] = whole_words
    environment.globals.update(paper=LIGHT, sensible=sensible, swatch=swatch, json_for_script=json_for_script)
    return environment


def _finalize(value: Any) -> Any:
    """Every expression of every template passes through here: hostile characters become visible before they are
    escaped, and what is too long is shortened. That is for foreign text; what we draw is `Markup` made of numbers
    (`svg`) and stays as it is.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        raise TypeError("a template printed None")
    return visible(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else value


def _policy(style: str, script: str) -> str:
    """A content security policy under which the page can reach nothing: its own style, script and fonts only."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{_sha256(style)}'",
            f"script-src 'sha256-{_sha256(script)}'",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _style() -> str:
    faces = "\n".join(_face(*font) for font in _FONTS)
    grounds = (
        f":root {{ {as_css(LIGHT)} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {as_css(DARK)} }} }}"
    )
    return "\n".join((faces, grounds, *map(_asset, ("page.css", "screen.css", "order.css"))))


def _face(family: str, weight: int, name: str) -> str:
    data = base64.b64encode(_templates().joinpath("fonts", name).read_bytes()).decode()
    return (
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; font-style: normal; '
        f'src: url("data:font/woff2;base64,{data}") format("woff2"); }}'
    )


def _asset(name: str) -> str:
    return _templates().joinpath(*name.split("/")).read_text("utf-8")


def _templates() -> Traversable:
    return files(__package__.rpartition(".reports")[0]).joinpath("templates")
