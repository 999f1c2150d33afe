"""Damaged checkpoints by number, and a process that resumes a training from each of them.

``python -m tests.damaged RUN FIRST LAST EVERY`` resumes from the damaged ``last.ckpt`` of a run
folder, and writes a line of JSON each: number, what was changed, and what came of it.
"""

import copy
import faulthandler
import json
import shutil
import signal
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

import torch

from shapespace.checkpoint import CHECKPOINT, write_checkpoint
from shapespace.errors import InputError
from shapespace.training.callbacks.signals import Signals
from shapespace.training.cli import TrainingCLI, one_line_misconfigurations, quiet

SECONDS = 10
DROPPED = object()
PLAIN = {
    "dropped": lambda _: DROPPED,
    "none": lambda _: None,
    "text": lambda _: "text",
    "-1": lambda _: -1,
    "0": lambda _: 0,
    "huge": lambda _: 2**70,
    "nan": lambda _: float("nan"),
    "list": lambda _: [],
    "mapping": lambda _: {},
    "tensor": lambda _: torch.zeros(2, 3),
}
TENSOR = {
    "a row less": lambda old: old[:-1].clone() if old.dim() else torch.zeros(0),
    "a row more": lambda old: torch.cat([old, old[:1]]) if old.dim() else torch.zeros(1),
    "empty": lambda old: old.new_zeros(0),
    "one number": lambda _: torch.tensor(1.0),
    "flat": lambda old: old.reshape(-1)[None].clone(),
    "NaN": lambda old: torch.full_like(old, float("nan")),
    "infinite": lambda old: torch.full_like(old, float("inf")),
    "negative": lambda old: torch.full_like(old, -1.0),
    "whole": lambda old: old.long(),
    "complex": lambda old: old.to(torch.complex64),
    "half": lambda old: old.half(),
    "bool": lambda old: old.bool(),
    "sparse": lambda old: old.to_sparse(),
    "claimed": lambda old: torch.zeros(()).expand(10**6, *old.shape),
    "without": lambda old: torch.zeros(()).expand(old.shape),
    "dropped": lambda _: DROPPED,
    "text": lambda _: "text",
    "mapping": lambda _: {},
}


def places(value, place=()):
    """The keys that lead to each value of nested plain data; of a list only the ends."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*place, key))
    elif isinstance(value, list | tuple):
        for row in sorted({0, len(value) - 1} & set(range(len(value)))):
            yield from places(value[row], (*place, row))


def at(content, place):
    for key in place:
        content = content[key]
    return content


def damages(content):
    """All single damages of a checkpoint: where and what, in an order that mixes them."""
    found = [
        (place, name)
        for place in places(content)
        for name in (TENSOR if isinstance(at(content, place), torch.Tensor) else PLAIN)
        # Tuples stand for themselves.
        if not any(isinstance(at(content, place[:cut]), tuple) for cut in range(len(place)))
    ]
    # Steps of a large number that shares no factor with most counts.
    return [found[(7919 * number) % len(found)] for number in range(len(found))]


def damaged(content, place, name):
    """A copy of a checkpoint with one damage."""
    content = copy.deepcopy(content)
    holder, key = at(content, place[:-1]), place[-1]
    old = holder[key]
    new = (TENSOR if isinstance(old, torch.Tensor) else PLAIN)[name](old)
    if new is DROPPED:
        del holder[key]
    else:
        holder[key] = new
    return content


class Again(TrainingCLI):
    """A training whose options are parsed once, and which is built and resumed many times."""

    def _run_subcommand(self, subcommand):
        """Wait for :meth:`resume`."""

    def resume(self):
        with ExitStack() as self.held, one_line_misconfigurations():
            self.config_init = None
            self.instantiate_classes()
            super()._run_subcommand("fit")


def _too_long(*_):
    raise TimeoutError(f"longer than {SECONDS} s")


def outcome(cli):
    """What comes of a resume: "resumed", the line of an InputError, or a fault of ours."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(SECONDS + 5, exit=True)
    try:
        cli.resume()
    except InputError as error:
        return f"line: {error}"
    except BaseException as error:
        return f"FAULT: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    return "resumed"


def main(run, first, last, every):
    torch.set_num_threads(1)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    run = Path(run)
    kept = run.with_name("kept.ckpt")
    shutil.copy(run / CHECKPOINT, kept)
    content = torch.load(kept, weights_only=True)
    arguments = [
        f"--config={run / 'config.yaml'}",
        f"--trainer.default_root_dir={run}",
        "--trainer.max_epochs=3",
    ]
    with quiet(), Signals() as signals, ExitStack() as held:
        cli = Again(arguments, signals, held, save_config_callback=None)
        for number in range(first, last, every):
            place, name = damages(content)[number]
            for path in run.glob("*.ckpt"):
                path.unlink()
            write_checkpoint(damaged(content, place, name), run / CHECKPOINT)
            said = {"number": number, "place": [str(key) for key in place], "change": name}
            sys.stdout.write(json.dumps(said | {"outcome": outcome(cli)}) + "\n")
            sys.stdout.flush()
    shutil.move(kept, run / CHECKPOINT)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
