"""The parts of the engine that are no matrix product, compiled: norm, gate, and attention over a cache.

In PyTorch each is a handful of kernels over arrays of some ten thousand numbers, which cost more to launch and to carry
through memory than to compute. Here each is one loop over rows, compiled by Numba for the machine's vector unit when it
is first used, and kept on disk. Written so that the inner loops vectorise: no branches, no division that could raise,
float32 throughout.

Shapes by suffix: N rows, M tokens, D width, F width of the MLP, H query heads,
K key/value heads, E head width, B blocks of a cache, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# Sums may be reordered, and a product and a sum be one instruction; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz", "arcp"}
f32 = np.float32
instructions: Callable[..., Any] = intrinsic  # whose first argument the caller does not give
LANES = 16  # float32 numbers that are computed side by side


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` in machine code, which is kept on disk where there is a place for it."""
    options = {"fastmath": FAST, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # a read-only installation and no home
        return njit(**options)(function)


@instructions
def float_of_bits(typing: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.int32), build


# exp(x) = 2^n exp(r) with |r| <= log(2) / 2; ln 2 in two parts, so that n ln 2 is exact; then the minimax polynomial of
# degree 7 of Cephes' expf. Within 1e-7 of exp, relatively; 0 is never reached: below -87 it stays at 1.6e-38.
LOG2_E, LN2_HIGH, LN2_LOW = f32(1.44269504), f32(0.693359375), f32(-2.12194440e-4)
P0, P1, P2 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
P3, P4, P5 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)
ZERO, HALF, ONE, MINUS_MUCH = f32(0), f32(0.5), f32(1), f32(-1e30)


@njit(inline="always", fastmath=FAST, error_model="numpy")
def exp(x):
    x = min(max(x, f32(-87)), f32(88))
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    return (p * r * r + r + ONE) * float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23))


@compiled
def unit(x_MD, eps, out_MD):
    """Rows over their root mean square."""
    for m in range(len(x_MD)):
        x, out = x_MD[m], out_MD[m]
        square = ZERO
        for d in range(len(x)):
            square += x[d] * x[d]
        scale = ONE / np.sqrt(square / f32(len(x)) + eps)
        for d in range(len(x)):
            out[d] = x[d] * scale


@compiled
def unit_gradient(x_MD, eps, weight_D, slope_MD, out_MD, weight_slope_D):
    """The gradients of `unit` times `weight`, given that of the product: of x to `out`, of the weight added up."""
    D = len(weight_D)
    for m in range(len(x_MD)):
        x, slope, out = x_MD[m], slope_MD[m], out_MD[m]
        square = along = ZERO
        for d in range(D):
            square += x[d] * x[d]
            along += slope[d] * weight_D[d] * x[d]
        scale = ONE / np.sqrt(square / f32(D) + eps)
        along *= scale * scale / f32(D)
        for d in range(D):
            out[d] = (slope[d] * weight_D[d] - x[d] * along) * scale
            weight_slope_D[d] += slope[d] * x[d] * scale


@compiled
def gate(both_MF, out_MF):
    """silu(gate) * up, where a row of `both` is gate and then up."""
    for m in range(len(out_MF)):
        out = out_MF[m]
        g, u = both_MF[m, : len(out)], both_MF[m, len(out) :]
        for i in range(len(out)):
            out[i] = g[i] / (ONE + exp(-g[i])) * u[i]


@compiled
def gate_gradient(both_MF, slope_MF, out_MF):
    """The gradient of `gate` with respect to gate and up."""
    for m in range(len(slope_MF)):
        slope = slope_MF[m]
        g, u = both_MF[m, : len(slope)], both_MF[m, len(slope) :]
        dg, du = out_MF[m, : len(slope)], out_MF[m, len(slope) :]
        for i in range(len(slope)):
            sigmoid = ONE / (ONE + exp(-g[i]))
            du[i] = slope[i] * g[i] * sigmoid
            dg[i] = slope[i] * u[i] * sigmoid * (ONE + g[i] * (ONE - sigmoid))


@instructions
def combine(typing: Any, a: Any, i: Any, count: Any, b: Any, j: Any, stride: Any, out: Any, k: Any) -> Any:
    """out[k : k + LANES] += the sum over n < count of a[i + n] * b[j + n * stride : ... + LANES].

    Both products of attention. The sums stay in one vector register, which the compiler does not find by itself for
    sums as short as these: so the instructions are written out.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [context.make_array(signature.args[at])(context, builder, args[at]).data for at in (0, 3, 6)]
        (a, b, out), (i, count, j, stride, k) = arrays, (args[at] for at in (1, 2, 4, 5, 7))
        lanes, first = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)(0)
        spread = ir.VectorType(ir.IntType(32), LANES)([0] * LANES)

        def at(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array, [index]), lanes.as_pointer())

        target = at(out, k)
        sums = cgutils.alloca_once_value(builder, builder.load(target, align=4))
        with cgutils.for_range(builder, count) as loop:
            factor = builder.load(builder.gep(a, [builder.add(i, loop.index)]))
            factor = builder.insert_element(lanes(ir.Undefined), factor, first)
            factor = builder.shuffle_vector(factor, factor, spread)
            row = builder.load(at(b, builder.add(j, builder.mul(loop.index, stride))), align=4)
            product = builder.fmul(factor, row, flags=("contract",))
            builder.store(builder.fadd(builder.load(sums), product, flags=("contract",)), sums)
        builder.store(builder.load(sums), target, align=4)
        return context.get_dummy_value()

    place = types.int64
    return types.void(a, place, place, b, place, place, out, place), build


@compiled
def soften(x, T):
    """exp(x - max) of T scores, in place; returns one over their sum. What stands up to the next block is lost."""
    end = (T + LANES - 1) // LANES * LANES
    for t in range(T, end):
        x[t] = MINUS_MUCH
    top = x[0]
    for t in range(end):
        top = max(top, x[t])
    total = ZERO
    for t in range(end):
        weight = exp(x[t] - top)
        x[t] = weight
        total += weight
    return ONE / total


@compiled
def attend(
    heads_MAE, cos_TE, sin_TE, base_M, before_M, row_M, slot_M, keys_BNKEI, values_BNKIF, weight_T, out_MHE
):
    """Append tokens to rows of a cache, and what each attends to.

    A token follows the first `before` slots of the row `base`, which rows can share, and those of its own `row` up to
    its `slot`, where it is put.

    Args:
        heads_MAE: queries, keys and values of each token (A = H + 2 K), queries already scaled; is overwritten.
        base_M, before_M, row_M, slot_M: of each token; the tokens of a row in order.
        keys_BNKEI, values_BNKIF: the cache, in blocks of LANES slots; F is E, rounded up to whole LANES.
        weight_T: room for the scores of one head: two rows of slots, and LANES.
    """
    _, N, K, E, _ = keys_BNKEI.shape
    A, (H, F) = heads_MAE.shape[1], (out_MHE.shape[1], values_BNKIF.shape[4])
    x, keys, values = heads_MAE.reshape(-1), keys_BNKEI.reshape(-1), values_BNKIF.reshape(-1)
    sum_F = np.empty(F, np.float32)
    for m in range(len(row_M)):
        base, before, n, t = base_M[m], before_M[m], row_M[m], slot_M[m]
        for h in range(H + K):
            for e in range(E // 2):
                p, q = heads_MAE[m, h, e], heads_MAE[m, h, E // 2 + e]
                cos, sin = cos_TE[before + t, e], sin_TE[before + t, e]
                heads_MAE[m, h, e] = p * cos - q * sin
                heads_MAE[m, h, E // 2 + e] = q * cos + p * sin
        for k in range(K):
            for e in range(E):
                keys_BNKEI[t // LANES, n, k, e, t % LANES] = heads_MAE[m, H + k, e]
                values_BNKIF[t // LANES, n, k, t % LANES, e] = heads_MAE[m, H + K + k, e]
            for h in range(k * (H // K), (k + 1) * (H // K)):
                for i in range(before + t + 2 * LANES):
                    weight_T[i] = ZERO
                for i in range(0, before, LANES):
                    block = (i // LANES * N + base) * K + k
                    combine(x, (m * A + h) * E, E, keys, block * E * LANES, LANES, weight_T, i)
                for i in range(before, before + LANES):
                    weight_T[i] = ZERO
                for i in range(0, t + 1, LANES):
                    block = (i // LANES * N + n) * K + k
                    combine(x, (m * A + h) * E, E, keys, block * E * LANES, LANES, weight_T, before + i)
                share = soften(weight_T, before + t + 1)
                for f in range(0, F, LANES):
                    for i in range(f, f + LANES):
                        sum_F[i] = ZERO
                    for i in range(0, before, LANES):
                        block = ((i // LANES * N + base) * K + k) * LANES * F + f
                        combine(weight_T, i, min(LANES, before - i), values, block, F, sum_F, f)
                    for i in range(0, t + 1, LANES):
                        block = ((i // LANES * N + n) * K + k) * LANES * F + f
                        combine(weight_T, before + i, min(LANES, t + 1 - i), values, block, F, sum_F, f)
                for e in range(E):
                    out_MHE[m, h, e] = sum_F[e] * share


@compiled
def copy(source_I, target_I, filled, keys_LBNX, values_LBNY):
    """Make rows of a cache what other rows are, in all layers, of which `filled` slots are filled."""
    for i in range(len(source_I)):
        a, b = source_I[i], target_I[i]
        for layer in range(len(keys_LBNX)):
            for block in range((filled + LANES - 1) // LANES):
                for x in range(keys_LBNX.shape[3]):
                    keys_LBNX[layer, block, b, x] = keys_LBNX[layer, block, a, x]
                for y in range(values_LBNY.shape[3]):
                    values_LBNY[layer, block, b, y] = values_LBNY[layer, block, a, y]
