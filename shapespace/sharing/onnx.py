"""The field of a space for other programs, as ONNX: f and grad f, and with df/dz in a second file.

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

from shapespace.decoders.base import Decoder, jacobian_by_autograd
from shapespace.errors import InputError, one_line
from shapespace.utils.files import replacing

FIELD, JACOBIAN = "field.onnx", "jacobian.onnx"
"""Names of the files in an exported space: f and grad f, and both with df/dz."""
OUTPUTS = ("sdf", "gradient", "code_gradient")
"""Outputs of the second file; the first has all but the last."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_ERROR = 1e-5
"""Largest error of f, over max |f| or 1, and of grad f and df/dz likewise."""
SHAPES = ((2, 7), (1, 1), (3, 64))
"""Scans and points of the inputs that are compared."""


def write_onnx(
    decoder: Decoder, path: str | Path, extent: float, with_codes: bool = False
) -> float:
    """Write f and grad f of a decoder as ONNX, run the file in onnxruntime, and compare.

    Inputs are ``points`` [B, N, D] and ``latent`` [B, L], outputs ``sdf`` [B, N], ``gradient``
    [B, N, D] and, if asked for, ``code_gradient`` [B, N, L], df/dz at each point, which fits codes
    in other programs. All are float32, for any B and N of at least 1.

    Args:
        decoder: on the CPU, in evaluation mode and without gradients.
        path: of the file.
        extent: half side of the box in which the field was trained.
        with_codes: also df/dz, which takes longer: no work is shared by the points of a scan.

    Returns:
        The largest relative error that was found, of any output.

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
                    _traced(decoder, points, latent, with_codes),
                    (points, latent),
                    dynamo=True,
                    verbose=False,
                    input_names=["points", "latent"],
                    output_names=OUTPUTS if with_codes else OUTPUTS[:2],
                    dynamic_shapes={"points": {0: scans, 1: number}, "latent": {0: scans}},
                )
                program.save(part)
                error = max(_errors(decoder, part, extent, with_codes))
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

    def __init__(self, function: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, points: Tensor, latent: Tensor) -> tuple[Tensor, ...]:
        return self.function(points, latent)


def _traced(decoder: Decoder, points: Tensor, latent: Tensor, with_codes: bool) -> nn.Module:
    """f and grad f, and df/dz if asked for, of a decoder, with the backward pass written out.

    The exporter knows no autograd. So ``forward``, which consists of ordinary operations while
    gradients are on, is traced together with its derivative, for sizes that stay open.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    def function(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        if with_codes:
            return jacobian_by_autograd(decoder, x, z)
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


def _errors(decoder: Decoder, path: Path, extent: float, with_codes: bool) -> list[float]:
    """Relative errors of a file against its decoder, at some sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    used = {each.name for each in session.get_inputs()}
    errors = []
    for shape in SHAPES:
        points, latent = _inputs(decoder, shape, extent)
        given = {"points": points.numpy(), "latent": latent.numpy()}
        found = session.run(None, {name: given[name] for name in used})
        # Closed forms where the decoder has them, which are not what was traced.
        exact = decoder.jacobian if with_codes else decoder.value_and_gradient
        for have, want in zip(found, exact(points, latent), strict=True):
            right = want.detach().numpy()
            largest = max(1.0, float(np.abs(right).max(initial=0.0)))
            errors.append(float(np.abs(have - right).max(initial=0.0)) / largest)
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
