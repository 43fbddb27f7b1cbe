"""The shapes in which files hold a conversation or an instruction, put into the words that are read here."""

from __future__ import annotations

from collections.abc import Mapping

from stratagem.curation.held import Record

SPEAKERS = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
CONVERSATIONS = ("conversations", "conversation", "messages")


def usual(record: Record) -> Record:
    """A record whose conversation has turns with `role` and `content`, and whose instruction and input are one prompt;
    the record itself where nothing is to be done."""
    for name in CONVERSATIONS:
        turns = record.get(name)
        if isinstance(turns, list) and turns and all(isinstance(t, Mapping) and "from" in t for t in turns):
            record = record | {
                name: [
                    {"role": SPEAKERS.get(turn["from"], turn["from"]), "content": turn.get("value")}
                    for turn in turns
                ]
            }
    asked, given = record.get("instruction"), record.get("input")
    if isinstance(asked, str) and isinstance(given, str) and "prompt" not in record:
        record = record | {"prompt": f"{asked}\n\n{given}" if given else asked}
    return record
