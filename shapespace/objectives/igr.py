"""The objective of IGR: implicit geometric regularisation (Gropp et al. 2020).

Letters: B scans, L code length.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    beyond_the_box,
    code_mean_abs,
    code_norm,
    eikonal,
    normal_deviation,
    on_surface,
)
from shapespace.scan import Samples
from shapespace.utils.schedules import weight_of


class IGR(Objective):
    """mean |f| + normal mean |g - n| + eikonal mean (|g| - 1)^2 + latent |z|, per scan.

    g is grad f. The first two means are over the surface points, the third over the space points.
    The weight of the first term is 1. The term ``outside`` is not published and off by default: it
    closes scans whose holes are on their outer side, such as bodies without soles.

    Weights are numbers, or schedules over the run such as ``linear 1 0.1 from 0 to 0.5``
    (:func:`~shapespace.utils.schedules.weight_of`).

    Args:
        normal: weight of the normal term, tau in IGR eq. 1; points without normals count 0.
        eikonal: weight of the eikonal term, lambda in IGR eq. 1.
        latent: weight of the code term.
        outside: weight of mean max(0, d - f), d the distance to the bounding box of the scan.
        margin: by which the box is widened on each side, in the store's unit.
        latent_term: "norm" is |z|, as in the published training; "mean_abs" is mean |z_k|, as in
            the published fit of an unseen scan, about 20 times weaker at L = 256.
    """

    def __init__(
        self,
        normal: float | str = 1.0,
        eikonal: float | str = 0.1,
        latent: float | str = 1e-3,
        latent_term: Literal["norm", "mean_abs"] = "norm",
        outside: float | str = 0.0,
        margin: float = 0.02,
    ) -> None:
        super().__init__()
        given = {"normal": normal, "eikonal": eikonal, "latent": latent}
        given |= {"outside": outside} if outside else {}
        self.weights = {"surface": 1.0} | {n: weight_of(w, n) for n, w in given.items()}
        self.latent_term = latent_term
        self.margin = margin

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``normal``, ``eikonal``, ``latent`` and, if weighed, ``outside``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        # One evaluation of all points. Surface points come first: f is wanted of them, and of the
        # space points only for ``outside``; grad f of the space points, and of the surface points
        # only if there are normals.
        points = torch.cat([samples.surface, samples.space], dim=1)
        num_surface = samples.surface.shape[1]
        gradient_from = num_surface if samples.normals is None else 0
        value_until = None if "outside" in self.weights else num_surface
        sdf, gradient = value_and_gradient(
            field, points, latent, gradient_from=gradient_from, value_until=value_until
        )
        code = code_norm if self.latent_term == "norm" else code_mean_abs
        terms = {
            "surface": on_surface(sdf[:, :num_surface]),
            "normal": normal_deviation(gradient[:, : num_surface - gradient_from], samples.normals),
            "eikonal": eikonal(gradient[:, num_surface - gradient_from :]),
            "latent": code(latent),
        }
        if "outside" in self.weights:
            terms["outside"] = beyond_the_box(
                sdf[:, num_surface:],
                points=samples.space,
                surface=samples.surface,
                margin=self.margin,
            )
        return terms

    def for_unseen(self) -> "IGR":
        """The same weights, with the code term of the published fit."""
        weights = {name: self.weight(name) for name in self.weights if name != "surface"}
        return IGR(**weights, latent_term="mean_abs", margin=self.margin)

    def for_refinement(self) -> "IGR":
        """The same weights without ``outside``: the box of half a scan holds half the shape.

        The code is fixed in a refinement, so that its term is left out too.
        """
        return IGR(self.weight("normal"), self.weight("eikonal"), latent=0.0)
