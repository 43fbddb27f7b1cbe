"""Joint shares of outcome and strategy at a checkpoint, and how a recogniser's error is taken out of them.

Suffixes: co checkpoint, outcome (0 wrong, 1 right); s strategies; k columns of the data matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stratagem.stats.pairs import Floats

NOTHING = 1e-12


def by_outcome(sum_k: Floats, width: int) -> Floats:
    """Sums of the data matrix (…, 4s) as sums of shares by checkpoint, outcome and strategy (…, 2, 2, s)."""
    share_right = sum_k.reshape(*sum_k.shape[:-1], 2, 2, width)
    right = share_right[..., 1, :]
    return np.stack([share_right[..., 0, :] - right, right], axis=-2)


def sums_of(joint_cos: Floats) -> Floats:
    """The inverse of `by_outcome`."""
    right = joint_cos[..., 1, :]
    both = np.stack([joint_cos[..., 0, :] + right, right], axis=-2)
    return both.reshape(*both.shape[:-3], 4 * both.shape[-1])


def unmix(seen: Floats, rate: Floats) -> Floats:
    """Solve true @ rate = seen, for vectors in the last axis and matrices (true x label) in the last two."""
    return np.asarray(np.linalg.solve(np.swapaxes(rate, -1, -2), seen[..., None])[..., 0], dtype=np.float64)


def clip_shares(joint_cos: Floats, absent_cos: NDArray[np.bool_] | bool = False) -> Floats:
    """Shares below 0 and absent ones set to 0, the others of the checkpoint and outcome scaled to keep their sum."""
    total = joint_cos.sum(-1, keepdims=True)
    above = np.where((joint_cos > NOTHING) & ~np.asarray(absent_cos), joint_cos, 0.0)
    positive = above.sum(-1, keepdims=True)
    scale = np.divide(total, positive, out=np.zeros_like(total), where=positive > 0)
    # Where nothing was set to 0 the scale is 1 but for rounding: leave such rows as they are.
    changed = (np.abs(joint_cos - above) > NOTHING).any(-1, keepdims=True)
    return np.where(changed, above * scale, above)
