"""The field of a space for other programs: f and grad f as one ONNX file.

Letters: B scans, N points, D dimension, L code length.
"""

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Decoder
from shapespace.errors import InputError, one_line
from shapespace.utils.files import replacing

FIELD = "field.onnx"
"""Name of the file in an exported space."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_ERROR = 1e-5
"""Largest error of f, over max |f| or 1, and of grad f, over max |grad f| or 1."""
SHAPES = ((2, 7), (1, 1), (3, 64))
"""Scans and points of the inputs that are compared."""


def write_onnx(decoder: Decoder, path: str | Path, extent: float) -> float:
    """Write f and grad f of a decoder as ONNX, run the file in onnxruntime, and compare.

    Inputs are ``points`` [B, N, D] and ``latent`` [B, L], outputs ``sdf`` [B, N] and ``gradient``
    [B, N, D], all float32, for any B and N of at least 1.

    Args:
        decoder: on the CPU, in evaluation mode and without gradients.
        path: of the file.
        extent: half side of the box in which the field was trained.

    Returns:
        The largest relative error that was found, of either output.

    Raises:
        InputError: a package is missing, torch cannot export the decoder, or what was exported
            differs from it.
    """
    check_packages()
    points, latent = _inputs(decoder, _open_sizes(decoder), extent)
    scans = torch.export.Dim("scans", min=1)
    number = torch.export.Dim("points", min=1)
    name = type(decoder).__name__
    with replacing(path) as part:
        try:
            with _quiet():
                program: Any = torch.onnx.export(
                    _traced(decoder, points, latent),
                    (points, latent),
                    dynamo=True,
                    verbose=False,
                    input_names=["points", "latent"],
                    output_names=["sdf", "gradient"],
                    dynamic_shapes={"points": {0: scans, 1: number}, "latent": {0: scans}},
                )
                program.save(part)
                error = max(_errors(decoder, part, extent))
        except OSError:
            raise
        except Exception as error:
            # Exporter and runtime raise errors of many kinds for what they do not know.
            raise InputError(
                f"{name}: torch cannot export it to ONNX ({one_line(error, 160)}); export without "
                "--onnx"
            ) from error
        if not error <= LARGEST_ERROR:
            raise InputError(
                f"{name}: its ONNX differs from it by {error:.2g}, {LARGEST_ERROR:g} is allowed; "
                "export without --onnx"
            )
    return error


def check_packages() -> None:
    """Raise InputError for a package that ONNX needs and that is not installed."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"{name}, which ONNX needs, is missing: pip install 'shapespace[onnx]'"
            ) from error


class _Traced(nn.Module):
    """A traced function as a module, as torch's exporter wants it."""

    def __init__(self, function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, points: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        return self.function(points, latent)


def _traced(decoder: Decoder, points: Tensor, latent: Tensor) -> nn.Module:
    """f and grad f of a decoder, with the backward pass written out.

    The exporter knows no autograd. So ``forward``, which consists of ordinary operations while
    gradients are on, is traced together with its derivative, for sizes that stay open.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    def function(x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            sdf = decoder(x, z)
            (gradient,) = torch.autograd.grad(sdf.sum(), x)
        return sdf.detach(), gradient.detach()

    graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)
    return _Traced(graph(points, latent))


def _open_sizes(decoder: Decoder) -> tuple[int, int]:
    """Numbers of scans and points to trace with, which are no other size of the decoder.

    The tracer takes two sizes that are equal in the example for one and the same.
    """
    sizes = {size for value in decoder.state_dict().values() for size in value.shape}
    taken = sizes | {decoder.dimension, decoder.latent_size}
    scans, points = islice((size for size in count(5) if size not in taken), 2)
    return scans, points


def _inputs(
    decoder: Decoder, shape: tuple[int, int], extent: float
) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B L"]]:
    """Random points in the box, and random codes."""
    generator = torch.Generator().manual_seed(sum(shape))
    points = (2 * torch.rand(*shape, decoder.dimension, generator=generator) - 1) * extent
    return points, 0.1 * torch.randn(shape[0], decoder.latent_size, generator=generator)


def _errors(decoder: Decoder, path: Path, extent: float) -> list[float]:
    """Relative errors of a file against its decoder, at some sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    used = {each.name for each in session.get_inputs()}
    errors = []
    for shape in SHAPES:
        points, latent = _inputs(decoder, shape, extent)
        given = {"points": points.numpy(), "latent": latent.numpy()}
        found = session.run(None, {name: given[name] for name in used})
        for have, want in zip(found, decoder.value_and_gradient(points, latent), strict=True):
            right = want.detach().numpy()
            errors.append(float(np.abs(have - right).max() / max(1.0, np.abs(right).max())))
    return errors


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter logs and warns about packages that are not needed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
