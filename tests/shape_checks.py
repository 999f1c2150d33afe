"""Shapes and types in signatures are checked at the first calls of each function in each test.

A check costs ten times as much as a small function itself, and a hundred times that where the
function is defined anew within another. What a function is given seldom changes shape in a loop.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from types import CodeType

FIRST = 16
"""Calls of each function in each test that are checked; after them the 32nd, 64th, 128th, ..."""


class FirstCalls:
    """A stand-in for ``jaxtyping.jaxtyped`` that checks the first calls since the last ``reset``.

    Args:
        jaxtyped: the decorator of jaxtyping, which checks every call.
    """

    def __init__(self, jaxtyped: Callable):
        self.jaxtyped = jaxtyped
        self._calls: Counter[CodeType] = Counter()

    def reset(self) -> None:
        """Begin to count the calls of every function anew."""
        self._calls.clear()

    def __call__(self, *items: object, typechecker: Callable) -> object:
        """Return the decorated item, or without an item the decorator, as jaxtyping does."""
        if not items:
            return functools.partial(self, typechecker=typechecker)
        (item,) = items
        check = functools.partial(self.jaxtyped, typechecker=typechecker)
        if inspect.isfunction(item):
            return self._counted(item, functools.cache(lambda: check(item)))
        if not inspect.isclass(item):
            return check(item)
        bare = item.__init__
        checked = check(item).__init__
        if checked is not bare:
            item.__init__ = self._counted(bare, lambda: checked)
        return item

    def _counted(self, bare: Callable, checked: Callable[[], Callable]) -> Callable:
        # A function that is defined anew at each call of another is one by its code.
        code, calls = bare.__code__, self._calls

        @functools.wraps(bare)
        def counted(*args: object, **kwargs: object) -> object:
            __tracebackhide__ = True
            calls[code] += 1
            count = calls[code]
            if count > FIRST and count & (count - 1):
                return bare(*args, **kwargs)
            return checked()(*args, **kwargs)

        return counted
