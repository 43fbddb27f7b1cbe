"""What a log says of itself, so that nobody has to: kept in the metadata of the Parquet files that `Live` writes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl

KEY = "stratagem.log"


class Declared(msgspec.Struct, frozen=True):
    """How the run that wrote a log measured itself.

    Attributes:
        by: columns of the strata.
        window: updates on each side of its gain.
        checkpoint: the column of its updates. training: the value of `split` of responses that it learnt from.
    """

    by: tuple[str, ...] = ()
    window: int | None = None
    checkpoint: str = "step"
    training: str = "train"

    def metadata(self) -> dict[str, str]:
        """As the metadata of a Parquet file."""
        return {KEY: msgspec.json.encode(self).decode()}


def declared(path: Path) -> Declared | None:
    """What a Parquet file declares; None where it declares nothing, or is another file."""
    try:
        text = pl.read_parquet_metadata(path).get(KEY)
        return None if text is None else msgspec.json.decode(text, type=Declared)
    except (pl.exceptions.PolarsError, OSError, msgspec.DecodeError):
        return None
