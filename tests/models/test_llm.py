"""Where models are found, what is refused, and how a problem is put to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

import torch

from stratagem.models import llm, memory
from stratagem.models.llm import find_model, load_llm, load_tokenizer, prompting, save_llm, token_budget, why
from stratagem.records import StratagemError
from stratagem.settings import LLMConfig
from stratagem.tasks import FiniteField
from tests.integrations.tiny import tiny_qwen2

LLM, TASK = LLMConfig(rank=4, alpha=8), FiniteField(11)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("tiny") / "model")


def copied(model: Path, to: Path) -> Path:
    return Path(shutil.copytree(model, to))


def test_a_folder_is_known_by_its_content(tiny: Path, tmp_path: Path) -> None:
    again = copied(tiny, tmp_path / "again" / "model")
    assert find_model(tiny, LLM).fingerprint == find_model(tmp_path / "again", LLM).fingerprint
    other = tiny_qwen2(tmp_path / "other", seed=1)
    assert find_model(other, LLM).fingerprint != find_model(again, LLM).fingerprint


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("./nowhere", "no such folder"),
        ("a/b/c", "no such folder"),
        ("x.gguf", "no such file"),
        ("empty", "no model here"),
        ("pickled", "no safetensors"),
        ("running", "has not finished"),
    ],
)
def test_what_is_no_model_is_said(tmp_path: Path, monkeypatch: Any, name: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "running.partial").mkdir()
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(StratagemError, match=expected) as caught:
        find_model(name, LLM)
    assert "\n" not in str(caught.value)


def test_a_hub_out_of_reach_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StratagemError, match="nobody/nothing: no such folder, and the hub cannot be reached"):
        find_model("nobody/nothing", LLM)


def test_a_model_of_a_hub_stays_at_its_commit(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter loads the commit that it was trained on, whatever was pushed since, and the tokenizer of that."""
    asked: list[str | None] = []

    class Hub:
        @staticmethod
        def from_pretrained(name: str, revision: str | None = None, **_: Any) -> Any:
            asked.append(revision)
            return SimpleNamespace(_commit_hash=revision or "new")

    monkeypatch.setattr(llm, "AutoConfig", Hub)
    assert find_model("some/model", LLM).where["revision"] == "new"
    folder = tmp_path / "adapter"
    folder.mkdir()
    shutil.copy(next(tiny.glob("*.safetensors")), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model"}')
    (folder / "stratagem.json").write_text('{"base_fingerprint": "some/model@old"}')
    source = find_model(folder, LLM)
    assert source.where == {"pretrained_model_name_or_path": "some/model", "revision": "old"}
    assert asked == [None, "old"]


def test_the_hubs_refusals_are_told_apart() -> None:
    def wrapped(name: str, text: str = "") -> Exception:
        inner = type(name, (Exception,), {})(text)
        outer = OSError("long\ntext")
        outer.__cause__ = inner
        return outer

    assert "no such model on the hub" in why(wrapped("RepositoryNotFoundError"))
    assert "licence" in why(wrapped("GatedRepoError"))
    assert "revision" in why(wrapped("RevisionNotFoundError"))
    assert "cannot be reached" in why(wrapped("LocalEntryNotFoundError"))
    assert "--trust-remote-code" in why(ValueError("contains custom code; pass `trust_remote_code=True`"))
    assert why(OSError("first\nsecond")) == "first"


def test_a_model_that_cannot_fit_is_refused_before_it_is_read(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_model(tiny, LLM)
    size = load_llm(source, LLM).num_parameters()
    for train, bytes_each, fix in ((None, 4, "--dtype bfloat16"), ("all", 16, "--tune lora")):
        monkeypatch.setattr(memory, "available", lambda each=bytes_each: each * size)
        load_llm(source, LLM, train=train)
        monkeypatch.setattr(memory, "available", lambda each=bytes_each: each * size - 1)
        with pytest.raises(StratagemError, match=f"GiB, and 0.0 are free; try {fix}") as caught:
            load_llm(source, LLM, train=train)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("WORLD_SIZE", "8")  # split over processes, it may fit
    load_llm(source, LLM, train="all")
    monkeypatch.setattr(memory, "available", lambda: None)
    monkeypatch.delenv("WORLD_SIZE")
    load_llm(source, LLM)


def test_what_is_free_is_a_number_on_this_machine() -> None:
    assert (memory.available() or 0) > 2**20


def test_broken_weights_are_said(tiny: Path, tmp_path: Path) -> None:
    broken = copied(tiny, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(StratagemError, match="broken: cannot be loaded") as caught:
        load_llm(find_model(broken, LLM), LLM)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_what_training_needs(tiny: Path, tmp_path: Path) -> None:
    bare = tiny_qwen2(tmp_path / "bare", chat=False, pad=False)
    tokenizer = load_tokenizer(find_model(bare, LLM))
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>"
    assert prompting(tokenizer, TASK).form == "text"
    endless = copied(tiny, tmp_path / "endless")
    config = json.loads((endless / "tokenizer_config.json").read_text())
    (endless / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": None}))
    with pytest.raises(StratagemError, match="no end token"):
        load_tokenizer(find_model(endless, LLM))
    (endless / "tokenizer.json").unlink()
    with pytest.raises(StratagemError, match="no tokenizer"):
        load_tokenizer(find_model(endless, LLM))


@pytest.mark.parametrize("chat", [True, False])
def test_a_prompt_states_the_field_and_can_be_begun(tmp_path: Path, chat: bool) -> None:
    tokenizer = load_tokenizer(find_model(tiny_qwen2(tmp_path / "model", chat=chat), LLM))
    form = prompting(tokenizer, TASK)
    problem = TASK.generate("eval", 1, (2, 2))[0]
    text = tokenizer.decode(form.ids(tokenizer, problem.prompt, "forward"))
    assert "GF(11)" in text
    assert problem.prompt in text
    assert text.endswith("<|im_start|>assistant\nforward" if chat else f"{problem.prompt} forward")


@pytest.mark.parametrize("steps", [1, 6, 15])
def test_the_budget_holds_every_demonstration(tiny: Path, steps: int) -> None:
    tokenizer = load_tokenizer(find_model(tiny, LLM))
    budget = token_budget(tokenizer, TASK, steps)
    problems = TASK.generate("sft", 60, (steps, steps))
    longest = max(len(tokenizer(text)["input_ids"]) + 1 for text in TASK.demonstrations(problems, "FB"))
    assert longest <= budget <= 2 * longest


@pytest.mark.filterwarnings("default::FutureWarning")  # of PEFT about transformers
def test_an_adapter_knows_its_base(tiny: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs the llm extra")
    base = copied(tiny, tmp_path / "base")
    source = find_model(base, LLM)
    model = peft.get_peft_model(
        load_llm(source, LLM), peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    ).eval()
    record = {"base": source.base, "base_fingerprint": source.fingerprint, "strategies": ["forward"]}
    save_llm(model, load_tokenizer(source), tmp_path / "run" / "model", record, merge=False)
    adapter = find_model(tmp_path / "run", LLM)
    assert (adapter.base, adapter.record["strategies"]) == (source.base, ["forward"])
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = model(ids).logits
        torch.testing.assert_close(load_llm(adapter, LLM).eval()(ids).logits, expected)
        save_llm(model, load_tokenizer(source), tmp_path / "merged", record, merge=True)
        merged = load_llm(find_model(tmp_path / "merged", LLM), LLM).eval()
        torch.testing.assert_close(merged(ids).logits, expected, atol=1e-5, rtol=1e-5)
    shutil.rmtree(base)
    tiny_qwen2(base, seed=1)
    with pytest.raises(StratagemError, match="trained on another"):
        find_model(tmp_path / "run", LLM)
    shutil.rmtree(base)
    with pytest.raises(StratagemError, match="its base model cannot be found"):
        find_model(tmp_path / "run", LLM)
