"""Going on in the middle of an epoch, with any number of ranks and the scans in any order."""

from typing import Any

from shapespace.checkpoint import PLACE, with_scans
from shapespace.training.datamodule import ScanData


def go_on_from(checkpoint: dict[str, Any], data: ScanData) -> None:
    """Let codes, optimisers and counts of batches in ``checkpoint`` stand where ``data`` goes on.

    Lightning counts batches of one rank, and with another number of ranks or another batch size an
    epoch has another number of them; scans that were visited are counted alike by all.
    """
    checkpoint.update(with_scans(checkpoint, data.names))
    if PLACE not in checkpoint:
        return
    data.load_state_dict(checkpoint[PLACE])
    steps = data.steps
    if not steps.start:
        checkpoint["shapespace"].pop("means", None)
    batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    done = len(steps) - steps.steps_after(steps.start) if steps.start else len(steps)
    shift = done - batches["ready"]
    for count in batches:
        batches[count] += shift
