"""Statistics of a table of codes: spectrum, norms, principal axes, nearest codes.

Letters: S shapes, L code length, A axes, Q query codes, K nearest codes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class CodeStatistics:
    """Statistics of S codes about their mean, in the unit of the codes.

    Args:
        spectrum: Eigenvalues of the covariance (normalised by S, not S - 1), descending.
        norms: Euclidean norms of the codes themselves, before the mean is subtracted.
        coordinates: Coordinates of the centred codes along the first two principal axes; 0 where
            there are fewer axes. The largest entry of each axis is positive, which fixes its sign.
    """

    spectrum: Float[np.ndarray, " L"]
    norms: Float[np.ndarray, " S"]
    coordinates: Float[np.ndarray, "S 2"]

    @property
    def effective_rank(self) -> float:
        """Exponential of the entropy of the normalised spectrum (Roy and Vetterli 2007).

        The value is L for an isotropic cloud, 1 for a line, and 0 where all codes are equal.
        """
        shares = self.shares[self.shares > 0]
        return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0

    @property
    def participation_ratio(self) -> float:
        """(sum of eigenvalues)^2 / sum of their squares: 1 to L, 0 where all codes are equal."""
        square = float((self.shares**2).sum())
        return 1 / square if square else 0.0

    @property
    def shares(self) -> Float[np.ndarray, " L"]:
        """Eigenvalues divided by their sum; 0 where all codes are equal."""
        total = float(self.spectrum.sum())
        return self.spectrum / total if total > 0 else np.zeros_like(self.spectrum)

    def axes_for(self, share: float) -> int:
        """The smallest number of principal axes that hold ``share`` of the variance."""
        # The cumulative sum may end a rounding error below 1, so a share of 1 needs a margin.
        reached = np.cumsum(self.shares) >= share * (1 - 1e-12)
        return int(np.argmax(reached)) + 1 if reached.any() else 0


@dataclass(frozen=True)
class PrincipalAxes:
    """The principal axes of a table of codes, longest first, without those of no variance.

    Args:
        mean: The mean code.
        directions: Unit vectors. The largest entry of each is positive, which fixes its sign.
        variances: Variance of the codes along each axis (normalised by S, not S - 1).
    """

    mean: Float[np.ndarray, " L"]
    directions: Float[np.ndarray, "A L"]
    variances: Float[np.ndarray, " A"]

    def coordinates(self, codes: Float[np.ndarray, "S L"]) -> Float[np.ndarray, "S A"]:
        """Coordinates of codes along the axes, about the mean, in the unit of the codes."""
        return (codes - self.mean) @ self.directions.T


def principal_axes(codes: Float[np.ndarray, "S L"]) -> PrincipalAxes:
    """The principal axes of a table of codes; L may be 0 and S may be 1."""
    table = np.asarray(codes, np.float64)
    mean = table.mean(axis=0) if len(table) else np.zeros(table.shape[1])
    _, singular, axes = np.linalg.svd(table - mean, full_matrices=False)
    # Directions without variance keep singular values of the size of float32 rounding; they
    # count as 0, or equal codes would get a rank above 0.
    floor = np.finfo(np.float32).eps * np.abs(table).max(initial=0.0) * max(len(table), 1) ** 0.5
    count = np.count_nonzero(singular > floor)
    axes = axes[:count]
    # The SVD leaves the sign of each axis open; a fixed sign makes maps of equal codes equal.
    signs = np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)]) if count else np.zeros(0)
    return PrincipalAxes(mean, axes * signs[:, None], singular[:count] ** 2 / max(len(table), 1))


def code_statistics(codes: Float[np.ndarray, "S L"]) -> CodeStatistics:
    """Statistics of a table of codes; L may be 0 and S may be 1."""
    table = np.asarray(codes, np.float64)
    axes = principal_axes(table)
    count = len(axes.variances)
    spectrum = np.zeros(table.shape[1])
    spectrum[:count] = axes.variances
    coordinates = np.zeros((len(table), 2))
    coordinates[:, : min(count, 2)] = axes.coordinates(table)[:, :2]
    return CodeStatistics(spectrum, np.linalg.norm(table, axis=1), coordinates)


def nearest_codes(
    codes: Float[np.ndarray, "Q L"], table: Float[np.ndarray, "S L"], count: int
) -> tuple[Int[np.ndarray, "Q K"], Float[np.ndarray, "Q K"]]:
    """Find the nearest rows of a table for each of Q codes, by Euclidean distance.

    Args:
        codes: The query codes.
        table: The codes that are searched.
        count: How many rows to find; K is the smaller of ``count`` and S.

    Returns:
        Rows of ``table``, the nearest first, and their distances.
    """
    gaps = np.stack([np.linalg.norm(table - code, axis=1) for code in codes])
    rows = np.argsort(gaps, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(gaps, rows, axis=1)
