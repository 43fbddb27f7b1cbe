"""Prompts of a verl run drawn for expected signal (`stratagem.samplers.Frontier`), by its data set.

    class Prompts(FrontierRows, RLHFDataset): ...                          # the file of data.custom_cls.path
    compute_score = reporting(compute_score, "/shared/run/frontier")       # the file of the reward function

verl 0.8 has no custom samplers, and the v1 trainer tells a data set nothing. So what the data loader asks for is
replaced by the row that the sampler draws, and how responses did comes from the reward function, which sees every one,
those of groups that verl filters too: by files in a folder that all its processes reach. Run with verl 0.8.0 and 0.9.1
up to what needs a GPU (`tests/integrations/test_verl_trainer.py`): trainer/ppo/v1/trainer_base.py, ray_trainer.py and
utils.py (how the data set is made, iterated and saved), utils/dataset/rl_dataset.py (a row and its ``extra_info``).
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stratagem.integrations.verl import Lines, field_of
from stratagem.limits import check_number
from stratagem.records import StratagemError
from stratagem.samplers import Frontier

ROW = "frontier_row"  # of extra_info: which row of the data set was drawn
OPTIONS = {"folder": "", "group": 8, "by": (), "keep": (), "explore": 0.1, "floor": 0.25, "half_life": 30.0}


def reporting(
    function: Callable[..., Any], folder: str | Path, correct: Callable[[float], float] | None = None
) -> Callable[..., Any]:
    """A reward function for verl, plain or async as `function` is, with its result unchanged, that also tells
    `FrontierRows` of every response in training whether it was right.

    Args:
        folder: the same as ``data.frontier.folder``.
        correct: from the score to correctness in [0, 1]; without it ``acc`` counts, where the result has it, else the
            score.

    Raises:
        StratagemError: when called, a response's correctness is not in [0, 1].
    """
    lines = Lines(Path(folder))

    def reported(result: Any, arguments: Mapping[str, Any]) -> Any:
        info: Mapping[str, Any] = arguments.get("extra_info") or {}
        if ROW not in info:  # validation
            return result
        fields = result if isinstance(result, Mapping) else {"score": result}
        right = fields.get("acc", fields["score"]) if correct is None else correct(float(fields["score"]))
        if not 0 <= float(right) <= 1:
            raise StratagemError(
                f"a score is {float(right):g}, no number in [0, 1]: give reporting a `correct` function, such as "
                "correct=lambda score: float(score > 0)"
            )
        lines.add({"row": int(info[ROW]), "right": float(right)})
        return result

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(**arguments: Any) -> Any:
            return reported(await function(**arguments), arguments)

        return later

    @functools.wraps(function)
    def now(**arguments: Any) -> Any:
        return reported(function(**arguments), arguments)

    return now


class FrontierRows:
    """To be mixed into verl's RLHFDataset, before it. Validation files are left as they are.

    Its options stand in the config: ``+data.frontier.folder=FOLDER``, and besides ``group`` (samples of a prompt, 8),
    ``by`` (fields of ``extra_info``; prompts alike in them are a stratum), ``keep`` (fields whose values keep their
    shares of every update), ``explore``, ``floor`` and ``half_life`` (as of `samplers.Frontier`; an update is
    ``data.train_batch_size`` prompts). Set ``data.dataloader_num_workers=0``: copies of the data set in other processes
    would not know what was drawn.

    verl saves the state with its data loader's. A run that resumes goes on with the responses that had been written
    then; those that were written after that, before it was started again, are not read.

    Raises:
        StratagemError: an option is missing, unknown or out of its limits, or there are workers.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        rows: Any = self
        config = rows.config
        self.sampler: Frontier | None = None
        # The files as they were named: of remote ones, and with use_shm, `data_files` has the local copies.
        if names(rows.original_data_files) != names(config.get("train_files")):
            return
        own = {**OPTIONS, **(config.get("frontier") or {})}
        if unknown := sorted(own.keys() - OPTIONS.keys()):
            raise StratagemError(f"data.frontier.{unknown[0]}: there are {', '.join(OPTIONS)}")
        if not own["folder"]:
            raise StratagemError("data.frontier.folder: name the folder that `reporting` writes to")
        if names(config.get("val_files")) == names(config.get("train_files")):
            raise StratagemError(
                "data.val_files: are the files of training, and a data set is not told which it is; name a copy"
            )
        if config.get("dataloader_num_workers", 0):
            raise StratagemError(
                "data.dataloader_num_workers: has to be 0, since prompts are drawn as the run goes"
            )
        for name in ("group", "explore", "floor", "half_life"):
            check_number(name, own[name])
        self.batch = int(config.get("train_batch_size"))
        self.sampler = Frontier(
            len(rows),
            int(own["group"]),
            seed=int(config.get("seed") or 0),
            strata=strata(rows.dataframe, "by", own["by"]) if own["by"] else None,
            kinds=strata(rows.dataframe, "keep", own["keep"]) if own["keep"] else None,
            explore=own["explore"],
            floor=own["floor"],
            half_life=own["half_life"],
        )
        self.folder = Path(own["folder"])
        self.update = 0
        self.drawn: list[int] = []  # of this update, still to be handed out
        self.read = lengths(self.folder)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """A row of the data set: in training the next one that was drawn, whichever is asked for."""
        above: Any = super()
        if self.sampler is None:
            return above.__getitem__(item)
        if not self.drawn:
            self.take_in(self.sampler)
            self.drawn = self.sampler.draw(self.update, self.batch)
            self.update += 1
        chosen = self.drawn.pop(0)
        row = above.__getitem__(chosen)
        return {**row, "extra_info": {**(row.get("extra_info") or {}), ROW: chosen}}

    def take_in(self, sampler: Frontier) -> None:
        """Read what reward functions wrote since the last time."""
        rows: list[int] = []
        right: list[float] = []
        for path in sorted(self.folder.glob("*.jsonl")):
            with open(path, "rb") as file:
                file.seek(self.read.get(path.name, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]  # a line may be under way
            self.read[path.name] = self.read.get(path.name, 0) + len(whole)
            for line in whole.splitlines():
                response = json.loads(line)
                rows.append(response["row"])
                right.append(response["right"])
        sampler.observe(self.update, rows, right, 1)

    def state_dict(self) -> dict[str, Any]:
        """What StatefulDataLoader saves of a data set."""
        if self.sampler is None:
            return {}
        self.take_in(self.sampler)
        return {"sampler": dict(self.sampler.state()), "update": self.update, "drawn": list(self.drawn)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.sampler is None or not state:
            return
        self.sampler.restore(state["sampler"])
        self.update, self.drawn = int(state["update"]), list(state["drawn"])


def strata(rows: Any, option: str, by: Sequence[str]) -> list[int]:
    """The number of each row's stratum: rows that are alike in these fields of ``extra_info``.

    Args:
        rows: a `datasets.Dataset`.
    """
    if "extra_info" not in rows.column_names:
        raise StratagemError(
            f"data.frontier.{option} {by[0]!r}: the rows have no extra_info, which is to have it"
        )
    numbers: dict[tuple[str, ...], int] = {}
    # That column alone, since reading rows whole would decode their images.
    infos = (row["extra_info"] or {} for row in rows.select_columns("extra_info"))
    return [
        numbers.setdefault(tuple(str(field_of(info, name)) for name in by), len(numbers)) for info in infos
    ]


def names(files: Any) -> list[str]:
    """Paths of data as the config has them, one or several."""
    return [files] if isinstance(files, str) else [str(name) for name in files or ()]


def lengths(folder: Path) -> dict[str, int]:
    """How long the files of responses are now."""
    return {path.name: path.stat().st_size for path in folder.glob("*.jsonl")}
