"""A function of the user's own in place of rules."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl

from stratagem.labelling.ruleset import Parts, RuleSet
from stratagem.records import OTHER, TRUNCATED, StratagemError, content_id

Kind = Literal["text", "frame"]
MOST_LETTERS = 200  # of the name of a strategy
KINDS: dict[str, Kind] = {"text": "text", "frame": "frame"}


def read_function(source: str) -> RuleSet:
    """``module:function`` or ``file.py:function``, with ``text:`` or ``frame:`` in front if need be.

    Raises:
        StratagemError: it cannot be imported or called.
    """
    first, _, rest = source.partition(":")
    kind = KINDS.get(first) if ":" in rest else None
    place = source if kind is None else rest
    module_name, _, name = place.rpartition(":")
    function: Any = _import(module_name, source)
    for part in name.split("."):
        if not hasattr(function, part):
            raise StratagemError(f"--strategies {source}: {module_name} has no {name!r}")
        function = getattr(function, part)
    if not callable(function):
        raise StratagemError(f"--strategies {source}: {name} is no function")
    return rules_of(function, source, kind)


def rules_of(function: Callable[..., Any], source: str, kind: Kind | None = None) -> RuleSet:
    """A function as rules. `source` is what errors call it; `kind` is ``text`` or ``frame``, else as its argument
    says."""
    kind = kind or _kind(function)
    name = getattr(function, "__qualname__", type(function).__name__)
    label = _by_text(function, source) if kind == "text" else _by_frame(function, source)
    try:
        code = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        code = ""
    fingerprint = content_id("function", kind, name, code)
    description = (inspect.getdoc(function) or "").partition("\n")[0]
    return RuleSet(source, (), (), Parts(), fingerprint, description, label)


def _import(name: str, source: str) -> Any:
    try:
        if name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(name).stem, name)
            if spec is None or spec.loader is None:
                raise ImportError(f"not a Python file: {name}")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        # As `python -m` does it; a console script does not look in the folder it is called in.
        if "" not in sys.path:
            sys.path.insert(0, "")
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise StratagemError(f"--strategies {source}: cannot be imported: {_in_a_line(error)}") from None


def _kind(function: Callable[..., Any]) -> Kind:
    try:
        parameters = list(inspect.signature(function).parameters)
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, ValueError):
        parameters, hints = [], {}
    argument = hints.get(parameters[0]) if parameters else None
    return "frame" if argument is pl.DataFrame else "text"


def _by_text(function: Callable[[str], Any], source: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def label(frame: pl.DataFrame) -> pl.DataFrame:
        names: list[str | None] = []
        for row, text in enumerate(frame["completion"].fill_null("")):
            try:
                name = function(text)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # sys.exit too: the user's function does not end our command
                raise StratagemError(
                    f"{source}: row {row}: {_in_a_line(error)} (it was called with a text; for a function over a frame "
                    f"annotate its argument as pl.DataFrame, or write frame:{source})"
                ) from None
            if name is not None and not isinstance(name, str):
                raise StratagemError(
                    f"{source}: row {row}: gave {type(name).__name__}, has to give the name of a strategy or None"
                )
            if name is not None and not (0 < len(name) <= MOST_LETTERS and name.isprintable()):
                raise StratagemError(
                    f"{source}: row {row}: gave {name[:40]!r}, has to give 1 to {MOST_LETTERS} printable letters"
                )
            names.append(name)
        strategy = pl.Series("strategy", names, pl.String)
        if "finish_reason" in frame.columns:
            cut = (frame["finish_reason"] == "length").fill_null(False)
            strategy = strategy.zip_with(~cut, pl.Series([TRUNCATED]))
        return _complete(frame, strategy.to_frame())

    return label


def _by_frame(function: Callable[[pl.DataFrame], Any], source: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def label(frame: pl.DataFrame) -> pl.DataFrame:
        try:
            given: Any = function(frame)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise StratagemError(f"{source}: {_in_a_line(error)}") from None
        if isinstance(given, pl.Series):
            given = given.alias("strategy").to_frame()
        if not isinstance(given, pl.DataFrame) or "strategy" not in given.columns:
            what = (
                f"a frame of {', '.join(given.columns)}"
                if isinstance(given, pl.DataFrame)
                else type(given).__name__
            )
            raise StratagemError(
                f"{source}: gave {what}, has to give a pl.Series or a frame with column 'strategy'"
            )
        if given.height != frame.height:
            raise StratagemError(f"{source}: gave {given.height} labels for {frame.height} responses")
        try:
            casts = {"strategy": pl.String, "behaviours": pl.List(pl.String), "evidence": pl.String}
            chosen = given.select(
                pl.col(name).cast(kind) for name, kind in casts.items() if name in given.columns
            )
        except pl.exceptions.PolarsError as error:
            raise StratagemError(
                f"{source}: gave labels of a wrong type: {str(error).splitlines()[0]}"
            ) from None
        longest = chosen["strategy"].str.len_chars().max()
        if isinstance(longest, int) and longest > MOST_LETTERS:
            raise StratagemError(f"{source}: gave a name of {longest} letters, {MOST_LETTERS} at most")
        return _complete(frame, chosen)

    return label


def _complete(frame: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    defaults = {
        "behaviours": pl.lit([], dtype=pl.List(pl.String)),
        "evidence": pl.lit('{"marks":[]}'),
    }
    labels = labels.with_columns(pl.col("strategy").fill_null(OTHER)).with_columns(
        default.alias(name) for name, default in defaults.items() if name not in labels.columns
    )
    return frame.with_columns(labels.get_columns())


def _in_a_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
