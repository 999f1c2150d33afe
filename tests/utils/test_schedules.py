import math

import pytest

from shapespace.errors import InputError
from shapespace.utils.schedules import RunProgress, Schedule, check_schedules, weight_of

END = RunProgress()


def at(text, *moments):
    """The weights of a schedule at shares of the run that are also tenths of epochs."""
    schedule = weight_of(text, "w")
    assert isinstance(schedule, Schedule)
    return [schedule(RunProgress(share, 10 * share)) for share in moments]


def test_each_kind_goes_from_knot_to_knot_and_stays_at_its_ends():
    assert at("linear 100 0 from 0.2 to 0.4", 0, 0.2, 0.25, 0.4, 1) == [100, 100, 75, 0, 0]
    assert at("linear 0 1e-4 from 0 to 5 epochs", 0, 0.25, 0.5, 1) == [0, 5e-5, 1e-4, 1e-4]
    assert at("steps 1, 0.1 at 0.5, -2 at 0.75", 0, 0.49, 0.5, 0.74, 0.75, 1) == [
        *(1, 1, 0.1, 0.1, -2, -2)
    ]
    found = at("cosine 2 0 from 0 to 1", 0, 0.25, 0.5, 1)
    assert found == pytest.approx([2, 1 + math.cos(math.pi / 4), 1, 0])


def test_a_fit_sees_the_end_of_the_run():
    for text, end in {"linear 1 3 from 0 to 0.5": 3, "steps 1, 2 at 70 epochs": 2}.items():
        schedule = weight_of(text, "w")
        assert isinstance(schedule, Schedule) and schedule(END) == end


def test_numbers_stay_numbers():
    assert weight_of(0.5, "w") == weight_of("0.5", "w") == weight_of(" 5e-1", "w") == 0.5


def test_each_fault_is_one_line():
    faults = {
        "lineer 1 0 from 0 to 1": "is no weight; give a number, 'linear A B from X to Y'",
        "linear 1 0": "is no weight",
        "steps 1": "is no weight",
        "linear 1 0 from 0.5 to 0.5": "each later than the one before",
        "linear 1 0 from -1 to 0.5": "0 or more",
        "linear 1 0 from 0 to 20": "ends after the run.*write 'epochs' behind epochs",
    }
    for text, fault in faults.items():
        with pytest.raises(InputError, match=f"^w='{text}': .*{fault}"):
            weight_of(text, "w")
    with pytest.raises(InputError, match="w=inf: give a finite number"):
        weight_of(math.inf, "w")
    shares = {"w": weight_of("linear 1 0 from 0 to 1", "w")}
    epochs = {"w": weight_of("linear 1 0 from 0 to 20 epochs", "w")}
    with pytest.raises(InputError, match=r"w: .*trainer.max_epochs=-1 has no end"):
        check_schedules(shares, endless=True, max_epochs=-1)
    with pytest.raises(InputError, match=r"w: .*ends after 20 epochs, after the run of .*=19"):
        check_schedules(epochs, endless=False, max_epochs=19)
    check_schedules(shares | {"n": 1.0}, endless=False, max_epochs=1)
    check_schedules(epochs, endless=True, max_epochs=-1)
