"""Arms and legs, hands and feet, as tables of balls.

Frame and unit as in :mod:`shapespace.synthetic.primitives`. The tables hold the left side only.
"""

from shapespace.synthetic.identity import Identity
from shapespace.synthetic.primitives import Mass, chain, fan


def leg(identity: Identity) -> list[Mass]:
    """The left thigh, knee and shin."""
    m = 1 + 0.25 * (identity.muscle - 0.4)
    full = 1.0 if identity.sex == "m" else 1.04
    return [
        chain(
            "thigh",
            0.012,
            (0.056, 0.505, 0.000, 0.048 * full),
            (0.056, 0.450, 0.001, 0.0455 * full),
            (0.056, 0.390, 0.003, 0.039 * full),
            (0.055, 0.330, 0.003, 0.0305),
            (0.055, 0.287, 0.002, 0.0232),
        ),
        chain("thigh", 0.03, (0.046, 0.410, 0.016, 0.028 * m), (0.046, 0.325, 0.010, 0.020 * m)),
        chain("thigh", 0.03, (0.068, 0.430, 0.008, 0.030 * m), (0.064, 0.335, 0.008, 0.019 * m)),
        chain("thigh", 0.03, (0.055, 0.440, -0.018, 0.032), (0.055, 0.325, -0.010, 0.021)),
        chain("thigh shin", 0.03, (0.055, 0.305, 0.015, 0.0110), (0.055, 0.272, 0.014, 0.0105)),
        chain(
            "shin",
            0.012,
            (0.055, 0.285, 0.000, 0.0232),
            (0.056, 0.245, -0.003, 0.0255),
            (0.056, 0.200, -0.006, 0.0250),
            (0.055, 0.150, -0.008, 0.0215),
            (0.055, 0.100, -0.010, 0.0170),
            (0.055, 0.055, -0.012, 0.0160),
        ),
        chain("shin", 0.025, (0.047, 0.240, -0.014, 0.020 * m), (0.049, 0.185, -0.013, 0.017 * m)),
        chain("shin", 0.025, (0.066, 0.245, -0.012, 0.017 * m), (0.064, 0.195, -0.012, 0.015 * m)),
    ]


def foot() -> list[Mass]:
    """The left foot and its toes."""
    ankle = (0.055, 0.050, -0.012, 0.0140)
    heel = (0.055, 0.0165, -0.028, 0.0165)
    inner = (0.046, 0.0125, 0.056, 0.0125)
    outer = (0.070, 0.0105, 0.046, 0.0105)
    return [
        chain("foot", 0.012, ankle, heel),
        fan("foot", 0.012, heel, inner, outer),
        fan("foot", 0.012, ankle, inner, outer),
        chain("toes", 0.008, inner, (0.047, 0.0095, 0.086, 0.0090)),
        chain("toes", 0.004, (0.057, 0.010, 0.060, 0.0085), (0.0605, 0.007, 0.084, 0.0062)),
        chain("toes", 0.004, (0.064, 0.010, 0.056, 0.0085), (0.0705, 0.0065, 0.076, 0.0058)),
        chain("toes", 0.004, outer, (0.0795, 0.006, 0.064, 0.0055)),
    ]


def arm(identity: Identity) -> list[Mass]:
    """The left upper arm and forearm, with the palm down."""
    thin = 1.0 if identity.sex == "m" else 0.9
    m = thin * (1 + 0.35 * (identity.muscle - 0.4))
    return [
        chain(
            "upper_arm",
            0.012,
            (0.106, 0.804, -0.010, 0.0290 * thin),
            (0.150, 0.804, -0.010, 0.0265 * thin),
            (0.210, 0.805, -0.010, 0.0225 * thin),
            (0.268, 0.805, -0.011, 0.0172 * thin),
        ),
        fan(
            "upper_arm",
            0.03,
            (0.104, 0.806, -0.003, 0.023 * m),
            (0.104, 0.806, -0.019, 0.023 * m),
            (0.165, 0.806, -0.010, 0.015 * m),
        ),
        chain(
            "upper_arm", 0.015, (0.160, 0.804, 0.000, 0.019 * m), (0.220, 0.804, 0.000, 0.017 * m)
        ),
        chain(
            "upper_arm", 0.015, (0.150, 0.804, -0.020, 0.020 * m), (0.220, 0.804, -0.016, 0.016 * m)
        ),
        chain(
            "forearm",
            0.012,
            (0.270, 0.805, -0.011, 0.0172 * thin),
            (0.298, 0.805, -0.009, 0.0215 * thin),
            (0.340, 0.805, -0.009, 0.0195 * thin),
            (0.390, 0.805, -0.010, 0.0135 * thin),
        ),
        fan(
            "forearm",
            0.010,
            (0.375, 0.805, -0.010, 0.0140 * thin),
            (0.420, 0.805, -0.005, 0.0105 * thin),
            (0.420, 0.805, -0.015, 0.0105 * thin),
        ),
    ]


def hand(identity: Identity) -> list[Mass]:
    """The left palm, thumb and fingers."""
    size = 1.0 if identity.sex == "m" else 0.93
    front = (0.420, 0.804, -0.004, 0.0100)
    back = (0.420, 0.804, -0.016, 0.0100)
    first = (0.472, 0.804, 0.011, 0.0085)
    last = (0.466, 0.804, -0.027, 0.0078)
    parts = [
        fan("hand", 0.006, front, back, first),
        fan("hand", 0.006, back, first, last),
        chain("hand", 0.008, (0.424, 0.802, 0.002, 0.010), (0.446, 0.797, 0.018, 0.0092)),
        chain(
            "thumb",
            0.006,
            (0.446, 0.797, 0.018, 0.0090),
            (0.464, 0.795, 0.029, 0.0075),
            (0.480, 0.795, 0.034, 0.0062),
        ),
    ]
    fingers = (
        # z and x of the knuckle, length beyond the middle joint, spread along z
        (0.0115, 0.471, 0.018, 0.003),
        (-0.0015, 0.473, 0.025, 0.0005),
        (-0.0145, 0.470, 0.020, -0.0025),
        (-0.0265, 0.463, 0.011, -0.006),
    )
    # All middle joints lie at one x, so that one bone bends all fingers.
    for z, x, length, spread in fingers:
        middle = (0.498, 0.801, z + 0.6 * spread, 0.0064 * size)
        tip = (0.498 + length, 0.800, z + spread, 0.0052 * size)
        parts.append(chain("fingers", 0.004, (x, 0.803, z, 0.0074 * size), middle))
        parts.append(chain("fingertips", 0.004, middle, tip))
    return parts
