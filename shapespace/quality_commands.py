"""The commands that measure: signatures are the syntax, docstrings the help."""

from shapespace.commands import say


def certify(
    checkpoint: str,
    *,
    names: list[str] | None = None,
    num_shapes: int = 8,
    num_points: int = 50_000,
    resolution: int = 128,
    num_rays: int = 1024,
    seed: int = 0,
    out: str | None = None,
) -> None:
    """Say how far the field of a space is from a signed distance.

    Measures training shapes: |grad f| - 1, |f| against the exact distance to the mesh of its zero
    set, signs, extra sheets, how steep f gets, and the factor that makes sphere tracing safe, tried
    on rays. Prints a table; writes CHECKPOINT.certificate.json, all numbers with what they mean,
    and CHECKPOINT.certificate.html, a page with pictures.

      shapespace certify runs/bodies-cpu/last.ckpt
      shapespace certify runs/bodies-cpu/last.ckpt --names 60001_hips_001466 --out checked/

    Args:
        checkpoint: made by shapespace fit.
        names: shapes to measure, or a text file with their names, one a line.
        num_shapes: how many are measured without names, evenly from the first to the last.
        num_points: random places in the box, and as many near each surface.
        resolution: grid nodes along the longest side of the mesh that stands for a zero set.
        num_rays: rays that are traced at each shape.
        seed: of all that is drawn.
        out: folder for the files; beside the checkpoint by default.
    """
    from pathlib import Path

    from shapespace.certificate_page import write_page
    from shapespace.certify import Settings, certify_space, write_certificate
    from shapespace.files import output_folder
    from shapespace.space import TrainedSpace

    space = TrainedSpace.load(checkpoint)
    folder = output_folder(Path(checkpoint).parent if out is None else out)
    settings = Settings(num_points, seed, resolution, num_rays)
    certified = certify_space(space, names, num_shapes, settings)
    say(certified.text())
    stem = Path(checkpoint).stem
    say(f"wrote {write_certificate(certified, folder / f'{stem}.certificate.json')}")
    say(f"wrote {write_page(certified, folder / f'{stem}.certificate.html')}")
