"""What a page is a proof from, where no harness ran its variants; and what nobody compared or controlled there."""

from __future__ import annotations

from ...profiler.evidence import Evidence
from ...profiler.manifest import PROGRAM, Origin
from ..catalog import Catalog


def kind(evidence: Evidence, say: Catalog) -> str:
    """What the page is a proof from, in a few words."""
    origin = evidence.manifest.origin
    return say("page.kind") if origin is None else say(f"origin.kind_{_key(origin)}")


def mark(evidence: Evidence, say: Catalog) -> str:
    """What was not compared, not controlled, not measured; "" of a pair, which its harness ran."""
    origin = evidence.manifest.origin
    return "" if origin is None else say(f"origin.{_key(origin)}")


def claims_about(evidence: Evidence, say: Catalog) -> str:
    """Over what claims are judged: the iterations of one session, or of two."""
    origin = evidence.manifest.origin
    return say("origin.claims_of_two") if origin is not None and origin.apart else say("claims.about")


def _key(origin: Origin) -> str:
    """Of one program, whose ranges are compared, no order was made."""
    return "alone" if origin.kind == PROGRAM and not origin.in_turn else origin.kind
