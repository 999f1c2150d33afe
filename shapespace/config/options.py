"""Options that a command and the library share: each stands here once, with its help and default.

A command takes such a dataclass and shows its fields as flat options (``config/arguments.py``).
This module imports no heavy library, so that ``--help`` is instant.
"""

from dataclasses import dataclass
from typing import Literal

from shapespace.errors import InputError, at_least, positive

NUM_SAMPLES = 100_000
"""Points that are drawn of a surface to measure it."""
Unit = Literal["m", "cm", "mm", "in"]
"""Length unit of scan files: metres, centimetres, millimetres or inches."""
AnyUnit = Literal["auto", "m", "cm", "mm", "in"]
"""Length unit of scan files; ``auto`` takes the unit in which the scan fits the space."""
Normals = Literal["estimate", "source", "none"]
"""Normals of the file, normals estimated for clouds that have none, or no normals."""
Axis = Literal["x", "y", "z"]
CameraAxes = Literal["opengl", "opencv"]
"""Axes of a camera: opengl is x right, y up, z backward; opencv is x right, y down, z forward."""
Freedom = Literal["none", "shift", "rigid", "similarity"]
"""Part of a pose that a fit finds: nothing; the shift; shift and turn; shift, turn and scale."""
Method = Literal["second-order", "adam-published"]
Detail = Literal["none", "full"]
"""The surface of the code alone, or that surface bent onto the scan and corrected at its points."""
Normalise = bool | Literal["each", "common"]
"""Scans keep their unit; each is scaled to radius 1; or all are scaled by one number."""
SplitBy = Literal["subject", "sequence", "frames", "random"]
"""What is held out of a training: people, sequences, blocks of frames, or single scans."""
Factor = Literal["identity", "posture"]
"""The part of a code that the scans of a subject share, and the part of each scan."""
PriorKind = Literal["mixture", "flow", "diffusion", "best"]
"""A kind of prior over codes, or the one that finds held-out codes the most likely."""
Start = Literal["mean", "zero", "fit"]
SystemName = Literal["deepsdf", "igr", "sal", "sald"]
"""Systems whose files ``shapespace import`` reads."""
FieldOutput = Literal["linear", "tanh", "tanh_plus"]
"""What follows the last layer of a decoder."""
"""First code of a new scan: the mean of the codes, zero, or the code that fits the scan."""


WalkPath = Literal["straight", "training", "best"]
"""A straight line of codes, a chain of training codes, or the one of both that strains less."""
WalkParts = Literal["all", "largest"]
"""All connected components of a shape, or the one of the largest area."""


@dataclass(frozen=True)
class ReadOptions:
    """How files are read that do not say enough themselves.

    Args:
        columns: names of the columns of text files, NPY and NPZ, as x,y,z,r,g,b, where numbers and
            header do not tell them apart. x y z nx ny nz are used; _ or any other name is not.
        strict: refuse files with points that are NaN or 0 0 0 in place of leaving these out.
    """

    columns: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        names = self.names
        if names is None:
            return
        used = [name for name in names if name in ("x", "y", "z", "nx", "ny", "nz")]
        axes = [name for name in used if len(name) == 1]
        normals = [name for name in used if len(name) == 2]
        whole = {"x", "y"} <= set(axes) and len(set(used)) == len(used)
        if not whole or {name[1] for name in normals} not in (set(), set(axes)):
            raise InputError(
                f"columns={self.columns!r}: name x y or x y z once each and, for normals, nx ny or "
                "nx ny nz, as in x,y,z,nx,ny,nz"
            )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The name of each column, in lower case; None if none are given."""
        if self.columns is None:
            return None
        return tuple(name.strip().lower() for name in self.columns.split(","))


@dataclass(frozen=True)
class FitOptions:
    """How the codes of unseen scans are found.

    Args:
        method: second-order, or adam-published, the optimisation of the IGR paper, to compare with.
        pose: what of the pose second-order finds beside the code: none, shift, rigid (any turn
            about the upright axis, tilts to some 20 degrees) or similarity.
        up: upright axis of the scans, for rigid and similarity.
        num_points: points of each scan that the fit sees; second-order takes at most 8000.
        steps: steps of adam-published; its rate drops to a tenth half way.
        seed: seed of sampling, and of the first code of adam-published.
        even: second-order weighs each point by the surface that it stands for. This suits clouds
            that are much denser in places and have few outliers.
        refine: steps, such as 200, in which the decoder moves too, near each scan. This adds detail
            that the space cannot draw, and takes a minute a scan on one core. Code and uncertainty
            are those before.
        detail: none meshes the surface of the code. full bends it onto the scan, and the training
            shapes nearest to the scan too, takes the one that ends nearest, and corrects it where
            there are points. It takes some 15 seconds more a scan on one core. By default full, but
            none for adam-published, with refine, and where a part of the code is held.
        identity_of: find the posture alone, with the identity of this training scan or subject;
            for spaces trained with model.identity_size.
        posture_of: find the identity alone, with the posture of this training scan.
        prior: file that shapespace prior fit wrote, of kind mixture. second-order then weighs the
            points against the mixture in place of the one Gaussian of the training codes, and
            starts at its means too.
    """

    method: Method = "second-order"
    pose: Freedom = "shift"
    up: Axis = "y"
    num_points: int = 16384
    steps: int = 800
    seed: int = 0
    even: bool = False
    refine: int = 0
    detail: Detail | None = None
    identity_of: str | None = None
    posture_of: str | None = None
    prior: str | None = None

    def __post_init__(self) -> None:
        at_least(1, num_points=self.num_points, steps=self.steps)
        if self.held is not None and self.method != "second-order":
            raise InputError(f"method={self.method}: finds whole codes; hold none of their parts")
        if self.identity_of is not None and self.posture_of is not None:
            raise InputError("identity_of and posture_of: nothing is left to be found; give one")
        at_least(0, seed=self.seed, refine=self.refine)
        if self.refine and self.detail == "full":
            raise InputError(f"refine={self.refine} and detail=full: give one of them")
        if self.prior is not None and self.held is not None:
            raise InputError(
                f"prior={self.prior}: is of whole codes, and a part of them is held; leave one of "
                "them out"
            )
        if self.prior is not None and self.method != "second-order":
            raise InputError(
                f"prior={self.prior} with method={self.method}: only second-order takes a prior; "
                "leave one of them out"
            )
        if self.prior is not None and self.held is not None:
            raise InputError(
                f"prior={self.prior} with a held part of the code: the prior is of whole codes; "
                "leave one of them out"
            )

    @property
    def detailed(self) -> bool:
        """True if the surface of the code is bent onto the scan and corrected."""
        if self.detail is None:
            return self.method == "second-order" and not self.refine and self.held is None
        return self.detail == "full"

    @property
    def held(self) -> tuple[Factor, str] | None:
        """The part of the code that is held, and the scan or subject that has it."""
        if self.identity_of is not None:
            return "identity", self.identity_of
        return None if self.posture_of is None else ("posture", self.posture_of)


@dataclass(frozen=True)
class MeshOptions:
    """How scans are read and reconstructions are meshed.

    Args:
        resolution: grid nodes along the longest side of a mesh.
        cell: side of a grid cell in the unit of the scan files, in place of resolution.
        batch: scans that are fitted together.
        unit: length unit of the scan files. auto takes the unit in which a scan fits the space, and
            says so. A store has its own unit.
        columns: names of the columns of text files, NPY and NPZ, as x,y,z,r,g,b, where numbers and
            header do not tell them apart.
    """

    resolution: int = 256
    cell: float | None = None
    batch: int = 8
    unit: AnyUnit = "auto"
    columns: str | None = None

    def __post_init__(self) -> None:
        at_least(2, resolution=self.resolution)
        at_least(1, batch=self.batch)
        ReadOptions(self.columns)
        if self.cell is not None:
            positive(cell=self.cell)


@dataclass(frozen=True)
class WalkOptions:
    """How a walk goes from shape to shape.

    Args:
        steps: meshes from each shape to the next, both included.
        resolution: grid nodes along the longest side of a mesh.
        path: straight goes in a straight line of codes. training goes from one nearby training code
            to the next. best takes of these the way on which the surface is strained least, and
            says which; it takes about a minute a leg.
        parts: all writes each shape whole; largest writes its largest part, and says how many were
            dropped.
        fixed_topology: carry the largest part of the first shape along the walk by the velocity of
            the surface, so that all meshes share their faces. Writes walk.glb, an animation by
            morph targets, vertices.npy and faces.npy too. A mesh of 20 000 vertices takes about a
            minute a leg.
        landmarks: JSON file {name: [x, y, z], ...} of points on the first shape, which the carried
            mesh takes along; landmarks.json says where they are on each shape. Needs
            fixed_topology.
        hold: identity keeps the person of the first shape and moves the posture alone, in a
            straight line; posture keeps the posture and moves the person. For spaces trained with
            model.identity_size.
    """

    steps: int = 7
    resolution: int = 192
    path: WalkPath = "straight"
    parts: WalkParts = "all"
    fixed_topology: bool = False
    landmarks: str | None = None
    hold: Factor | None = None

    def __post_init__(self) -> None:
        at_least(2, resolution=self.resolution)
        if self.hold is not None and self.path != "straight":
            raise InputError(
                f"hold={self.hold}: one part of a code moves in a straight line; leave out "
                f"path={self.path}"
            )
        if self.landmarks is not None and not self.fixed_topology:
            raise InputError(
                f"landmarks={self.landmarks}: only a carried mesh takes landmarks along; give "
                "--fixed-topology too"
            )

    @property
    def whole(self) -> bool:
        """True if the meshes that are written hold all parts of their shapes."""
        return self.parts == "all" and not self.fixed_topology


@dataclass(frozen=True)
class ViewOptions:
    """What is known of the sensors that took a scan.

    Args:
        depth: depth maps of one shape: PNG of 16 bits, NPY, or EXR where OpenEXR is installed.
            Depth is measured along the axis of the camera; 0 and NaN stand for none.
        masks: masks of the shape, one for each view, not black on the shape. With depth they leave
            out the background; alone they give a fit to silhouettes.
        cameras: pinhole cameras of the depth maps and masks: transforms.json in the convention of
            nerfstudio (camera-to-world), or a folder with COLMAP's cameras.txt and images.txt. Its
            positions have the unit of --unit, auto standing for m.
        axes: axes of the cameras of a transforms.json: opengl (x right, y up, z backward, as
            nerfstudio and Blender) or opencv (x right, y down, z forward). By default as the file
            says, else opengl.
        depth_unit: unit of the depth maps. By default mm for PNG files, and the unit of the cameras
            for others.
        sensor: position of the sensor of the scan files, X Y Z, or a text file with a position for
            each scan in their order. Nothing of the shape is then put between sensor and points.
    """

    depth: list[str] | None = None
    masks: list[str] | None = None
    cameras: str | None = None
    axes: CameraAxes | None = None
    depth_unit: Unit | None = None
    sensor: list[str] | None = None


@dataclass(frozen=True)
class RenderOptions:
    """How a shape of a space is rendered.

    Args:
        views: cameras at equal angles around the shape.
        size: pixels along each side of an image.
        elevation: degrees by which the cameras look down.
        azimuth: degrees of the first camera about the upright axis.
        up: upright axis of the shapes.
        axes: axes of the cameras of a camera file: opengl (x right, y up, z backward, as nerfstudio
            and Blender) or opencv (x right, y down, z forward). By default as the file says, else
            opengl; COLMAP's are opencv.
        by: trace finds the surface by sphere tracing; weights by the unbiased weights of NeuS.
        step_factor: steps are f times this factor: the safe factor that shapespace diagnose prints.
            By default it is estimated.
        depth_format: png of 16 bits, or npy.
        noise: standard deviation that is added to the depths, in the unit of the space.
        seed: seed of the noise.
    """

    views: int = 4
    size: int = 320
    elevation: float = 10.0
    azimuth: float = 20.0
    up: Axis = "y"
    axes: CameraAxes | None = None
    by: Literal["trace", "weights"] = "trace"
    step_factor: float | None = None
    depth_format: Literal["png", "npy"] = "png"
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, views=self.views)
        at_least(8, size=self.size)
        at_least(0, seed=self.seed)
        if self.step_factor is not None:
            positive(step_factor=self.step_factor)
        if self.noise:
            positive(noise=self.noise)
        if not -89 <= self.elevation <= 89:
            raise InputError(f"elevation={self.elevation}: give degrees from -89 to 89")


@dataclass(frozen=True)
class SurfaceOptions:
    """How one scan is reconstructed by itself.

    Args:
        config: recipe in place of the built-in one, which is surface: a file, or a name.
        steps: optimisation steps.
        num_points: points of the scan in each step; all points if the scan has fewer.
        resolution: grid nodes along the longest side of the mesh.
        run: folder that keeps checkpoint and metrics, from which a stopped call goes on. By default
            none is kept.
        seed: seed of sampling and of the weights.
        normals: source keeps the normals of the file; estimate also estimates normals for a cloud
            that has none; none uses no normals.
        columns: names of the columns of a text file, NPY or NPZ, as x,y,z,r,g,b, where numbers and
            header do not tell them apart.
    """

    config: str | None = None
    steps: int = 2000
    num_points: int = 1024
    resolution: int = 256
    run: str | None = None
    seed: int = 0
    normals: Normals = "estimate"
    columns: str | None = None

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, num_points=self.num_points)
        at_least(2, resolution=self.resolution)
        ReadOptions(self.columns)


@dataclass(frozen=True)
class EvaluationOptions:
    """How reconstructions are measured.

    Args:
        num_samples: points drawn of each surface.
        baselines: measure also what any method must beat: the training shape nearest to the scan,
            and the mean shape, in the pose of the reconstruction; and screened Poisson of the same
            scan (all its points, depths 8 and 9, the largest part), which needs Open3D.
        group_end: text that ends the person in the name of a scan. The bootstrap draws people. If
            empty, it draws scans.
        labels: NPZ file of boolean masks over the vertices of the true surfaces, which are all of
            one topology. The name of a mask, such as hands, names a part whose error is a column of
            its own.
    """

    num_samples: int = NUM_SAMPLES
    baselines: bool = False
    group_end: str = "_"
    labels: str | None = None

    def __post_init__(self) -> None:
        at_least(1, num_samples=self.num_samples)


@dataclass(frozen=True)
class DiagnosticsOptions:
    """How a field is sampled to see how far it is from a signed distance.

    Args:
        num_points: random samples in the box, and as many near each surface.
        seed: seed of all that is drawn.
        resolution: grid nodes along the longest side of the mesh that stands for a zero set.
        num_rays: rays that are traced at each shape.
    """

    num_points: int = 50_000
    seed: int = 0
    resolution: int = 128
    num_rays: int = 1024


@dataclass(frozen=True)
class ImportOptions:
    """How the files of another system are understood.

    Args:
        like: the system whose network it is: deepsdf, igr, sal or sald. The files do not say it.
        names: a text file with the names of the scans, one a line, or a JSON of splits as DeepSDF
            has it, in the order of the codes. By default they are called shape_0000 and so on.
        unit: m, or radius for normalised shapes; by default that of the system: radius for
            deepsdf, else m.
        extent: half the side of the box that holds the shapes; by default that of the system: 1 for
            deepsdf, else 1.8.
        divide_skip: whether the skip layer divides its inputs by sqrt 2; by default as the system
            does it: deepsdf does not, the others do.
        output: what follows the last layer: linear, tanh, or tanh_plus for tanh(a) + a; by default
            as the system does it: tanh for deepsdf, else linear.
    """

    like: SystemName
    names: str | None = None
    unit: Literal["m", "radius"] | None = None
    extent: float | None = None
    divide_skip: bool | None = None
    output: FieldOutput | None = None
