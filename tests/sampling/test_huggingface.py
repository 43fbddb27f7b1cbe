"""Generation by transformers against decoding by hand, and against the native engine on the same small model."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

import torch

from stratagem.models.llm import find_model, load_llm, load_tokenizer
from stratagem.sampling.huggingface import HuggingFace, end_ids, generate
from stratagem.sampling.rollout import Native
from stratagem.settings import LLMConfig, RolloutConfig
from stratagem.tasks import FiniteField
from tests.integrations.tiny import tiny_qwen2

LLM = LLMConfig(device_batch=3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("tiny") / "model")


def test_greedy_answers_are_those_decoded_by_hand(tiny: Path) -> None:
    source = find_model(tiny, LLM)
    model, tokenizer = load_llm(source, LLM).eval(), load_tokenizer(source)
    prompts = [tokenizer(text)["input_ids"] for text in ("start e1", "a much longer prompt than that", "x")]
    answers = generate(model, tokenizer, prompts, 12, 0.0, logprobs=True)
    for prompt, answer in zip(prompts, answers, strict=True):
        ids, logps = list(prompt), []
        with torch.no_grad():
            for _ in range(12):
                scores = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
                ids.append(int(scores.argmax()))
                logps.append(float(scores.max()))
                if ids[-1] in end_ids(model, tokenizer):
                    break
        assert answer.tokens == len(logps)
        assert answer.text == tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
        assert answer.logprob == pytest.approx(sum(logps) / len(logps), abs=1e-4)
        assert answer.finish_reason == ("stop" if ids[-1] in end_ids(model, tokenizer) else "length")


def test_samples_follow_the_distribution_at_the_temperature(tiny: Path) -> None:
    source = find_model(tiny, LLM)
    model, tokenizer = load_llm(source, LLM).eval(), load_tokenizer(source)
    with torch.no_grad():  # make the first token's distribution a wide, known one
        model.model.embed_tokens.weight.mul_(10)
    prompt = tokenizer("start e1")["input_ids"]
    with torch.no_grad():
        expected = (model(torch.tensor([prompt])).logits[0, -1] / 0.7).softmax(-1)
    torch.manual_seed(0)
    n = 4000
    answers = generate(model, tokenizer, [prompt] * n, 1, 0.7, logprobs=True)
    tokens = Counter(round(answer.logprob, 4) for answer in answers)
    top = float(expected.max())
    seen = tokens[round(math.log(top), 4)] / n
    assert seen == pytest.approx(top, abs=5 * math.sqrt(top * (1 - top) / n))


def test_a_models_own_sampling_habits_are_left_out(tiny: Path, tmp_path: Path) -> None:
    """Qwen's instruct models ship a penalty for repetition and a top-p: answers are drawn without them."""
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    given = json.loads((folder / "generation_config.json").read_text())
    habits = {
        "repetition_penalty": 5.0,
        "top_k": 1,
        "top_p": 0.1,
        "do_sample": True,
        "no_repeat_ngram_size": 1,
    }
    (folder / "generation_config.json").write_text(json.dumps(given | habits))
    task = FiniteField(11)
    problems = task.generate("eval", 3, (1, 1))
    for temperature in (0.0, 1.0):
        plain, other = (
            HuggingFace(find_model(model, LLM), LLM, task, 1)(problems, "", 3, temperature, seed=0)
            for model in (tiny, folder)
        )
        assert [answer.text for answer in other] == [answer.text for answer in plain]
    sampler = HuggingFace(find_model(folder, LLM), LLM, task, 1)
    assert end_ids(sampler.model, sampler.tokenizer) >= {given["eos_token_id"]}


def test_answers_stand_in_the_order_of_the_problems_whatever_the_batch(tiny: Path) -> None:
    task = FiniteField(11)
    problems = task.generate("eval", 5, (1, 3))
    source = find_model(tiny, LLM)
    together = HuggingFace(source, LLMConfig(device_batch=99), task, 1)(problems, "", 2, 0.0, seed=0)
    apart = HuggingFace(source, LLMConfig(device_batch=1), task, 1)(problems, "", 2, 0.0, seed=0)
    assert [answer.text for answer in together] == [answer.text for answer in apart]
    assert together[0].text == together[1].text
    sampler = HuggingFace(source, LLM, task, 1)

    def sampled(seed: int) -> list[str]:
        return [answer.text for answer in sampler(problems, "", 2, 1.0, seed)]

    assert sampled(3) == sampled(3)
    assert sampled(3) != sampled(4)


@pytest.mark.parametrize("opening", ["", "backward"])
def test_the_small_model_answers_as_in_its_own_engine(taught_model: Path, opening: str) -> None:
    task = FiniteField(11)
    problems = task.generate("eval", 12, (1, 3))
    native = Native(taught_model, RolloutConfig(steps=(1, 3)))(problems, opening, 1, 0.0, seed=0)
    sampler = HuggingFace(find_model(taught_model, LLM), LLM, task, 3)
    assert sampler.prompting.form == "bare"
    answers = sampler(problems, opening, 1, 0.0, seed=0)
    assert [answer.text.strip() for answer in answers] == [answer.text for answer in native]
    assert [answer.finish_reason for answer in answers] == [answer.finish_reason for answer in native]
