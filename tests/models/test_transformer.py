"""The native engine against `transformers` on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")
transformers = pytest.importorskip("transformers", reason="needs the lab extra")

from stratagem.models.folder import load_model, save_model  # noqa: E402
from stratagem.models.transformer import Gate, Normalise, RMSNorm, places  # noqa: E402
from stratagem.models.vocabulary import make_tokenizer, vocabulary  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.sampling.native import generate  # noqa: E402
from stratagem.tasks import FiniteField  # noqa: E402


@pytest.fixture(scope="module")
def peer(random_model: Path):
    return transformers.AutoModelForCausalLM.from_pretrained(random_model)


def test_logits_are_those_of_transformers(random_model: Path, peer) -> None:
    model, _ = load_model(random_model)
    ids = torch.randint(3, 200, (4, 37), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(ids), peer(ids).logits, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_transformers(random_model: Path, peer) -> None:
    model, _ = load_model(random_model)
    ids = torch.randint(3, 200, (4, 20), generator=torch.Generator().manual_seed(1))
    model(ids).log_softmax(-1)[..., 5].sum().backward()
    peer(ids).logits.log_softmax(-1)[..., 5].sum().backward()
    theirs = dict(peer.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, atol=2e-4, rtol=1e-3)


def test_greedy_completions_are_those_of_generate(random_model: Path, peer) -> None:
    model, _ = load_model(random_model)
    prompts = [list(range(5, 5 + n)) for n in (10, 14, 8, 3)]
    ours = generate(model, prompts, max_new=24, temperature=0)
    for prompt, generation in zip(prompts, ours, strict=True):
        theirs = peer.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)[0, len(prompt) :]
        assert generation.ids == theirs.tolist()


def test_the_tokenizer_reads_and_writes_words(random_model: Path) -> None:
    _, ours = load_model(random_model)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(random_model)
    text = "start e3 ; #4 +e5 #5 /e2 f3 ; evaluate :"
    assert theirs(text)["input_ids"] == ours.encode(text).ids
    assert ours.decode(ours.encode(text).ids) == text


def test_a_truncated_weights_file_is_named(random_model: Path, tmp_path: Path) -> None:
    model, _ = load_model(random_model)
    save_model(model, make_tokenizer(vocabulary(FiniteField())), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(StratagemError, match=r"model\.safetensors: corrupt"):
        load_model(tmp_path)


def test_the_norm_is_that_of_torch_and_its_gradient_is_its_own() -> None:
    g = torch.Generator().manual_seed(2)
    x = torch.randn(5, 8, generator=g, dtype=torch.float64).requires_grad_(True)
    norm = RMSNorm(8, 1e-2).double()
    norm.weight.data = torch.rand(8, generator=g, dtype=torch.float64)
    expected = torch.nn.functional.rms_norm(x, (8,), norm.weight, 1e-2)
    torch.testing.assert_close(norm(x), expected, atol=1e-14, rtol=1e-12)
    assert torch.autograd.gradcheck(lambda x, w: Normalise.apply(x, w, 1e-2), (x, norm.weight))


def test_the_gate_and_its_gradient_are_those_of_torch() -> None:
    torch.manual_seed(0)
    both, slope = torch.randn(7, 38) * 4, torch.randn(7, 19)
    grads = []
    for gate in (Gate.apply, lambda x: torch.nn.functional.silu(x[:, :19]) * x[:, 19:]):
        x = both.clone().requires_grad_()
        y = gate(x)
        y.backward(slope)
        grads.append((y.detach(), x.grad))
    torch.testing.assert_close(grads[0], grads[1], atol=1e-6, rtol=1e-5)


def test_places_of_tokens_are_filled_up_with_padding() -> None:
    real = torch.tensor([[True, True, False, False], [True, False, False, False]])
    assert places(real, 1).tolist() == [0, 1, 4]
    assert places(real, 4).tolist() == [0, 1, 4, 2]
    assert places(real, 16).tolist() == [0, 1, 4]  # there is not as much padding
