"""Resuming in the middle of an epoch, with any number of ranks and the scans in any order."""

from typing import Any

from shapespace.training.batches import Steps


def set_batch_counts(checkpoint: dict[str, Any], steps: Steps) -> None:
    """Make Lightning's counts of batches in a checkpoint fit the steps that are left.

    Lightning counts the batches of one rank. With another number of ranks or another batch size an
    epoch has another number of batches. Visits of scans are counted alike by all ranks, so
    ``steps`` knows the place in the epoch.

    Args:
        checkpoint: content of a checkpoint; its batch counts and epoch means are changed in place.
        steps: steps of this rank, which start where the training is resumed.
    """
    if not steps.start:
        # The means in the checkpoint are of an epoch that is complete or begins anew.
        checkpoint["shapespace"].pop("means", None)
    batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    # At the start of an epoch Lightning still has the counts of the completed epoch before.
    done = len(steps) - steps.steps_after(steps.start) if steps.start else len(steps)
    shift = done - batches["ready"]
    for count in batches:
        batches[count] += shift
