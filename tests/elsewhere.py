"""A second device for machines without one: tensors that must not meet those of the CPU.

It is called "meta", a name that torch knows everywhere. A tensor of it holds a tensor of the CPU
with its numbers, so that data-dependent code runs too. As on a GPU, an operation refuses tensors of
both devices, unless those of the CPU have no dimension or are indices; and ``numpy()`` refuses it.
It has no sparse tensors, and cannot be indexed by a list, which torch makes a tensor of unseen.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
MOVING = {"_to_copy", "copy_", "_copy_from"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class Elsewhere(torch.Tensor):
    """A tensor of the second device."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
            requires_grad=inner.requires_grad,
        )

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self):
        return f"Elsewhere({self.inner!r})"

    def tolist(self):
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


class Refusing(TorchDispatchMode):
    """Makes tensors on the second device where they are asked for, and refuses to mix both."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


def dispatched(func, args, kwargs):
    """An operation on the tensors inside; the result is where the tensors, or ``device``, are."""
    name = func._schema.name.partition("::")[2]
    given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    there = [each for each in given if isinstance(each, Elsewhere)]
    asked = kwargs.get("device")
    if there and name not in MOVING:
        # Of an index, the first tensor says where the numbers are.
        checked = given[:1] if name in INDEXING else given
        here = [each for each in checked if not isinstance(each, Elsewhere) and each.dim()]
        if here:
            shapes = [tuple(each.shape) for each in here]
            raise RuntimeError(f"{name}: tensors of two devices, {shapes} are of the CPU")
    inner = tree_map(lambda x: x.inner if isinstance(x, Elsewhere) else x, (args, kwargs))
    if asked is not None:
        inner[1]["device"] = torch.device("cpu")
    found = func(*inner[0], **inner[1])
    to = DEVICE if there and asked is None else asked
    if name == "copy_":
        to = DEVICE if isinstance(args[0], Elsewhere) else None
    if to is None or torch.device(to).type != "meta":
        return found
    wrapped = tree_map(lambda x: Elsewhere(x) if isinstance(x, torch.Tensor) else x, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


class OfCpu(torch.Generator):
    """A generator of the CPU, whatever device it is asked for."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls)


@contextlib.contextmanager
def elsewhere(monkeypatch):
    """The second device; generators, which it has none of, are those of the CPU."""
    made = torch.tensor

    def tensor(data, *, device="cpu", **options):
        # Of all that make tensors, this alone is not seen by the mode.
        return made(data, **options).to(device)

    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch, "Generator", OfCpu)
    with Refusing():
        yield DEVICE


def moved(module):
    """A module with its parameters and buffers on the second device."""
    for part in module.modules():
        for name, value in list(part._parameters.items()):
            if value is not None:
                new = Elsewhere(value.detach())
                part._parameters[name] = torch.nn.Parameter(new, value.requires_grad)
        for name, value in list(part._buffers.items()):
            if value is not None:
                part._buffers[name] = Elsewhere(value)
    return module
