"""The base of all objectives: named terms, one number a scan each, and their weights.

A term is a mean over the points of one scan, never over the batch. The loss of a batch is the mean
over its scans, so that codes fitted together do not influence each other.

Letters: B scans, N surface points, M space points, L code length.
"""

from collections.abc import Mapping
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Field
from shapespace.scan import Need, Samples
from shapespace.utils.schedules import RunProgress, Schedule

FieldKind = Literal["distance", "clamped", "unsigned", "logit"]
"""What the values of a trained field are. All are positive outside and 0 on the surface.

* distance: a signed distance, of slope 1.
* clamped: a signed distance near the surface, and nearly constant far from it.
* unsigned: not negative, the distance on both sides.
* logit: minus the logit of an occupancy, of any slope.
"""
FIELDS: dict[FieldKind, str] = {
    "distance": "a signed distance",
    "clamped": "a clamped distance",
    "unsigned": "an unsigned distance",
    "logit": "minus a logit of occupancy",
}
"""Each kind in words."""


class Objective(nn.Module):
    """Base of all objectives: what a field should satisfy.

    A subclass sets ``weights`` and writes :meth:`terms`. The same object trains a space, fits the
    code of an unseen scan and validates. Two methods may be overridden: :meth:`for_unseen`, where
    the code of an unseen scan is found by another objective, and :meth:`for_refinement`, where a
    term says something of regions without points.

    Parameters of an objective, such as a learnt scale, are trained with the decoder and kept in
    the checkpoint. A subclass that has some calls ``super().__init__()`` first.

    The arguments of ``__init__`` are numbers, strings and booleans with annotations: a config sets
    them by name and a checkpoint stores them.

    Example:
        Squared distances on the surface and the eikonal term around it::

            >>> from shapespace.decoders.base import value_and_gradient
            >>> from shapespace.objectives.terms import eikonal
            >>> class Squares(Objective):
            ...     def __init__(self, eikonal: float = 0.1) -> None:
            ...         super().__init__()
            ...         self.weights = {"surface": 1.0, "eikonal": eikonal}
            ...
            ...     def terms(self, field: Field, samples: Samples, latent: Tensor) -> dict:
            ...         f = field(samples.surface, latent)
            ...         _, g = value_and_gradient(field, samples.space, latent)
            ...         return {"surface": f.square().mean(-1), "eikonal": eikonal(g)}
            >>> Squares(eikonal=0.5).weights["eikonal"]
            0.5
    """

    weights: Mapping[str, float | Schedule]
    """The weight of each term that :meth:`terms` returns, by the term's name. A
    :class:`~shapespace.utils.schedules.Schedule` changes over the run
    (:func:`~shapespace.utils.schedules.weight_of` reads one from a config)."""
    needs: frozenset[Need] = frozenset()
    """What the objective reads beside points. A store that lacks it is refused before training."""
    kind: FieldKind = "distance"
    """What the values of the trained field are, by which fits and diagnostics measure."""
    progress: RunProgress = RunProgress()
    """The part of the run that is done. A training sets it before each step; in a fit it is the
    end of the run."""

    def __getattr__(self, name: str) -> Any:
        """Set up the module at its first use, for a subclass without ``super().__init__()``."""
        if "_parameters" not in self.__dict__:
            nn.Module.__init__(self)
            return getattr(self, name)
        return super().__getattr__(name)

    def weight(self, name: str) -> float:
        """The weight of a term at the present :attr:`progress`."""
        weight = self.weights[name]
        return weight(self.progress) if isinstance(weight, Schedule) else weight

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The unweighted terms of each scan, under the names of ``weights``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around, of each scan.
            latent: the code of each scan.
        """
        raise NotImplementedError

    def total(self, terms: Mapping[str, Float[Tensor, " B"]]) -> Float[Tensor, " B"]:
        """The weighted sum of the terms of each scan."""
        first, *others = (self.weight(name) * value for name, value in terms.items())
        return sum(others, start=first)

    def for_unseen(self) -> "Objective":
        """The objective that finds the code of an unseen scan.

        The default is this objective; a subclass differs where published practice does.
        """
        return self

    def for_refinement(self) -> "Objective":
        """The objective that refines a decoder near one scan, half of which may be missing.

        The default is this objective. A subclass leaves out each term that says something of
        regions without points.
        """
        return self
