"""Latent codes: one row for each training scan, known by the scan's name.

Letters: B scans in a batch, N points, D dimension, S training scans, K rows, L code length (0 is
allowed).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapespace.errors import InputError, nearest, one_line, positive
from shapespace.scan import Frame, is_scan_name


class LatentCodes(nn.Module):
    """The table of codes, with the name and the frame of each code's scan.

    Gradients are sparse, row by row: only the codes of a batch are read and updated.

    Args:
        num_scans: S.
        latent_size: L.
        init_std: codes begin as N(0, init_std^2); 0 is the published choice of IGR. Codes that do
            not begin at 0 need a decoder with ``zero_latent_columns``.
        seed: of the initial codes.
        max_norm: longest code that is allowed; longer ones are shortened after a step (DeepSDF,
            Park et al. 2019). None sets no limit.
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
        # Names and frames as plain data are kept, because each checkpoint asks for them and there
        # may be a million scans.
        self._plain: dict[str, Any] | None = None
        self.names: tuple[str, ...] = ()
        self.frames: tuple[Frame, ...] = ()

    def __len__(self) -> int:
        return self.table.num_embeddings

    @property
    def learnt(self) -> tuple[Tensor, ...]:
        """The tables whose gradients move the codes; the first has a row for each scan."""
        return (self.table.weight,)

    def forward(self, index: Int[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """The codes of the scans ``index``."""
        return self.table(index)

    def of_batch(
        self,
        index: Int[Tensor, " B"],
        points: Float[Tensor, "B N D"],
        visits: Sequence[int],
    ) -> tuple[Float[Tensor, "B L"], dict[str, Float[Tensor, " B"]]]:
        """The codes of some scans in a training step, and further parts of the loss by name.

        A table looks the codes up and adds nothing; a subclass may make them of the points.

        Args:
            index: rows of the scans.
            points: on their surfaces.
            visits: number of the visit of each scan.
        """
        return self(index), {}

    def begin(self) -> None:
        """Begin a step. A table has nothing to prepare."""

    def settle(self, rows: Int[Tensor, " K"] | None, gathered: Callable[[Tensor], Tensor]) -> None:
        """Finish a step that was taken: shorten the codes that moved.

        Args:
            rows: of the codes that moved.
            gathered: stacks the tensors of all ranks along a new first axis.
        """
        if rows is not None:
            self.hold_norms(rows)

    @torch.no_grad()
    def hold_norms(self, rows: Int[Tensor, " K"]) -> None:
        """Shorten the codes ``rows`` to at most ``max_norm``; no row may be given twice."""
        if self.max_norm is not None:
            held = torch.renorm(self.table.weight[rows], p=2, dim=0, maxnorm=self.max_norm)
            self.table.weight.index_copy_(0, rows, held)

    def assign(self, names: Sequence[str], frames: Sequence[Frame]) -> None:
        """Set the scan of each row.

        A table that already has scans, as in a resumed run, must get the same scans. Their order
        may differ: each code moves to the row of its scan.

        Raises:
            InputError: if the scans differ, or a scan of the same name has another frame.
        """
        if self.names and set(self.names) != set(names):
            raise InputError(
                f"the run was trained on other scans ({_difference(self.names, names)}): resume "
                "with the same store and scan list, make a checkpoint of these by shapespace codes "
                "add or shapespace codes drop, or start in another run folder"
            )
        self.check_frames(names, frames)
        if self.names:
            self._put_in_order(names)
        assert len(names) == len(self)
        self.names = tuple(names)
        self.frames = tuple(frames)
        self._plain = None

    def check_frames(self, names: Sequence[str], frames: Sequence[Frame]) -> None:
        """Raise InputError if a scan has the name of a known scan and another frame."""
        known = dict(zip(self.names, self.frames, strict=True))
        for name, frame in zip(names, frames, strict=True):
            if name in known and not known[name].is_near(frame):
                raise InputError(
                    f"scan {name!r} is not the one the run was trained on, its centre or scale "
                    "differ: take the same store, give the scan another name, or start in another "
                    "run folder"
                )

    @torch.no_grad()
    def _put_in_order(self, names: Sequence[str]) -> None:
        """Move each code to the row of its scan in ``names``."""
        row = {name: row for row, name in enumerate(self.names)}
        self.table.weight.copy_(self.table.weight[[row[name] for name in names]])

    def row(self, name: str) -> int:
        """The row of the scan called ``name``; InputError if there is no such scan."""
        return row_of(self.names, name)

    def check_named(self) -> None:
        """Raise InputError unless each row has a scan, with a name of its own."""
        check_names(self.names)
        if len(self.names) != len(self):
            raise InputError(f"{len(self)} codes need as many scans, not {len(self.names)}")

    def get_extra_state(self) -> dict[str, Any]:
        """Names and frames as plain data, for the checkpoint."""
        if self._plain is None:
            self._plain = plain_scans(self.names, self.frames)
        return self._plain

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take names and frames from a checkpoint, the inverse of :meth:`get_extra_state`."""
        check_scans(state)
        self.names = tuple(state["names"])
        self._plain = None
        frames = zip(state["centres"], state["scales"], strict=True)
        self.frames = tuple(Frame(np.asarray(centre), scale) for centre, scale in frames)


def row_of(names: Sequence[str], name: str) -> int:
    """The row of the scan called ``name``; else InputError, which names the most similar scan."""
    if name in names:
        return names.index(name)
    hint = nearest(name, names)
    raise InputError(f"{name!r} is not one of the {len(names)} scans of this checkpoint; {hint}")


def check_scans(state: object) -> None:
    """Raise InputError unless ``state`` is what :func:`plain_scans` gives."""
    if not isinstance(state, dict) or state.keys() != {"names", "centres", "scales"}:
        raise InputError("its scans are not given by names, centres and scales")
    for key, value in state.items():
        if not isinstance(value, list):
            raise InputError(f"the {key} of its scans are a {type(value).__name__}, not a list")
    names = state["names"]
    counts = {key: len(value) for key, value in state.items()}
    if len(set(counts.values())) > 1:
        counted = ", ".join(f"{count} {key}" for key, count in counts.items())
        raise InputError(f"its scans do not have one centre and one scale each: {counted}")
    check_names(names)
    try:
        centres, scales = (np.array(state[key], np.float64) for key in ("centres", "scales"))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"centres or scales of its scans are no numbers ({one_line(error, 100)})"
        ) from error
    if names and (centres.ndim != 2 or scales.ndim != 1):
        raise InputError("its scans do not have one centre and one scale each")
    sound = np.isfinite(centres).all(-1) & np.isfinite(scales) & (scales > 0)
    if not sound.all():
        bad = names[int(np.argmin(sound))]
        raise InputError(f"centre or scale of scan {one_line(bad, 80)!r} is no finite number")


def check_names(names: Sequence[object]) -> None:
    """Raise InputError if a name cannot name a scan, or is given twice."""
    seen: set[object] = set()
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"a scan has a {type(name).__name__} for its name, not a text")
        if not is_scan_name(name):
            raise InputError(
                f"{one_line(name, 80)!r} cannot name a scan: a name has printable characters "
                "without '/'"
            )
        if name in seen:
            raise InputError(f"two scans have the name {one_line(name, 80)!r}")
        seen.add(name)


def plain_scans(names: Sequence[str], frames: Sequence[Frame]) -> dict[str, Any]:
    """Names, centres and scales as lists, as a checkpoint keeps them."""
    return {
        "names": list(names),
        "centres": [frame.centre.tolist() for frame in frames],
        "scales": [float(frame.scale) for frame in frames],
    }


def _difference(before: Sequence[str], now: Sequence[str]) -> str:
    """The number of scans then and now, and a scan that is in one list alone."""
    odd = sorted(set(before) ^ set(now))
    return f"{len(before)} then, {len(now)} now" + (f", for example {odd[0]!r}" if odd else "")
