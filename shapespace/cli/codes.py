"""The commands ``shapespace codes ...``: signatures are the syntax, docstrings the help."""

from shapespace.cli.output import say_line
from shapespace.config.options import Start


def add(
    checkpoint: str,
    store: str,
    *,
    out: str,
    scans: str | None = None,
    start: Start = "mean",
) -> None:
    """Add scans of a store to a trained space, to train on from there with all of them.

    Decoder, codes and what the optimisers know of them stay as they are. OUT is where a new run
    begins, if it is the last.ckpt of its folder; the run needs a store (or list) with exactly the
    scans of OUT, in any order, and more trainer.max_epochs than the one before had:

      shapespace prepare my_scans/ scans.hdf5
      shapespace codes add runs/a/last.ckpt scans.hdf5 --out runs/b/last.ckpt
      shapespace train --config a.yaml --trainer.default_root_dir runs/b --trainer.max_epochs 80

    Args:
        checkpoint: made by shapespace train.
        store: written by shapespace prepare, with unit and dimension of the space. It may hold only
            the new scans; shapespace data merge then makes the store to train on.
        out: the checkpoint to write. It may be CHECKPOINT itself; what was last.ckpt stays as
            previous.ckpt.
        scans: text file with the names of the scans to add, one a line; all by default. Scans that
            are in the space already are left alone.
        start: their codes: the mean of those there are, zero, or fit, which finds the best one of
            each scan in seconds and suits a decoder that is nearly done.
    """
    from shapespace.reconstruction.edit_codes import add_scans
    from shapespace.utils.files import read_lines

    names = None if scans is None else read_lines(scans)
    added = add_scans(checkpoint, store, out, names, start)
    say_line(f"wrote {out}: scans added: {len(added)}, start: {start}")


def drop(
    checkpoint: str,
    *,
    out: str,
    scans: str | None = None,
    names: list[str] | None = None,
) -> None:
    """Take scans out of a trained space, to train on from there without them.

    Decoder, the other codes and what the optimisers know of them stay as they are. A new run goes
    on from OUT, if it is the last.ckpt of its folder, with a list of the scans that are left and
    more trainer.max_epochs than the one before had:

      shapespace codes drop runs/a/last.ckpt --names anna_007 bert_012 --out runs/b/last.ckpt
      shapespace train --config a.yaml --trainer.default_root_dir runs/b --data.scans left.txt

    Args:
        checkpoint: made by shapespace train.
        out: the checkpoint to write. It may be CHECKPOINT itself; what was last.ckpt stays as
            previous.ckpt.
        scans: text file with the names of the scans to take out, one a line.
        names: scans to take out; shapespace info CHECKPOINT --names lists all.
    """
    from shapespace.reconstruction.edit_codes import drop_scans
    from shapespace.utils.files import read_lines

    listed = [] if scans is None else read_lines(scans)
    left = drop_scans(checkpoint, [*listed, *(names or [])], out)
    say_line(f"wrote {out}: scans left: {len(left)}")
