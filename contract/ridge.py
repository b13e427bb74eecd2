"""Ridge regression in closed form (Hoerl and Kennard 1970), its penalty chosen on rows that it is not fitted on."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Part = tuple[Floats, Floats]

PENALTIES = tuple(10.0 ** (power / 2) for power in range(-2, 11))


def ridge_weights(train: Iterable[Part], val: Iterable[Part]) -> Floats:
    """Parts of inputs (n, I) and targets (n, P), so that not all need be in memory -> weights (I, P).

    Of the weights that each of PENALTIES gives on `train`, those with the least squared error on `val`.
    A target that is NaN counts as nothing: a step's covariance with the inputs is that of the rows that have it, the
    inputs' own that of all (available cases). Raises ValueError if either has no row, or a step no target in `train`.
    """
    gram, cross = _normal_equations(train)
    eye = np.eye(len(gram))
    candidates = [np.linalg.solve(gram + penalty * eye, cross) for penalty in PENALTIES]
    errors, rows = np.zeros(len(candidates)), 0
    for x, y in val:
        errors += [np.nansum(np.square(x @ weights - y)) for weights in candidates]
        rows += len(x)
    if not rows:
        raise ValueError("expected rows to choose a penalty on, came none")
    return candidates[int(errors.argmin())]


def _normal_equations(parts: Iterable[Part]) -> Part:
    sums: tuple[Floats, Floats, Floats] | None = None
    rows = 0
    for x, y in parts:
        known = np.isfinite(y)
        part = x.T @ x, x.T @ np.where(known, y, 0.0), known.sum(axis=0).astype(np.float64)
        sums = part if sums is None else (sums[0] + part[0], sums[1] + part[1], sums[2] + part[2])
        rows += len(x)
    if sums is None or not sums[2].all():
        raise ValueError("expected rows to fit on, came none")
    gram, cross, counts = sums
    return gram, cross * (rows / counts)
