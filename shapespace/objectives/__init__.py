"""What a field should satisfy: the same terms train a space, fit a code and validate."""

from shapespace.objectives.base import Objective
from shapespace.objectives.igr import IGR
from shapespace.objectives.reference import PublishedIGR

__all__ = ["IGR", "Objective", "PublishedIGR"]
