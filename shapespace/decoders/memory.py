"""Memory that is used again: fresh pages cost the CPU as much as the arithmetic done on them."""

from collections import defaultdict

import torch
from torch import Tensor

Key = tuple[tuple[int, ...], torch.dtype]

MOST_SHAPES = 32
"""Beyond these all is dropped: a training asks for the same few again and again."""


class Memory:
    """Uninitialised tensors of one device, given back by hand and handed out again.

    On a GPU torch keeps freed memory itself, so that nothing is kept here.
    """

    def __init__(self) -> None:
        self._free: defaultdict[Key, list[Tensor]] = defaultdict(list)

    def take(self, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype) -> Tensor:
        """A tensor of any content on the device of ``like``."""
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
        if len(self._free) > MOST_SHAPES:
            self._free.clear()
        for tensor in tensors:
            if tensor.device.type == "cpu":
                self._free[tuple(tensor.shape), tensor.dtype].append(tensor)

    def __reduce__(self) -> tuple[type["Memory"], tuple[()]]:
        """Copies and pickles begin empty."""
        return Memory, ()


class Lease:
    """Tensors that go back to their memory when nobody holds the lease any more."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.blocks: list[list[list[Tensor]]] = []

    def __del__(self) -> None:
        """Give everything back."""
        for block in self.blocks:
            for tensors in block:
                self._memory.give(*tensors)
