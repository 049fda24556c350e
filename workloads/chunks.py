"""What nothing can hide where work comes in equal chunks over the link, is computed on and goes back (docs/metrics.md, "The floor")."""

from __future__ import annotations

from dataclasses import replace

from ..declaration import Phase


def in_turn(chunk: Phase, count: int) -> tuple[Phase, ...]:
    """`count` chunks one after the other, each copied in, computed and copied out before the next: nothing runs beside anything."""
    return (
        Phase(h2d=count * chunk.h2d),
        replace(_times(chunk, count), h2d=0, d2h=0),
        Phase(d2h=count * chunk.d2h),
    )


def overlapped(chunk: Phase, count: int) -> tuple[Phase, ...]:
    """`count` chunks of which one is copied in while another is computed and a third copied out.

    Nothing can run beside the first chunk on its way in, nor beside the last on its way out.
    """
    rest = replace(_times(chunk, count), h2d=(count - 1) * chunk.h2d, d2h=(count - 1) * chunk.d2h)
    return Phase(h2d=chunk.h2d), rest, Phase(d2h=chunk.d2h)


def _times(chunk: Phase, count: int) -> Phase:
    """All chunks' work at once."""
    return Phase(
        h2d=count * chunk.h2d,
        d2h=count * chunk.d2h,
        dram=count * chunk.dram,
        flops={name: count * flops for name, flops in chunk.flops.items()},
        launches=count * chunk.launches,
    )
