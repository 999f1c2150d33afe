"""How the codes of scans are found, as ``shapespace reconstruct`` is told.

Letters: L code length.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from shapespace.errors import at_least
from shapespace.fitting.pose import Freedom
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace, usable_points

Method = Literal["second-order", "adam-published"]


@dataclass(frozen=True)
class FitOptions:
    """How codes are found. pose, up: of "second-order"; steps: of "adam-published".

    up: the upright axis, about which a turn is looked for. seed: of samples and published codes.
    even: whether "second-order" weighs points by the surface that they stand for. refine: steps in
    which the decoder moves too, near each scan, for its mesh.
    """

    method: Method = "second-order"
    pose: Freedom = "shift"
    up: Literal["x", "y", "z"] = "y"
    num_points: int = 16384
    steps: int = 800
    seed: int = 0
    even: bool = False
    refine: int = 0

    def __post_init__(self) -> None:
        at_least(1, num_points=self.num_points, steps=self.steps)
        at_least(0, seed=self.seed, refine=self.refine)

    def __call__(
        self,
        space: TrainedSpace,
        scans: Sequence[PreparedScan],
        on_round: Callable[[], object] = lambda: None,
        guess: Float[Tensor, "1 L"] | None = None,
    ) -> FitResult:
        """Codes of scans of equally many usable points; ``on_round`` is called after each round.

        There are ``rounds`` of them, less those of a refinement, which is of meshes. guess: a code
        that "second-order" begins with, beside the mean.
        """
        if self.method == "second-order":
            search = Search(freedom=self.pose, up=self.up, guess=guess, even=self.even)
            return space.fit(scans, self.num_points, search, self.seed, on_round)
        return space.fit_reference(scans, self.num_points, self.steps, self.seed, on_round)

    @property
    def rounds(self) -> int:
        """Parts of a fit that the progress bar counts."""
        second_order = self.method == "second-order"
        found = len(Search(freedom=self.pose).rounds) if second_order else self.steps
        return found + self.refine


def alike(scans: Sequence[PreparedScan], num_points: int) -> list[list[PreparedScan]]:
    """Scans that can be fitted together: of equally many usable points, ``num_points`` at most."""
    groups: defaultdict[int, list[PreparedScan]] = defaultdict(list)
    for scan in scans:
        groups[usable_points(scan, num_points)].append(scan)
    return list(groups.values())
