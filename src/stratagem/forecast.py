"""Mean-field dynamics of strategies' shares under GRPO.

A policy chooses a strategy and is right with that strategy's accuracy, which stays as it is: what is forecast is
selection alone. The choice in stratum t is a softmax of logits z, and an update moves them along the expected gradient
of GRPO's objective, in the limit of many prompts:

    dz_tk/du = rate * sum_s C_ts w_s pi_sk ((a_sk - p_s) S(p_s) - beta (log pi_sk / pi0_sk - KL_s))

with pi the shares, a the accuracies, p_s = sum_k pi_sk a_sk, w the strata's weights in the prompts, S the expected
difference between the advantages of a right and a wrong response in a group (`signal`), and C how far an update on
stratum s moves the choice on t: 1 where the policy does not tell the two apart, 0 where it does so fully.

Suffixes: t, s strata; k strategies; u updates.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.stats import binom

from stratagem.records import StratagemError

Floats = NDArray[np.float64]
Scale = Literal["group", "none"]


def signal(accuracy_t: Floats, group: int, scale: Scale = "group") -> Floats:
    """How much the advantage of a right response exceeds that of a wrong one, in expectation over its group.

    The other responses of the group are right independently, with probability `accuracy_t`. With `scale` "group" an
    advantage is divided by the group's standard deviation (GRPO), and is 0 where all are alike; with "none" it is the
    reward less the group's mean (Dr. GRPO), which makes 1 - 1 / group.

    Source: Shao et al., arXiv 2402.03300 (GRPO); Liu et al., arXiv 2503.20783 (Dr. GRPO).
    """
    if scale == "none":
        return np.full_like(accuracy_t, 1 - 1 / group)
    others = np.arange(group)  # right ones among the other group - 1
    # SciPy overflows on smaller ones, and has no answer above 1, where rounding may lead a mean of ones.
    accuracy_t = np.clip(np.where(accuracy_t < 1e-12, 0.0, accuracy_t), 0.0, 1.0)
    chance_to = binom.pmf(others[None, :], group - 1, accuracy_t[:, None])
    spread = np.sqrt((group - 1) / group)  # torch's standard deviation has group - 1 below
    if_right = np.sqrt((group - others - 1) / (others + 1))
    if_wrong = np.sqrt(others / (group - others))
    return spread * (chance_to * (if_right + if_wrong)).sum(1)


def course(
    shares_tk: Floats,
    accuracies_tk: Floats,
    weights_t: Floats,
    coupling_tt: Floats,
    updates_u: Floats,
    *,
    group: int,
    rate: float,
    beta: float = 0.0,
    scale: Scale = "group",
) -> Floats:
    """The shares at each of `updates_u`, which begin at 0 or later and grow: updates x strata x strategies.

    Args:
        shares_tk: of strategies before RL; a strategy that is never used stays unused.
        accuracies_tk: of responses by each strategy.
        weights_t: shares of the strata in RL's prompts.
        coupling_tt: C above.
        rate: logits an update, at unit gradient.
        beta: of the KL term, as GRPO has it.

    Raises:
        StratagemError: shares or weights that do not add up to 1, fractions outside 0 to 1, numbers that are not
            finite, updates that do not grow, or arrays whose shapes do not fit.
    """
    strata, strategies = shares_tk.shape
    shapes = {
        "shares": (shares_tk, (strata, strategies)),
        "accuracies": (accuracies_tk, (strata, strategies)),
        "weights": (weights_t, (strata,)),
        "coupling": (coupling_tt, (strata, strata)),
    }
    for name, (values, shape) in shapes.items():
        if values.shape != shape:
            raise StratagemError(f"{name}: has the shape {values.shape}, and the shares ask for {shape}")
        if name != "coupling" and not ((values >= 0) & (values <= 1)).all():
            raise StratagemError(f"{name}: must be from 0 to 1")
    if not np.isfinite([*coupling_tt.ravel(), rate, beta]).all():
        raise StratagemError("coupling, rate and beta have to be finite numbers")
    if not updates_u.size or not np.isfinite(updates_u).all() or (np.diff(updates_u, prepend=0.0) < 0).any():
        raise StratagemError("updates: begin at 0 or later and grow")
    if not np.allclose(shares_tk.sum(-1), 1) or not np.isclose(weights_t.sum(), 1):
        raise StratagemError("shares of a stratum and weights of strata have to add up to 1")
    used_tk = shares_tk > 0
    start_tk = np.where(used_tk, np.log(np.where(used_tk, shares_tk, 1)), 0.0)
    shape = shares_tk.shape

    def softmax(z_tk: Floats) -> Floats:
        powers = np.where(used_tk, np.exp(z_tk - z_tk.max(-1, keepdims=True)), 0.0)
        return powers / powers.sum(-1, keepdims=True)

    def moves(_: float, z: Floats) -> Floats:
        z_tk = z.reshape(shape)
        pi_tk = softmax(z_tk)
        right_t = (pi_tk * accuracies_tk).sum(-1)
        logs_tk = np.where(used_tk, np.log(np.maximum(pi_tk, 1e-300)) - start_tk, 0.0)
        kl_t = (pi_tk * logs_tk).sum(-1)
        gained_tk = (accuracies_tk - right_t[:, None]) * signal(right_t, group, scale)[:, None]
        pulled_tk = beta * (logs_tk - kl_t[:, None])
        gradient_tk = weights_t[:, None] * pi_tk * (gained_tk - pulled_tk)
        return (rate * coupling_tt @ gradient_tk).ravel()

    end = float(updates_u[-1])
    if end <= 0:
        return np.repeat(shares_tk[None], len(updates_u), 0)
    solved = solve_ivp(moves, (0.0, end), start_tk.ravel(), t_eval=updates_u, rtol=1e-6, atol=1e-8)
    return np.array([softmax(z.reshape(shape)) for z in solved.y.T])
