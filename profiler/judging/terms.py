"""What a claim names: a metric of a variant, a speedup of two, a ceiling of the device."""

from __future__ import annotations

from dataclasses import dataclass

from ..analysis import metrics
from .limits import FLOOR, OF_PAIR, ceiling_unit
from .rate_metrics import RATE_METRICS


@dataclass(frozen=True, slots=True)
class Term:
    """A metric of a variant; for a speedup `variant` is "" and `compared` names the two that it compares."""

    metric: str
    variant: str
    compared: tuple[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The variants that it is about; none of a ceiling, which is the device's."""
        return self.compared or ((self.variant,) if self.variant else ())

    @property
    def of_trace(self) -> bool:
        """Whether it is a metric of a trace's ranges, which has a value in each of them."""
        return bool(self.variant) and self.metric not in RATE_METRICS and self.metric not in OF_PAIR

    @property
    def fixed(self) -> bool:
        """Whether it is one value for all iterations, measured with an interval of its own: a ceiling, or a floor."""
        return self.metric == FLOOR or not self.names

    @property
    def unit(self) -> str:
        if not self.names:
            return ceiling_unit(self.metric)
        if self.metric in RATE_METRICS:
            return RATE_METRICS[self.metric].unit
        if self.metric in OF_PAIR:
            return OF_PAIR[self.metric]
        return "x" if self.compared else metrics.METRICS[metrics.split(self.metric)[0]].unit

    @property
    def by_interval(self) -> bool:
        """Whether times or rates are judged by an interval over the iterations, rather than in each of them."""
        if self.metric in RATE_METRICS:
            return RATE_METRICS[self.metric].by_interval
        if self.metric in OF_PAIR or not self.names:
            return True
        return metrics.METRICS[metrics.split(self.metric)[0]].by_interval
