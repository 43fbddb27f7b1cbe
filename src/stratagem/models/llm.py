"""Any causal language model with its tokenizer, from a hub or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from stratagem.workspace import read_json


def load_tokenizer(model: str | Path, **options: Any) -> Any:
    """The tokenizer of a hub id or a folder.

    A folder whose `tokenizer_config.json` names no architecture's own class, as the small models of this package do,
    is read as it stands: `AutoTokenizer` would put the rules of the architecture (Qwen2's, say) in their place.
    """
    config = Path(model) / "tokenizer_config.json"
    plain = config.is_file() and read_json(config).get("tokenizer_class") in (
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
    )
    return (PreTrainedTokenizerFast if plain else AutoTokenizer).from_pretrained(str(model), **options)
