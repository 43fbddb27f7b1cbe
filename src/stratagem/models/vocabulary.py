"""The words of a small model: one token a word, split at white space, in the standard tokenizer format."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from stratagem.records import StratagemError
from stratagem.tasks.base import END, Task

PAD, EOS, UNK = "<pad>", END, "<unk>"
PAD_ID, EOS_ID, UNK_ID = 0, 1, 2


def vocabulary(task: Task) -> list[str]:
    """All words of a small model of this task, in the order of their ids."""
    return [PAD, EOS, UNK, *task.words()]


def make_tokenizer(words: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="\u0000", cleanup=False)
    tokenizer.add_special_tokens([PAD, EOS, UNK])
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text in the model's words.

    Raises:
        StratagemError: a word is not in the vocabulary, as those of another task are.
    """
    ids = tokenizer.encode(text).ids
    if UNK_ID in ids:
        word = text.split()[ids.index(UNK_ID)]
        raise StratagemError(
            f"the small model does not know the word {word!r}: its base was made for other problems than "
            f"{text[:40]!r}…; give --task as the base was made, or another --model"
        )
    return ids
