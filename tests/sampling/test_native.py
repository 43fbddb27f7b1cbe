"""The sampler's distribution against exact enumeration, and its habits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

torch = pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.decoder import Decoder  # noqa: E402
from stratagem.models.folder import load_model  # noqa: E402
from stratagem.models.transformer import Shape, Transformer  # noqa: E402
from stratagem.sampling.native import Generation, choose, generate, part, settle, token_limit  # noqa: E402
from stratagem.sampling.rollout import TABLE, rollout  # noqa: E402
from stratagem.settings import RolloutConfig  # noqa: E402
from stratagem.tasks import FiniteField  # noqa: E402

EOS = 1


@pytest.fixture(scope="module")
def toy() -> Transformer:
    torch.manual_seed(3)
    shape = Shape(4, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    model = Transformer(shape)
    model.model.embed_tokens.weight.data *= 4
    return model


def probability(
    model: Transformer, prompt: list[int], completion: tuple[int, ...], temperature: float
) -> float:
    logps = (model(torch.tensor([prompt + list(completion)]))[0] / temperature).log_softmax(-1)
    return float(sum(logps[len(prompt) - 1 + i, token] for i, token in enumerate(completion)).exp())


@pytest.mark.parametrize("temperature", [0.7, 1.0, 5.0])
def test_samples_follow_the_exact_distribution(toy: Transformer, temperature: float) -> None:
    prompts, draws, length = [[2, 3, 2], [3]], 6000, 3
    endings = [
        c for n in (1, 2, 3) for c in product(range(4), repeat=n)
        if EOS not in c[:-1] and (n == length or c[-1] == EOS)
    ]  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    generations = generate(
        toy, prompts, samples=draws, max_new=length, temperature=temperature, generator=generator
    )
    for k, prompt in enumerate(prompts):
        with torch.no_grad():
            expected = {c: draws * probability(toy, prompt, c, temperature) for c in endings}
        assert sum(expected.values()) == pytest.approx(draws, rel=1e-4)
        counts = Counter(tuple(g.ids) for g in generations[k * draws : (k + 1) * draws])
        assert set(counts) <= set(expected)
        usual = [c for c in endings if expected[c] >= 5]
        seen = [*(counts[c] for c in usual), draws - sum(counts[c] for c in usual)]
        hoped = [*(expected[c] for c in usual), draws - sum(expected[c] for c in usual)]
        if hoped[-1] < 5:
            seen, hoped = seen[:-1], hoped[:-1]
            hoped = [h * sum(seen) / sum(hoped) for h in hoped]
        assert stats.chisquare(seen, hoped).pvalue > 1e-3


def test_finish_reasons(toy: Transformer) -> None:
    generator = torch.Generator().manual_seed(0)
    generations = generate(toy, [[2, 3]], samples=200, max_new=4, temperature=4.0, generator=generator)
    for generation in generations:
        assert generation.finish_reason == ("stop" if generation.ids[-1] == EOS else "length")
        assert EOS not in generation.ids[:-1]
        assert generation.finish_reason == "stop" or len(generation.ids) == 4
    assert {generation.finish_reason for generation in generations} == {"stop", "length"}


def test_a_row_does_not_depend_on_its_neighbours(random_model: Path) -> None:
    model, _ = load_model(random_model)
    prompts = [list(range(5, 25)), [7, 8, 9], list(range(40, 52))]
    together = generate(model, prompts, max_new=16, temperature=0)
    alone = [generate(model, [prompt], max_new=16, temperature=0)[0] for prompt in prompts]
    assert together == alone


def test_the_same_generator_gives_the_same_bits(random_model: Path) -> None:
    model, _ = load_model(random_model)

    def draw() -> list[list[int]]:
        generator = torch.Generator().manual_seed(5)
        options = {"samples": 4, "max_new": 16, "temperature": 0.7, "generator": generator}
        return [g.ids for g in generate(model, [[5, 6], [9]], **options)]

    assert draw() == draw()


def test_choose_takes_the_word_that_the_number_falls_on() -> None:
    logits = torch.tensor([[0.25, 0.5, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0]]).log()
    rows = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    numbers = torch.tensor([0.0, 0.24, 0.26, 0.74, 1 - 2**-53, 0.0, 1 - 2**-53], dtype=torch.float64)
    assert choose(logits, rows, 1.0, numbers).tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert choose(logits, rows, 0, numbers).tolist() == [1] * 5 + [2] * 2


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40))
def test_rows_after_a_token(samples: list[tuple[int, int]]) -> None:
    rows, tokens = (torch.tensor(column) for column in zip(*samples, strict=True))
    parents, words, new = part(rows, tokens)
    # Each sample's row has its old row as parent and its token, and no two rows are the same.
    assert parents[new].tolist() == rows.tolist()
    assert words[new].tolist() == tokens.tolist()
    assert len(set(zip(parents.tolist(), words.tolist(), strict=True))) == len(parents) == len(set(samples))
    assert parents.tolist() == sorted(parents.tolist())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.randoms())
def test_rows_settle_where_nothing_is_read(children: list[int], random: Random) -> None:
    places = range(5, 5 + sum(children) + 3)
    parents = random.sample(places, len(children))
    old = [parent for parent, n in zip(parents, children, strict=True) for _ in range(n)]
    new = settle(torch.tensor(old), places).tolist()
    assert len(set(new)) == len(new)
    assert set(new) <= set(places)
    assert set(parents) <= set(new)
    moved = [to for to, source in zip(new, old, strict=True) if to != source]
    assert not set(moved) & set(old)
    assert len(moved) == len(old) - len(parents)


def test_samples_are_those_of_rows_of_their_own(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharing rows changes no sample: the same numbers give the same tokens where each sample has a row."""
    model, _ = load_model(random_model)
    model.model.embed_tokens.weight.data *= 4  # sure enough that samples share, and part, at all lengths
    prompts = [[5, 6, 7, 8], [9], [12, 13, 14], [20, 21]]
    shapes = []
    step = Decoder.step
    monkeypatch.setattr(
        Decoder, "step", lambda self, ids, *rest: shapes.append(len(ids)) or step(self, ids, *rest)
    )

    def draw(prompts: list[list[int]], samples: int) -> list[Generation]:
        generator = torch.Generator().manual_seed(5)
        return generate(model, prompts, samples=samples, max_new=30, temperature=0.7, generator=generator)

    shared, rows = draw(prompts, 16), [*shapes]
    assert draw([prompt for prompt in prompts for _ in range(16)], 1) == shared
    assert rows[0] == sum(map(len, prompts))
    assert len(prompts) < rows[4] < 64


@pytest.mark.parametrize("force", [None, "backward"])
def test_the_length_of_answers_can_be_set(random_model: Path, tmp_path: Path, force: str | None) -> None:
    config = RolloutConfig(steps=(2, 2), size=6, samples=2, force=force)
    usual = pl.read_parquet(rollout(config, tmp_path / "usual", random_model) / TABLE)
    assert usual["length"].max() == token_limit(FiniteField(), 2) - (force is not None)
    longer = replace(config, max_new=40)
    assert pl.read_parquet(rollout(longer, tmp_path / "longer", random_model) / TABLE)["length"].max() == 40
