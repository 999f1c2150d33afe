"""``codes ...``, ``prior ...``, ``export`` and ``import``.

Signatures are the syntax, docstrings the help.
"""

from shapespace.cli.output import say_line
from shapespace.config.options import Axis, ImportOptions, PriorKind, Start


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


def export(checkpoint: str, *, out: str, onnx: bool = False, licence: str | None = None) -> None:
    """Write a trained space as a folder for others, which is read without pickle.

    OUT/space.safetensors holds decoder and codes. OUT/space.json holds all else in plain text:
    names and frames of the scans, unit, recipe, licence and checksums. The optimisers are left out,
    so that a training goes on from the checkpoint only. Every command that takes a checkpoint to
    use it takes OUT too; in Python, TrainedSpace.from_pretrained(OUT). OUT/README.md is its model
    card, with the scores of the run's evaluation if there is one.

    A space shows its training scans. Look at their licence before you pass it on.

      shapespace export runs/bodies-cpu/last.ckpt --out bodies/ --licence CC-BY-4.0
      shapespace mesh bodies/ NAME --out meshes/

    Args:
        checkpoint: made by shapespace train.
        out: folder to write.
        onnx: also write OUT/field.onnx, f and grad f for other programs, and OUT/jacobian.onnx,
            both with df/dz, and compare them with the decoder in onnxruntime. Needs the extra onnx.
        licence: under which others may use the space, as it is to stand in space.json.
    """
    from pathlib import Path

    from shapespace.sharing.bundle import read_space, write_bundle
    from shapespace.sharing.model_card import CARD, evaluated, write_model_card
    from shapespace.sharing.onnx import FIELD, JACOBIAN, check_packages, write_onnx
    from shapespace.space import TrainedSpace
    from shapespace.utils.files import empty_again

    files = [Path(out) / FIELD, Path(out) / JACOBIAN]
    if onnx:
        check_packages()
    space = TrainedSpace.load(checkpoint, "cpu")
    with empty_again(out):
        folder = write_bundle(read_space(checkpoint), out, digest=space.digest, licence=licence)
        if not write_model_card(folder, evaluated(Path(checkpoint).parent, space.digest)):
            say_line(f"{folder / CARD}: is a page of your own, and stays")
        for file in files:
            if onnx:
                with_codes = file.name == JACOBIAN
                error = write_onnx(space.decoder, file, space.extent, with_codes)
                say_line(f"wrote {file}: differs from the decoder by {error:.1g} at most")
            elif file.exists():
                say_line(f"{file}: is of an earlier export; say --onnx to write it anew")
    say_line(f"wrote {out}: {space!r}, digest {space.digest[:16]}")


def fit(
    checkpoint: str, *, kind: PriorKind = "mixture", out: str | None = None, seed: int = 0
) -> None:
    """Learn the distribution of the codes of a space, to draw new shapes and to fit scans with.

    Prints how likely it finds codes that were held out, beside one Gaussian: of people where the
    names tell them, else of motions, else of single scans. It takes seconds to minutes.

      shapespace prior fit runs/bodies-cpu/last.ckpt
      shapespace prior fit runs/bodies-cpu/last.ckpt --kind best --out best.safetensors
      shapespace prior sample runs/bodies-cpu/last.ckpt --out new/
      shapespace reconstruct runs/a/last.ckpt scan.ply --prior runs/a/prior.safetensors --out out/

    Args:
        checkpoint: made by shapespace train, or a folder of shapespace export.
        kind: mixture of Gaussians, which reconstruct can use too; flow, which needs the extra
            prior; diffusion; or best, the one that finds held-out codes the most likely.
        out: file to write, prior.safetensors beside the checkpoint by default.
        seed: of all that is random.
    """
    from shapespace.evaluation.samples.prior import make_prior

    made = make_prior(checkpoint, kind, out, seed)
    for line in made.lines():
        say_line(line)
    say_line(f"wrote {made.path}")


def sample(
    checkpoint: str,
    *,
    out: str,
    prior: str | None = None,
    num: int = 16,
    seed: int = 0,
    resolution: int = 128,
    judge: bool = False,
    up: Axis = "y",
    identity_of: str | None = None,
    posture_of: str | None = None,
) -> None:
    """Draw new shapes of a space from the prior that shapespace prior fit made.

    Writes to OUT for each sample: 000.ply, the mesh in the frame and unit of the space; 000.npy,
    the code; 000.json, its nearest training shape and the distance to it. sheet.png shows each
    sample above its nearest training shape. Samples of an earlier call with the same options are
    kept, and more samples leave the first ones as they are.

      shapespace prior sample runs/bodies-cpu/last.ckpt --out new/
      shapespace prior sample runs/bodies-cpu/last.ckpt --num 64 --judge --out new/
      shapespace prior sample runs/people/last.ckpt --identity-of 50002 --out postures/

    Args:
        checkpoint: made by shapespace train, or a folder of shapespace export.
        out: folder for the results; samples in the run folder are shown by shapespace report.
        prior: file of the prior, prior.safetensors beside the checkpoint by default.
        num: samples.
        seed: of the draws.
        resolution: grid nodes along the longest side of a mesh.
        judge: measure the samples as a set too: coverage, minimum matching distance,
            1-nearest-neighbour accuracy, specificity, novelty beside shapes held out, copies, and
            generalisation and compactness of the space. It takes minutes.
        up: axis of the shapes that points up, for the sheet.
        identity_of: draw postures alone, each with the identity of this training scan or subject;
            for spaces trained with model.identity_size and a mixture.
        posture_of: draw identities alone, each in the posture of this training scan.
    """
    from shapespace.config.options import FitOptions
    from shapespace.evaluation.samples.draw import draw_samples_of
    from shapespace.utils.files import empty_again

    with empty_again(out):
        drawn = draw_samples_of(
            checkpoint,
            out,
            prior=prior,
            num=num,
            seed=seed,
            resolution=resolution,
            judged=judge,
            up=up,
            hold=FitOptions(identity_of=identity_of, posture_of=posture_of).held,
        )
    for line in drawn.lines():
        say_line(line)


def import_(
    weights: str,
    *,
    out: str,
    options: ImportOptions,
    codes: str | None = None,
    licence: str | None = None,
) -> None:
    """Read a space that the authors' code of DeepSDF, IGR, SAL or SALD has trained.

    Writes OUT as shapespace export does: every command that takes a checkpoint to use it takes OUT.
    Files are read as plain tensors; nothing in them is executed. Sizes, skip connection, weight
    norm and code length are read off the matrices.

      shapespace import examples/sofas/ --like deepsdf --out sofas/
      shapespace import latest.pth --codes codes.pth --like igr --names train.txt --out bodies/
      shapespace mesh sofas/ shape_0000 --out meshes/

    Args:
        weights: file of the weights, or the folder of a training: it holds
            ModelParameters/latest.pth and LatentCodes/latest.pth.
        out: folder to write.
        options: what the files do not say.
        codes: file of the codes, where weights is a file.
        licence: under which others may use the space, as it is to stand in space.json.
    """
    from shapespace.sharing.bundle import write_bundle
    from shapespace.sharing.foreign import foreign_content, share_inside
    from shapespace.sharing.model_card import write_model_card
    from shapespace.space import TrainedSpace
    from shapespace.utils.files import empty_again

    content = foreign_content(weights, codes, options)
    space = TrainedSpace.of_content(content, weights, "cpu")
    first = next(iter(space))
    inside = share_inside(space.decoder, space[first], space.extent)
    with empty_again(out):
        write_model_card(write_bundle(content, out, digest=space.digest, licence=licence), None)
    say_line(f"wrote {out}: {space!r}, digest {space.digest[:16]}")
    remedy = "" if 0 < inside < 1 else ": it has no surface there; check --like and --extent"
    say_line(f"{first} fills {inside:.1%} of the box ±{space.extent:g}{remedy}")
