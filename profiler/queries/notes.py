"""What the reader of an answer must know besides its rows."""

from __future__ import annotations

from ..trace.model import GRAPH_LAUNCH, MIGRATION, Trace
from ..tracer.product import PRODUCT, title


def untraced_graphs(trace: Trace) -> list[str]:
    """One sentence if graphs were traced as a whole, so that their kernels are not in the trace; else nothing."""
    count = int((trace.operations.kind == GRAPH_LAUNCH).sum())
    if not count:
        return []
    what = "1 graph launch was" if count == 1 else f"{count} graph launches were"
    return [f"{what} traced as a whole: what ran inside is unknown; capture with --cuda-graph-trace=node"]


def migrations(trace: Trace) -> list[str]:
    """One sentence if unified memory migrated; else nothing."""
    count = int((trace.operations.kind == MIGRATION).sum())
    what = "1 page migration" if count == 1 else f"{count} page migrations"
    return [f"{what} of unified memory: kernels wait for them, so what runs beside them is no overlap"] if count else []


def recorded_by(trace: Trace) -> list[str]:
    """One sentence if this package's tracer recorded it, and not Nsight Systems; else nothing."""
    if trace.schema.export.get("EXPORT_PRODUCT_NAME") != (PRODUCT,):
        return []
    return [f"recorded by the {title(*trace.schema.export.get('EXPORT_PRODUCT_VERSION', ('',))[:1])}"]
