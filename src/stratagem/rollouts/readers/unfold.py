"""Records that hold several responses, whatever they are called: nested lists, tables, columns, rows by number.

A record is unfolded into flat ones, a response each. The fields beside a list are shared by all of its items; where
both have a field of one name, that of the item counts, since the other is a mean or a sum of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stratagem.rollouts.readers import harnesses, responses
from stratagem.rollouts.readers.row import FAULTS, BadRecord, Shape
from stratagem.rollouts.readers.scores import MAX_DEPTH, leaves, names_grade

SAMPLE = "_sample"  # the place of a response in its list
KEY = "key"  # the field that gets the name under which an object holds a record
TABLE, COLUMNS = "columns and data", "column to values by row"
SHAPED = 20  # records by which the shape is settled
ITEMS = "*"  # in a path: every value of the object
_FOLDED = ("messages", "prompt", "tool_calls", "tools")


def shape_of(records: Sequence[Mapping[str, Any]], completion: str | None = None) -> Shape | None:
    """The shape that most records have; None where they are one response each.

    Args:
        completion: the column of the response if the user named it; its path may lead into a list.
    """
    if harness := harnesses.of(records):
        return Shape(harness=harness)
    ways = [
        (_path_to(record, completion) if completion is not None else _path(record))
        or _lists(record, completion)
        for record in records[:SHAPED]
    ]
    way, times = Counter(tuple(way[:1]) for way in ways if way).most_common(1)[0] if any(ways) else ((), 0)
    if 2 * times < len(ways):  # a broken record among whole ones settles nothing
        return None
    place = next(i for i, names in enumerate(ways) if tuple(names[:1]) == way)
    record, named = records[place], ways[place]
    if _lists(record, completion) == named:
        alike = [names for names in ways if tuple(names[:1]) == way]
        times_of = Counter(name for names in alike for name in names)
        listed = [
            name for name in times_of if 2 * times_of[name] >= len(alike)
        ]  # by most of them, not the first
        kept = tuple(
            n for n in listed if names_grade(n) or all(_as_long(r, n, named[0]) for r in records[:SHAPED])
        )
        others = dict.fromkeys(name for r in records[:SHAPED] for name in r if name not in kept)
        return Shape((), kept, tuple(others))
    first = next(_rows(record, named), {})
    return Shape(named, (), tuple(name for name in first if name not in (SAMPLE, *_item(record, named))))


def _as_long(record: Mapping[str, Any], name: str, first: str) -> bool:
    lists = record.get(name), record.get(first)
    sizes = [len(value) for value in lists if isinstance(value, list)]
    return len(sizes) < 2 or sizes[0] == sizes[1]


def unfolded(record: Mapping[str, Any], shape: Shape | None) -> list[dict[str, Any]]:
    """The flat records of one.

    Raises:
        BadRecord: lists that belong together are not as long as each other, there is nothing in them, or the record is
            of another shape.
    """
    if shape is None:
        return [dict(record)]
    try:
        return _unfolded(record, shape)
    except FAULTS as fault:
        raise BadRecord(f"record: not as the first ones ({type(fault).__name__})") from None


def _unfolded(record: Mapping[str, Any], shape: Shape) -> list[dict[str, Any]]:
    if shape.harness:
        return harnesses.HARNESSES[shape.harness].flat(record)
    if shape.lists:
        return zipped(record, shape.lists)
    rows = list(_rows(record, shape.path))
    if not rows:
        raise BadRecord(f"{'.'.join(shape.path)}: no record in it")
    return rows


def within(name: str, shape: Shape | None) -> str:
    """A column's name in the unfolded records: without the path that leads to them."""
    return name if shape is None else name.removeprefix("".join(f"{part}." for part in shape.path))


def looks_like_response(record: Mapping[str, Any]) -> bool:
    """Whether a record has a text under a name of responses, here or in objects inside it."""
    return any(responses.names_response(name) and responses.is_text(value) for name, value in leaves(record))


def _objects(value: Any) -> bool:
    """Whether a value is a list of objects that are no messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, Mapping) for item in value[:20])
        and "role" not in value[0]
    )


def _path(value: Mapping[str, Any], depth: int = 0) -> tuple[str, ...]:
    """The way to the innermost lists of responses; empty where there is none."""
    if depth > MAX_DEPTH:
        return ()
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and data and _row_of(data[0], names):
        return (TABLE,)
    inside = [item for item in value.values() if isinstance(item, Mapping)]
    if len(inside) == len(value) >= 1 or _by_number(value):
        keys = set(inside[0])
        if len(value) > 1 and all(set(item) == keys for item in inside) and all(map(str.isdigit, keys)):
            return (COLUMNS,)
        alike = all(keys & set(item) for item in inside) and (len(inside) > 1 or _by_number(value))
        if alike and looks_like_response(inside[0]):
            return (ITEMS, *_path(inside[0], depth + 1))
    for name, item in value.items():
        if name in _FOLDED or not isinstance(item, Mapping | list):
            continue
        below = _below(item, depth + 1)
        if below is not None:
            return (name, *below)
    return ()


def _by_number(value: Mapping[str, Any]) -> bool:
    """Whether an object holds records by their numbers, and beside them at most what is no record."""
    numbered = [isinstance(item, Mapping) for name, item in value.items() if name.isdigit()]
    others = [item for name, item in value.items() if not name.isdigit()]
    return bool(numbered) and all(numbered) and not any(isinstance(item, Mapping | list) for item in others)


def _below(item: Mapping[str, Any] | list[Any], depth: int) -> tuple[str, ...] | None:
    """The way on from a field to responses; None where it does not lead there."""
    if isinstance(item, Mapping):
        below = _path(item, depth)
        return below or (_named_lists(item) or None)
    if not _objects(item):
        return None
    first = item[0]
    below = _path(first, depth)
    return below if below or looks_like_response(first) else None


def _named_lists(item: Mapping[str, Any]) -> tuple[str, ...]:
    """`ITEMS` where every value of an object is a list of responses, such as one a task."""
    lists = list(item.values())
    listed = lists and all(_objects(items) and looks_like_response(items[0]) for items in lists)
    return (ITEMS,) if listed else ()


def _row_of(row: Any, names: Sequence[Any]) -> bool:
    return isinstance(row, list) and len(row) == len(names) and all(isinstance(name, str) for name in names)


def _path_to(record: Mapping[str, Any], completion: str) -> tuple[str, ...]:
    """The way to the list that a path such as ``rollouts.text`` leads into."""
    here: Any = record
    parts = completion.split(".")
    for place, part in enumerate(parts):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
            if _objects(here) and place + 1 < len(parts) and not parts[place + 1].isdigit():
                return tuple(parts[: place + 1])
        else:
            return ()
    return ()


def _rows(value: Any, path: Sequence[str], depth: int = 0) -> Iterator[dict[str, Any]]:
    """The responses that a path leads to, each with what stands beside the lists on the way."""
    if isinstance(value, list):
        for place, item in enumerate(value):
            if not isinstance(item, Mapping):
                raise BadRecord("record: not an object")
            for row in _rows(item, path, depth):
                yield {SAMPLE: place, **row} if not path else row
        return
    if not path:
        yield dict(value)
        return
    if not isinstance(value, Mapping):
        raise BadRecord("record: not an object")
    if path[0] == TABLE:
        names = value["columns"]
        rest = {name: item for name, item in value.items() if name not in ("columns", "data", "index")}
        for row in value["data"]:
            if not _row_of(row, names):
                raise BadRecord("data: a row without all columns")
            yield {**rest, **dict(zip(names, row, strict=True))}
    elif path[0] == COLUMNS:
        first = next(iter(value.values()))
        for row in first:
            yield {name: column.get(row) for name, column in value.items()}
    elif path[0] == ITEMS:
        beside = {name: item for name, item in value.items() if not isinstance(item, Mapping | list)}
        for name, item in value.items():
            if name not in beside:
                for row in _rows(item, path[1:], depth + 1):
                    yield {**beside, KEY: name, **row}
    else:
        item = value.get(path[0])
        rest = {name: field for name, field in value.items() if name != path[0]}
        if item is None:
            return
        for row in _rows(item, path[1:], depth + 1):
            yield {**rest, **row}


def _item(record: Mapping[str, Any], path: Sequence[str]) -> set[str]:
    """The fields that a response has of its own."""
    here: Any = record
    for part in path:
        while isinstance(here, list):
            here = here[0] if here else {}
        if part == TABLE:
            return set(here["columns"])
        if part == COLUMNS:
            return set(here)
        records = (
            (item for item in here.values() if isinstance(item, Mapping | list))
            if part == ITEMS
            else iter(())
        )
        here = next(records, {}) if part == ITEMS else here.get(part, {})
    while isinstance(here, list):
        here = here[0] if here else {}
    return set(here)


def _lists(record: Mapping[str, Any], completion: str | None) -> tuple[str, ...]:
    """Lists as long as the list of responses, that one first; none where the record is a single response."""
    texts = {
        name: value
        for name, value in record.items()
        if isinstance(value, list) and value and name not in _FOLDED and all(map(_response, value))
    }
    if completion is not None:
        best = completion if completion in texts else None
    else:
        single = [
            name
            for name, value in record.items()
            if responses.is_text(value) and responses.rank(name) in (0, 1)
        ]
        named = {name: place for name in texts if (place := responses.rank(name)) is not None and place < 4}
        best = min(named, key=lambda name: named[name]) if named and not single else None
    if best is None:
        return ()
    size = len(record[best])
    return (
        best,
        *(n for n, v in record.items() if n != best and isinstance(v, list) and _beside(n, v, size)),
    )


def _beside(name: str, value: list[Any], size: int) -> bool:
    """Whether a list goes with the responses: grades always, so that another length is a fault and not passed over."""
    return not responses.is_text(value) and (len(value) == size or (bool(value) and names_grade(name)))


def _response(value: Any) -> bool:
    return isinstance(value, str) or responses.is_text(value)


def zipped(record: Mapping[str, Any], lists: Sequence[str]) -> list[dict[str, Any]]:
    """A record with lists as one record a place of theirs.

    Raises:
        BadRecord: the first list is empty, or another is not as long.
    """
    rest = {name: value for name, value in record.items() if name not in lists}
    columns = {name: record.get(name) for name in lists}
    first = columns[lists[0]]
    if not isinstance(first, list):
        return [dict(record)]
    if not first:
        raise BadRecord(f"{lists[0]}: an empty list")
    for name, value in columns.items():
        if value is not None and (not isinstance(value, list) or len(value) != len(first)):
            raise BadRecord(f"{name}: not as many as there are completions")
    return [
        {SAMPLE: place, **rest, **{n: None if v is None else v[place] for n, v in columns.items()}}
        for place in range(len(first))
    ]
