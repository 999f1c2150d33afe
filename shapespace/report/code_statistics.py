"""What a table of codes looks like: how many directions it fills, how long its codes are, who is
next to whom.

Letters: S shapes, L code length, Q codes that are looked up, K neighbours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class CodeStatistics:
    """Statistics of S codes about their mean, all in the unit of the codes.

    spectrum: eigenvalues of the covariance (divided by S), descending. norms: lengths of the codes
    themselves. places: coordinates along the two first principal axes, 0 where there are fewer;
    the axes' signs are such that the largest entry of each is positive.
    """

    spectrum: Float[np.ndarray, " L"]
    norms: Float[np.ndarray, " S"]
    places: Float[np.ndarray, "S 2"]

    @property
    def effective_rank(self) -> float:
        """Exp of the entropy of the normalised spectrum (Roy and Vetterli 2007), 1 to L.

        L for a round cloud, 1 for a line, 0 where all codes are equal.
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
        """The fewest principal axes that hold ``share`` of the variance."""
        reached = np.cumsum(self.shares) >= share * (1 - 1e-12)
        return int(np.argmax(reached)) + 1 if reached.any() else 0


def code_statistics(codes: Float[np.ndarray, "S L"]) -> CodeStatistics:
    """The statistics of a table of codes; L may be 0 and S may be 1."""
    table = np.asarray(codes, np.float64)
    centred = table - table.mean(axis=0) if len(table) else table
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    spectrum = np.zeros(table.shape[1])
    # What rounding leaves of directions without any variance is none.
    floor = np.finfo(np.float32).eps * np.abs(table).max(initial=0.0) * max(len(table), 1) ** 0.5
    singular = np.where(singular > floor, singular, 0.0)
    spectrum[: len(singular)] = singular**2 / max(len(table), 1)
    axes = axes[: min(2, np.count_nonzero(singular))]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]) if len(axes) else 1.0
    places = np.zeros((len(table), 2))
    places[:, : len(axes)] = centred @ axes.T * signs
    return CodeStatistics(spectrum, np.linalg.norm(table, axis=1), places)


def nearest_codes(
    codes: Float[np.ndarray, "Q L"], table: Float[np.ndarray, "S L"], count: int
) -> tuple[Int[np.ndarray, "Q K"], Float[np.ndarray, "Q K"]]:
    """Rows of the ``count`` nearest codes of ``table``, or of all it has, and their distances."""
    gaps = np.stack([np.linalg.norm(table - code, axis=1) for code in codes])
    rows = np.argsort(gaps, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(gaps, rows, axis=1)


def spread_out(table: Float[np.ndarray, "S L"], count: int) -> list[int]:
    """Rows of at most ``count`` codes that lie far from each other.

    The first is the farthest from the mean, each other the farthest from those before it; codes
    that are equal to one before are left out.
    """
    if not len(table):
        return []
    gaps = np.linalg.norm(table - table.mean(axis=0), axis=1)
    rows = [int(gaps.argmax())]
    while len(rows) < count:
        gaps = np.min([np.linalg.norm(table - table[row], axis=1) for row in rows], axis=0)
        if not gaps.max() > 0:
            break
        rows.append(int(gaps.argmax()))
    return rows
