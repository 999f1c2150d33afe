"""Latent codes: one row for each training scan, known by the scan's name.

Letters: B scans in a batch, S training scans, L code length (0 is allowed).
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapespace.errors import InputError, positive
from shapespace.scan import Frame


class LatentCodes(nn.Module):
    """The table of codes, and beside each code the name and the frame of its scan.

    Gradients are row-wise (sparse): only the scans of a batch are read and moved.

    Args:
        num_scans: S.
        latent_size: L.
        init_std: codes begin as N(0, init_std^2); 0 is the published choice. Codes that do not
            begin at 0 need a decoder with ``zero_latent_columns``.
        seed: of the initial codes.
        max_norm: codes that a step makes longer are shortened to it (DeepSDF, Park et al. 2019);
            None lets them be.
    """

    def __init__(
        self,
        num_scans: int,
        latent_size: int,
        init_std: float = 0.0,
        seed: int = 0,
        max_norm: float | None = None,
    ) -> None:
        positive(max_norm=1.0 if max_norm is None else max_norm)
        super().__init__()
        self.max_norm = max_norm
        self.table = nn.Embedding(num_scans, latent_size, sparse=True)
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(num_scans, latent_size, generator=generator) * init_std
        with torch.no_grad():
            self.table.weight.copy_(start)
        self.names: tuple[str, ...] = ()
        self.frames: tuple[Frame, ...] = ()

    def __len__(self) -> int:
        return self.table.num_embeddings

    def forward(self, index: Int[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """The codes of the scans ``index``."""
        return self.table(index)

    @torch.no_grad()
    def hold_norms(self, rows: Int[Tensor, " K"]) -> None:
        """Shorten the codes ``rows``, each given once, to ``max_norm``, if there is one."""
        if self.max_norm is not None:
            held = torch.renorm(self.table.weight[rows], 2, 0, self.max_norm)
            self.table.weight.index_copy_(0, rows, held)

    def assign(self, names: Sequence[str], frames: Sequence[Frame]) -> None:
        """Say which scan each row is; on a resume names and frames must be those of before."""
        if self.names and self.names != tuple(names):
            raise InputError(
                f"the run was trained on other scans ({_difference(self.names, names)}): resume "
                "with the same store and scan list, or start in another run folder"
            )
        for name, before, now in zip(self.names, self.frames, frames, strict=False):
            if not before.is_near(now):
                raise InputError(
                    f"scan {name!r} is not the one the run was trained on, its centre or scale "
                    "differ: resume with the same store, or start in another run folder"
                )
        assert len(names) == len(frames) == len(self)
        self.names, self.frames = tuple(names), tuple(frames)

    def row(self, name: str) -> int:
        """The row of the scan called ``name``; InputError if there is none."""
        if name in self.names:
            return self.names.index(name)
        near = get_close_matches(name, self.names, 1) or list(self.names[:1])
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{name!r} is not one of the {len(self)} scans of this checkpoint{hint}")

    def get_extra_state(self) -> dict[str, Any]:
        """Names and frames as plain data, kept in the checkpoint."""
        return {
            "names": list(self.names),
            "centres": [frame.centre.tolist() for frame in self.frames],
            "scales": [float(frame.scale) for frame in self.frames],
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`get_extra_state`."""
        self.names = tuple(state["names"])
        frames = zip(state["centres"], state["scales"], strict=True)
        self.frames = tuple(Frame(np.asarray(centre), scale) for centre, scale in frames)


def _difference(before: Sequence[str], now: Sequence[str]) -> str:
    odd = sorted(set(before) ^ set(now))
    return f"{len(before)} then, {len(now)} now" + (f", for example {odd[0]!r}" if odd else "")
