"""Going on in the middle of an epoch, with any number of ranks."""

from typing import Any

from shapespace.data.datamodule import ScanData


def go_on_from(checkpoint: dict[str, Any], data: ScanData) -> None:
    """Let Lightning's count of batches in ``checkpoint`` stand where ``data`` goes on.

    Lightning counts batches of one rank, and with another number of ranks or another batch size an
    epoch has another number of them; scans that were visited are counted alike by all.
    """
    place = checkpoint.get(type(data).__qualname__)
    if place is None:
        return
    data.load_state_dict(place)
    steps = data.steps
    batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    done = len(steps) - steps.steps_after(steps.start) if steps.start else len(steps)
    shift = done - batches["ready"]
    for count in batches:
        batches[count] += shift
