"""A shape of a space, bent onto a scan, and its field.

Letters: M any points, V vertices, L code length.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.elastic.graph import DeformationGraph, Motion
from shapespace.surface.query import field_gradients, field_values


@dataclass(frozen=True)
class BentShape:
    """A shape of the space, bent onto a scan.

    Args:
        start: name of the training scan whose code was bent; "" for the fitted code.
        code: the code.
        graph: the mesh of the code at rest and its nodes.
        motion: motion of the nodes.
        misfit: mean distance of the points of the scan from the bent shape, far ones counted as
            0.12, as a share of the size.
        unseen: mean distance of the bent shape from the points, in the same way, where it does not
            lie behind seen surface; the part within two spacings of the points counts 0. A limb
            that the scan does not have makes it large, and a side that was not scanned does not.
        stretch: root mean square of the stretch of the graph, as a share of the size.
    """

    start: str
    code: Float[Tensor, " L"]
    graph: DeformationGraph
    motion: Motion
    misfit: float
    unseen: float
    stretch: float

    @cached_property
    def surface(self) -> Float[np.ndarray, "V 3"]:
        """The vertices after the bending."""
        return self.graph.bent(self.motion)


class BentField:
    """The field of a bent shape: that of the code, at the place where a point was before.

    Args:
        field: f(x; z).
        shape: the shape and its bending.
    """

    def __init__(self, field: Field, shape: BentShape) -> None:
        self.field = field
        self.shape = shape
        self.rotation = shape.graph.mean_rotation(shape.motion)
        self.tree = KDTree(shape.surface)

    def values(self, points: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, " M"]:
        """Values at points; close to a distance near the surface."""
        found = field_values(self.field, self.shape.code, self._at_rest(points)[0])
        return found.double().cpu().numpy()

    def values_and_gradients(
        self, points: Float[np.ndarray, "M 3"]
    ) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, "M 3"]]:
        """Values and gradients at points, from one evaluation."""
        at, nearest = self._at_rest(points)
        found = field_gradients(self.field, self.shape.code, at)
        values, gradients = (part.double().cpu().numpy() for part in found)
        return values, np.einsum("nij,nj->ni", self.rotation[nearest], gradients)

    def _at_rest(
        self, points: Float[np.ndarray, "M 3"]
    ) -> tuple[Float[Tensor, "M 3"], Int[np.ndarray, " M"]]:
        """The points before the bending, and the vertex nearest to each."""
        nearest = np.asarray(self.tree.query(points)[1])
        rest = self.shape.graph.straightened(self.shape.motion, points, nearest)
        return torch.from_numpy(rest).to(self.shape.code), nearest
