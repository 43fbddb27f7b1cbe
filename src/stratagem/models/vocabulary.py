"""The words of the small model: one token a word, split at white space, in the standard tokenizer format."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from stratagem.records import StratagemError
from stratagem.tasks.finite_field.field import LABELS, FiniteField

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
FIELDS = (11, 13)
# The names x1 … are for problems of several parts, whose answers are carried from part to part.
WORDS = ("start", "result", "recall", "list", "copy", ";", ":", "last", "answer", "forward", "backward")
WORDS += ("inverse", "negative", "invert", "guess", "evaluate", *(f"x{i}" for i in range(1, 9)))


def words() -> list[str]:
    """All words, in the order of their ids."""
    found = [PAD, EOS, UNK, *WORDS, *(f"#{i}" for i in range(LABELS))]
    for p in FIELDS:
        task = FiniteField(p)
        found += [task.symbol(i) for i in range(p)]
        found += [f"{o}{task.symbol(i)}" for o in "+-*/" for i in range(p) if o in "+-" or task.residues[i]]
    return found


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words())}, unk_token=UNK))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece(prefix="\u0000", cleanup=False)
    made.add_special_tokens([PAD, EOS, UNK])
    return made


def encode(made: Tokenizer, text: str) -> list[int]:
    """Token ids of a text in the model's words.

    Raises:
        StratagemError: a word is not in the vocabulary, as those of another field are.
    """
    ids = made.encode(text).ids
    if UNK_ID in ids:
        word = text.split()[ids.index(UNK_ID)]
        fields = " and ".join(f"GF({p})" for p in FIELDS)
        raise StratagemError(
            f"the small model does not know the word {word!r}: it knows {fields}, relabel 'study'"
        )
    return ids
