"""Which rows of two logs are about the same problem: by id, by prompt, or by the prompt without its trimmings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from stratagem.records import NO_VALUE, StratagemError, content_id

METHODS = ("id", "prompt", "normalised")
NONE = "none"  # no problem is the same on both sides, whatever its id
_TEMPLATE = re.compile(
    r"<\|[^|>]{1,40}\|>|</?s>|\[/?INST\]|<<?/?SYS>>?|<(?:start|end)_of_turn>|<[｜|][^｜|>]{1,40}[｜|]>"
)
_USER = re.compile(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", re.S)


def normalise(prompt: str, question: str | None = None) -> str:
    """What is asked, without system prompt, chat template, case and white space.

    Args:
        question: the last message of the user, where the log keeps messages apart.
    """
    text = question
    if text is None:
        turns = _USER.findall(prompt) if "<|im_start|>" in prompt else []
        text = turns[-1] if turns else prompt
    if "<" in text or "[" in text:  # what every mark of a template begins with
        text = _TEMPLATE.sub(" ", text)
    return " ".join(text.split()).casefold()


def local_keys(batch: pl.DataFrame, method: str = "auto") -> pl.DataFrame:
    """The batch with `problem_id`: the log's id where it has one, else, or by `method`, a hash of the prompt.

    Args:
        method: as of `join`; names of columns make the id, whatever the log calls one.

    Raises:
        StratagemError: a row has neither.
    """
    if columns := named_columns(method):
        return batch.with_columns(id=_named(columns)).with_columns(problem_id=pl.col("id"))
    if method in ("prompt", "normalised"):
        batch = batch.with_columns(id=pl.when(pl.col("prompt").is_null()).then("id"))
    if batch["id"].null_count() == 0:
        return batch.with_columns(problem_id=pl.col("id"))
    bare = batch.filter(pl.col("id").is_null() & pl.col("prompt").is_null())
    if bare.height:
        raise StratagemError(
            "a response has neither a problem id nor a prompt: name a column with --columns id=COLUMN"
        )
    prompts = batch.filter(pl.col("id").is_null()).select(pl.col("prompt").unique())
    hashed = prompts.with_columns(
        _hash=pl.Series([content_id(text) for text in prompts["prompt"]], dtype=pl.String)
    )
    joined = batch.join(hashed, on="prompt", how="left", maintain_order="left")
    return joined.with_columns(problem_id=pl.coalesce("id", "_hash")).drop("_hash")


def named_columns(method: str) -> tuple[str, ...]:
    """The columns that a method of `join` names; none where it is a word."""
    return () if method in ("auto", NONE, *METHODS) else tuple(method.split(","))


def _named(columns: Sequence[str]) -> pl.Expr:
    """What columns say together."""
    parts = [pl.col(name).cast(pl.String).fill_null(NO_VALUE) for name in columns]
    return pl.concat_str(parts, separator=" / ")


def ids_doubt(problems: pl.DataFrame) -> str | None:
    """Why ids are none: more than a tenth of them stand for several prompts, as ids that restart do.

    Args:
        problems: of one log, as `problem_rows` gives them.
    """
    named = problems.filter("has_id").select("problem_id", "by_normalised").drop_nulls().unique()
    times = named.group_by("problem_id").len()["len"]
    several = int((times > 1).sum())
    return f"{several} of {times.len()} ids stand for several prompts" if 10 * several > times.len() else None


def check_ids(name: str, problems: pl.DataFrame, method: str) -> None:
    """See that an id stands for one problem: ids that restart would merge problems.

    Args:
        name: of the log.
        problems: as `problem_rows` gives them.
        method: as of `join`; whoever names one says what a problem is.

    Raises:
        StratagemError: ids stand for several prompts.
    """
    doubt = ids_doubt(problems) if method in ("auto", NONE) else None
    if doubt is not None:
        raise StratagemError(
            f"{name}: {doubt}: name what tells problems apart with --join COLUMN,… (such as dataset,id), or take "
            "--join prompt; --join id if an id is one problem anyway"
        )


def problem_rows(batch: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The different problems of a batch: problem_id, has_id, hash of prompt and of its normal form, and `columns`."""
    chosen = ["problem_id", "id", "prompt", "question", *columns]
    rows = batch.select(list(dict.fromkeys(chosen))).unique(maintain_order=True)
    # Without an id of the log's the problem's is that hash already (`local_keys`).
    named = rows.select(text=pl.when(pl.col("id").is_not_null()).then("prompt"))["text"]
    prompts = pl.Series([None if text is None else content_id(text) for text in named], dtype=pl.String)
    normal = [
        None if text is None else content_id(normalise(text, question))
        for text, question in rows.select("prompt", "question").iter_rows()
    ]
    return rows.select(
        "problem_id",
        pl.col("id").is_not_null().alias("has_id"),
        pl.when(pl.col("id").is_null()).then("problem_id").otherwise(prompts).alias("by_prompt"),
        pl.Series("by_normalised", normal, pl.String),
        *columns,
    ).unique(maintain_order=True)


@dataclass(frozen=True, slots=True)
class Join:
    """How problems are matched. `keys` has one table a side: problem_id and the `key` that sides share."""

    method: str
    keys: tuple[pl.DataFrame, ...]
    notes: tuple[str, ...] = ()


def join(sides: Sequence[pl.DataFrame], method: str = "auto") -> Join:
    """Match the problems of several sides.

    Args:
        sides: the problems of each, as `problem_rows` gives them.
        method: ``id``, ``prompt``, ``normalised`` (no system prompt, template, case or white space), names of
            columns separated by commas, or ``auto``: the first of the three that joins most problems; ids only where
            the prompts under an id agree, but for a tenth of them.

    Raises:
        StratagemError: nothing joins, or an id stands for several prompts within one log.
    """
    if method == "auto":
        reached = {name: _joined(sides, name) for name in METHODS}
        notes: list[str] = []
        if reached["id"] and (doubt := _doubt(sides)):
            notes.append(f"not joined by id: {doubt}")
            del reached["id"]
        best = max(reached, key=lambda name: reached[name])
        if not reached[best]:
            named = [side.filter("has_id")["problem_id"].head(1).to_list() for side in sides]
            such = "; ".join(str(name) for names in named for name in names)
            examples = f" (ids such as {such})" if such else ""
            why = "".join(f" {note};" for note in notes)
            raise StratagemError(
                f"no problem occurs in all sides:{why} by id, prompt or normalised prompt{examples}: "
                "name the columns that identify a problem with --join COLUMNS, or compare other problems by strata "
                "with --join none"
            )
        method = best
    else:
        notes = []
        if not _joined(sides, method):
            raise StratagemError(
                f"--join {method}: no problem occurs in all sides; try --join auto, or none for other problems"
            )
    keys = tuple(_keys(side, method) for side in sides)
    return Join(method, keys, tuple(notes))


def _keys(side: pl.DataFrame, method: str) -> pl.DataFrame:
    match method:
        case "id":
            key = pl.when("has_id").then("problem_id")
        case "prompt":
            key = pl.col("by_prompt")
        case "normalised":
            key = pl.col("by_normalised")
        case _:
            key = _named(named_columns(method))
    keys = side.select("problem_id", key=key.cast(side.schema["problem_id"]))
    return keys.drop_nulls().unique("problem_id", maintain_order=True)


def _joined(sides: Sequence[pl.DataFrame], method: str) -> int:
    common, *others = (_keys(side, method).select(pl.col("key").unique()) for side in sides)
    for keys in others:
        common = common.join(keys, on="key", how="semi")
    return common.height


def _doubt(sides: Sequence[pl.DataFrame]) -> str | None:
    """Why an id does not stand for one problem: its prompts differ, even in their normal form."""
    named = [
        side.filter("has_id").select("problem_id", "by_normalised").drop_nulls().unique() for side in sides
    ]
    for side in named:
        if twice := side["problem_id"].is_duplicated().sum():
            raise StratagemError(f"{twice} different prompts share an id within one log: use --join prompt")
    both = named[0]
    for side in named[1:]:
        both = both.join(side, on="problem_id", suffix="_after")
        differ = both.filter(pl.col("by_normalised") != pl.col("by_normalised_after")).height
        if differ > both.height / 10:
            return (
                f"{differ} of {both.height} ids have another prompt in the other log (--join id joins them)"
            )
        both = both.drop("by_normalised_after")
    return None
