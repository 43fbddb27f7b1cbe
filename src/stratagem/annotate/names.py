"""The strategies that a person may choose from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stratagem.labelling.rules import read_rules, starter_sets
from stratagem.labelling.ruleset import NAME, RESERVED
from stratagem.records import OTHER, UNPARSED, StratagemError, check_file
from stratagem.workspace import parse_toml

KEYS = {OTHER: "o", UNPARSED: "u"}
DESCRIPTIONS = {OTHER: "none of these", UNPARSED: "no answer can be read"}


@dataclass(frozen=True)
class Name:
    """A strategy with what it means and the key that stands for it, if one does."""

    name: str
    description: str
    key: str


def read_names(source: str | None) -> dict[str, str]:
    """Strategies with their descriptions.

    Args:
        source: a starter set, a TOML file with sections [strategies.NAME] (rules, or a description alone), names
            joined by commas, or nothing.

    Raises:
        StratagemError: what is wrong, and where.
    """
    if source is None:
        return {}
    if source in starter_sets():
        return {rule.name: rule.description for rule in read_rules(source).strategies}
    if not source.endswith(".toml"):
        names = {name.strip(): "" for name in source.split(",") if name.strip()}
        if not names:
            raise StratagemError(
                f"--strategies {source!r}: names no strategy; leave it out to name them on the page"
            )
        return {checked(name, "--strategies"): "" for name in names}
    check_file(Path(source))
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise StratagemError(f"{source}: not a readable TOML file ({said})") from None
    sections: Any = parse_toml(text, source).get("strategies")
    if not isinstance(sections, dict) or not sections:
        raise StratagemError(f'{source}: no strategy; add a section [strategies.NAME] with description = "…"')
    descriptions: dict[str, str] = {}
    for name, section in sections.items():
        described: Any = section.get("description", "") if isinstance(section, dict) else None
        if not isinstance(described, str):
            raise StratagemError(f'{source}: strategies.{name}: write a section with description = "…"')
        descriptions[checked(name, f"{source}: strategies")] = described
    return descriptions


def checked(name: str, where: str) -> str:
    """
    Raises:
        StratagemError: no name that a strategy may have.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise StratagemError(
            f"{where}: {name[:60]!r}: a name has letters, digits, _ and -, at most 40, a letter first, and is none of "
            f"{', '.join(RESERVED)}"
        )
    return name


def with_keys(described: dict[str, str], used: Iterable[str]) -> list[Name]:
    """The named strategies, then others that the sheet uses already, then those that are always there; 1-9 for the
    first nine."""
    names = [*described, *sorted(set(used) - set(described) - set(RESERVED))]
    rows = [Name(name, described.get(name, ""), str(i) if i < 10 else "") for i, name in enumerate(names, 1)]
    return rows + [Name(name, DESCRIPTIONS[name], key) for name, key in KEYS.items()]
