"""Memory that is used again: fresh pages cost the CPU as much as the arithmetic done on them."""

from collections import defaultdict

import torch
from torch import Tensor

Key = tuple[tuple[int, ...], torch.dtype]
LEASES_KEPT = 8
"""Steps after which tensors that nobody asked for are dropped: a training has a few sizes."""


class BufferPool:
    """Uninitialised tensors of one device, given back by hand and handed out again.

    On a GPU torch keeps freed memory itself, so that nothing is kept here.
    """

    def __init__(self) -> None:
        self._free: defaultdict[Key, list[Tensor]] = defaultdict(list)
        self._asked: dict[Key, int] = {}
        self._leases = 0

    def take(self, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype) -> Tensor:
        """A tensor of any content on the device of ``like``."""
        self._asked[shape, dtype] = self._leases
        if like.device.type == "cpu" and (free := self._free[shape, dtype]):
            return free.pop()
        return torch.empty(shape, dtype=dtype, device=like.device)

    def like(self, tensor: Tensor) -> Tensor:
        """A tensor of any content, of the shape and precision of ``tensor``."""
        return self.take(tuple(tensor.shape), tensor, tensor.dtype)

    def cast(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """The same numbers in ``dtype``; takes ``tensor`` back if that is another."""
        if tensor.dtype == dtype:
            return tensor
        copy = self.take(tuple(tensor.shape), tensor, dtype).copy_(tensor)
        self.give(tensor)
        return copy

    def give(self, *tensors: Tensor) -> None:
        """Take back what nobody reads any more."""
        for tensor in tensors:
            if tensor.device.type == "cpu":
                self._free[tuple(tensor.shape), tensor.dtype].append(tensor)

    def lease(self) -> "Lease":
        """A lease for one step; what the last few did not ask for is dropped."""
        self._leases += 1
        for key, last in list(self._asked.items()):
            if last < self._leases - LEASES_KEPT:
                self._free.pop(key, None)
                del self._asked[key]
        return Lease(self)

    def __reduce__(self) -> tuple[type["BufferPool"], tuple[()]]:
        """Copies and pickles begin empty."""
        return BufferPool, ()


class Lease:
    """Tensors that go back to their memory when nobody holds the lease any more."""

    def __init__(self, memory: BufferPool) -> None:
        self._memory = memory
        self.blocks: list[list[list[Tensor]]] = []

    def __del__(self) -> None:
        """Give everything back."""
        for block in self.blocks:
            for tensors in block:
                self._memory.give(*tensors)
