"""The compiled kernels against the same in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="needs the lab extra")

from numba import njit

from stratagem.models import kernels


@njit
def exps(x):
    return np.array([kernels.exp(value) for value in x])


def test_exp_is_exact_to_float32() -> None:
    x = np.linspace(-86, 88, 400_001, dtype=np.float32)
    assert np.abs(exps(x) / np.exp(x.astype(np.float64)) - 1).max() < 1.2e-7
    assert exps(np.float32([0.0])) == 1
    assert 0 < exps(np.float32([-1e30]))[0] < 2e-38


def test_exp_hands_on_nan() -> None:
    assert np.isnan(exps(np.float32([np.nan]))[0])


@given(st.integers(1, 5), st.integers(1, 70), st.integers(0, 99))
def test_norm_and_gate(rows: int, width: int, seed: int) -> None:
    both = np.random.default_rng(seed).normal(size=(rows, 2 * width)).astype(np.float32) * 5
    out = np.empty((rows, width), np.float32)
    kernels.gate(both, out)
    g, u = np.split(both.astype(np.float64), 2, 1)
    np.testing.assert_allclose(out, g / (1 + np.exp(-g)) * u, rtol=1e-5, atol=1e-6)
    unit = np.empty_like(both)
    kernels.unit(both, np.float32(1e-6), unit)
    np.testing.assert_allclose(
        unit, both / np.sqrt((both.astype(np.float64) ** 2).mean(1, keepdims=True) + 1e-6), rtol=1e-5
    )


def rotated(x: np.ndarray, position: int) -> np.ndarray:
    half = x.shape[-1] // 2
    angle = position * 10000.0 ** (-np.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)), -1)


@settings(deadline=None)
@given(
    st.sampled_from([(1, 1, 2), (4, 2, 8), (6, 2, 16), (4, 4, 20), (4, 2, 32)]),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_attention_over_a_shared_and_an_own_part(
    shape: tuple[int, int, int], lengths: list[tuple[int, int]], seed: int
) -> None:
    H, K, E = shape
    random = np.random.default_rng(seed)
    blocks, rows = 3, 2 * len(lengths)
    # What a cache holds before it is filled is anything at all.
    keys = np.full((blocks, rows, K, E, 16), np.nan, np.float32)
    values = np.full((blocks, rows, K, 16, math.ceil(E / 16) * 16), np.nan, np.float32)
    angles = np.arange(80)[:, None] * 10000.0 ** (-np.arange(E // 2) / (E // 2))
    cos, sin = (np.tile(table(angles), 2).astype(np.float32) for table in (np.cos, np.sin))
    scratch = np.full(2 * 16 * (blocks + 1), np.nan, np.float32)

    def append(heads: np.ndarray, base: int, before: int, row: int, start: int) -> np.ndarray:
        M = len(heads)
        out = np.empty((M, H, E), np.float32)
        places = np.full(M, base), np.full(M, before), np.full(M, row), start + np.arange(M)
        kernels.attend(heads.copy(), cos, sin, *places, keys, values, scratch, out)
        return out

    for i, (before, own) in enumerate(lengths):
        heads = random.normal(size=(before + own, H + 2 * K, E)).astype(np.float32)
        outputs = [append(heads[:before], i, 0, i, 0)]
        row = len(lengths) + i
        outputs.append(append(heads[before : before + 1], i, before, row, 0))
        if own > 1:
            outputs.append(append(heads[before + 1 :], i, before, row, 1))
        q, k, v = np.split(heads.astype(np.float64), [H, H + K], 1)
        q = np.stack([rotated(vectors, t) for t, vectors in enumerate(q)])
        k = np.stack([rotated(vectors, t) for t, vectors in enumerate(k)])
        k, v = (np.repeat(array, H // K, 1) for array in (k, v))
        scores = np.einsum("qhe,khe->hqk", q, k)
        scores[:, *np.triu_indices(before + own, 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        hoped = np.einsum("hqk,khe->qhe", weights / weights.sum(-1, keepdims=True), v)
        np.testing.assert_allclose(np.concatenate(outputs), hoped, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 40), st.integers(0, 99))
def test_copied_rows(filled: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    keys, values = (random.normal(size=(2, 3, 6, n)).astype(np.float32) for n in (5, 7))
    before = keys.copy(), values.copy()
    kernels.copy(np.array([0, 0, 3]), np.array([1, 5, 2]), filled, keys, values)
    blocks = math.ceil(filled / 16)
    for now, old in zip((keys, values), before, strict=True):
        for source, target in ((0, 1), (0, 5), (3, 2)):
            np.testing.assert_array_equal(now[:, :blocks, target], old[:, :blocks, source])
            np.testing.assert_array_equal(now[:, blocks:, target], old[:, blocks:, target])
        np.testing.assert_array_equal(now[:, :, [0, 3, 4]], old[:, :, [0, 3, 4]])
