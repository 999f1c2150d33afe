"""The shape parameters of a synthetic person."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """One person.

    Args:
        name: name of the subject, digits.
        sex: "f" or "m".
        stature: height in metres, 1.4 to 2.1.
        shoulders: breadth of the shoulders as a factor of the average of the sex.
        hips: breadth of the hips, as a factor.
        limbs: thickness of arms and legs, as a factor.
        legs: length of the legs, as a factor; the stature does not change.
        head: size of the head, as a factor.
        belly: 0 for a flat belly, up to 1.
        muscle: 0 for slight muscles, up to 1.
    """

    name: str
    sex: str
    stature: float
    shoulders: float = 1.0
    hips: float = 1.0
    limbs: float = 1.0
    legs: float = 1.0
    head: float = 1.0
    belly: float = 0.2
    muscle: float = 0.4


SUBJECTS: tuple[Identity, ...] = (
    Identity("90001", "m", 1.78),
    Identity("90002", "f", 1.66),
    Identity("90003", "m", 1.88, shoulders=1.05, legs=1.02, belly=0.05, muscle=0.9),
    Identity("90004", "f", 1.58, hips=1.06, limbs=1.08, legs=0.97, head=1.03, belly=0.5),
    Identity("90005", "m", 1.70, hips=1.05, limbs=1.06, legs=0.97, belly=1.0, muscle=0.2),
    Identity("90006", "f", 1.74, shoulders=1.03, limbs=0.96, legs=1.03, belly=0.0, muscle=0.7),
    Identity("90007", "m", 1.82, shoulders=0.96, hips=0.96, limbs=0.9, legs=1.02, belly=0.0),
    Identity("90008", "f", 1.62, shoulders=0.97, hips=0.96, limbs=0.92, belly=0.0, muscle=0.2),
    Identity("90009", "m", 1.64, shoulders=1.02, limbs=1.04, head=1.04, belly=0.4, muscle=0.6),
    Identity("90010", "f", 1.70, hips=1.1, limbs=1.12, shoulders=1.04, belly=0.9, muscle=0.3),
)
"""Ten people, five of each sex."""
