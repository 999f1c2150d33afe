"""A wrong shape is found at the first calls of each test, and at some of the many that follow."""

from dataclasses import dataclass

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from shapespace.scan import Scan
from tests.shape_checks import FIRST, FirstCalls

RIGHT, WRONG = torch.zeros(3, 2), torch.zeros(2)


@pytest.fixture
def of_first_calls():
    return FirstCalls(getattr(jaxtyping.jaxtyped, "jaxtyped", jaxtyping.jaxtyped))


def number_of(points: Float[Tensor, "K D"]) -> int:
    return points.shape[0]


@dataclass
class Cloud:
    points: Float[Tensor, "K D"]


@pytest.mark.parametrize("item", [number_of, Cloud])
def test_the_first_calls_and_powers_of_two_are_checked(of_first_calls, item):
    checked = of_first_calls(typechecker=beartype)(item)
    for call in range(1, 4 * FIRST + 1):
        if call <= FIRST or call in (2 * FIRST, 4 * FIRST):
            with pytest.raises(TypeCheckError):
                checked(WRONG)
        else:
            checked(WRONG)
    of_first_calls.reset()
    with pytest.raises(TypeCheckError):
        checked(WRONG)
    checked(RIGHT)


def test_the_package_is_checked():
    with pytest.raises(TypeCheckError):
        Scan(torch.zeros(1), torch.zeros(3), None, torch.zeros(3))


@pytest.mark.parametrize("attempt", range(2))
def test_each_test_counts_anew(attempt):
    from shapespace.fitting.residuals import median_distance

    with pytest.raises(TypeCheckError):
        median_distance(torch.zeros(4, 3))
    for _ in range(FIRST):
        median_distance(torch.zeros(1, 4, 3))


def test_a_function_that_is_defined_anew_is_counted_on(of_first_calls):
    def defined():
        def number(points: Float[Tensor, "K D"]) -> int:
            return len(points)

        return of_first_calls(typechecker=beartype)(number)

    for _ in range(FIRST):
        with pytest.raises(TypeCheckError):
            defined()(WRONG)
    assert defined()(WRONG) == 2
