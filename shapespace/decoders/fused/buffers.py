"""Buffers of the passes, used again from block to block and from step to step.

A large tensor that is freed goes back to the operating system, and the next one consists of fresh
pages. On a CPU their page faults cost as much as the arithmetic that is done on them. Tensors of
the same shape and type are therefore pooled.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

Key = tuple[tuple[int, ...], torch.dtype]
LEASES_KEPT = 8
"""Steps after which a size that nobody asked for is dropped. A training has a few sizes."""


class BufferPool:
    """Uninitialised tensors of one device, handed out, given back by hand and handed out again.

    On a GPU torch's allocator keeps freed memory itself: the pool keeps nothing there.
    """

    def __init__(self) -> None:
        self._free: defaultdict[Key, list[Tensor]] = defaultdict(list)
        self._asked: dict[Key, int] = {}
        self._leases = 0

    def take(self, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype) -> Tensor:
        """A tensor with undefined content.

        Args:
            shape: of the tensor.
            like: a tensor on the wanted device.
            dtype: of the tensor.
        """
        self._asked[shape, dtype] = self._leases
        if like.device.type == "cpu" and (free := self._free[shape, dtype]):
            return free.pop()
        return torch.empty(shape, dtype=dtype, device=like.device)

    def like(self, tensor: Tensor) -> Tensor:
        """A tensor with undefined content, of the shape, type and device of ``tensor``."""
        return self.take(tuple(tensor.shape), tensor, tensor.dtype)

    def cast(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """``tensor`` in ``dtype``: itself, or a copy, and then ``tensor`` is given back."""
        if tensor.dtype == dtype:
            return tensor
        copy = self.take(tuple(tensor.shape), tensor, dtype).copy_(tensor)
        self.give(tensor)
        return copy

    def give(self, tensor: Tensor) -> None:
        """Take back a tensor that nobody reads any more."""
        if tensor.device.type == "cpu":
            self._free[tuple(tensor.shape), tensor.dtype].append(tensor)

    def give_all(self, tensors: Iterable[Tensor]) -> None:
        """Take back several tensors."""
        for tensor in tensors:
            self.give(tensor)

    def lease(self) -> "Lease":
        """A lease for one step. Sizes that the last few steps did not ask for are dropped."""
        self._leases += 1
        for key, last_asked in list(self._asked.items()):
            # A training alternates between a few sizes; what none of the last steps used is of
            # another batch size or of an evaluation that will not come again.
            if last_asked < self._leases - LEASES_KEPT:
                self._free.pop(key, None)
                del self._asked[key]
        return Lease(self)

    def __reduce__(self) -> tuple[type["BufferPool"], tuple[()]]:
        """Copies and pickles of a pool begin empty."""
        return BufferPool, ()


class Lease:
    """The tensors that one step keeps for its backward pass.

    The graph of autograd holds the lease. The backward pass may run again while the graph lives, so
    that the tensors go back to the pool only when the lease is deleted.

    Args:
        pool: the pool that the tensors come from.
    """

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool
        self.blocks: list[tuple[list[Tensor], list[Tensor]]] = []
        """(l, u) of every hidden layer, block by block."""

    def __del__(self) -> None:
        """Give all tensors back."""
        for block in self.blocks:
            for tensors in block:
                self._pool.give_all(tensors)
