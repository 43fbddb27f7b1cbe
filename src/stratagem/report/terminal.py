"""Results in a terminal of 80 columns, the answer first: a study, a diagnosis, a log, pass@k."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stratagem.decomposition.path import Path
from stratagem.report import diagnosis_view as shown
from stratagem.report import runs as shown_runs
from stratagem.report import view
from stratagem.report.format import (
    MISSING,
    Number,
    bounds_text,
    interval,
    number,
    percent,
    plain,
    signed,
    signed_interval,
)
from stratagem.report.visible_view import in_words
from stratagem.result import AttemptsOfLogs, Findings, Runs, SideFacts, Spread, Surveyed
from stratagem.study_result import Summary
from stratagem.tasks import make_task

STYLES = {"upheld": "green", "refuted": "red", "undecided": "yellow"}
WIDTH = 80


def show(summary: Summary, console: Console) -> None:
    """Prints the summary, the answer first. Colours add nothing that the words do not say."""
    width = min(console.width, WIDTH)

    def put(what: Text | Table | Padding | str = "") -> None:
        console.print(what, width=width, highlight=False)

    put(Text(summary.answer, style="bold"))
    put(
        Text(
            " ".join([make_task(summary.task).about, *([summary.about] if summary.about else [])]),
            style="dim",
        )
    )
    put()
    beside = ", and the study's" if summary.study else ""
    put(Text(f"Accuracy in % with 95% intervals{beside}", style="dim"))
    put(_table(summary))
    if summary.gains:
        put()
        put(
            Text(
                "Gain over the model it began from in percentage points, and its terms, with 95% intervals",
                style="dim",
            )
        )
        put(_gains(summary))
    for note in view.notes(summary):
        put(Text(note, style="dim"))
    if spliced := view.splices(summary):
        put()
        put(Text("The gain by experiment, beside accounting, with 95% intervals", style="dim"))
        put(_splices(spliced))
    put()
    put(Text(view.one_run_note(summary), style="dim"))
    if among := view.among(summary):
        put(Text(among, style="dim"))
    claims = view.claims(summary)
    if claims:
        put(Text("The study's claims:", style="dim"))
    for claim in claims:
        put(_claim(claim))
    asked = summary.evaluation
    sizes = "" if asked is None else f", {asked.problems} problems x {asked.samples} samples"
    put()
    put(
        Text(
            f"preset {plain(summary.preset)}, replicates {plain(len(summary.seeds))}{sizes}",
            style="dim",
        )
    )


def show_claims(name: str, summary: Summary, console: Console) -> None:
    """Prints a study's claims alone, as one of several."""
    put = _printer(console)
    put(Text.assemble((name, "bold"), f"  {summary.question}"))
    for claim in view.claims(summary):
        put(_claim(claim))
    put()


def _grid(*columns: str, fold: bool = False) -> Table:
    """A table whose numbers are never cut; with `fold` the names before them take another line where they must."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for i, name in enumerate(columns):
        first = i == 0
        table.add_column(
            name, justify="left" if first else "right", no_wrap=not (first and fold), overflow="fold"
        )
    return table


def _table(summary: Summary) -> Table:
    published = bool(summary.study)
    titles = view.columns(summary).values()
    table = _grid("", *(part for name in titles for part in ((name, "study") if published else (name,))))
    rows = view.table(summary)
    for i, row in enumerate(rows):
        cells: list[Text] = []
        for cell in row.cells.values():
            cells.append(_level(cell.ours))
            if published:
                cells.append(Text(_short(cell.study), style="dim"))
        last = i + 1 < len(rows) and rows[i + 1].root != row.root
        table.add_row(row.cell, *cells, end_section=last)
    return table


def _splices(spliced: list[view.SplicedGain]) -> Table:
    table = _grid("", "", "By experiment", "By accounting")
    for it in spliced:
        for place, (name, *numbers) in enumerate(it.terms):
            shown = [f"{signed(n.value)} {signed_interval(n)}" for n in numbers]
            table.add_row("" if place else it.arm, name, *shown)
    return table


def _level(n: Number, digits: int = 0) -> Text:
    """Whole points in the interval: six columns have to fit."""
    ends = " " + interval(n, digits).replace(", ", ",") if n.has_interval else ""
    return Text.assemble((_short(n.value), "bold"), ends)


def _short(x: float | None) -> str:
    return percent(x).replace("100.0", "100")


def _gains(summary: Summary) -> Table:
    table = _grid("", "Gain", *view.TERMS.values())
    for gain in view.gains(summary):
        table.add_row(gain.cell, *(_term(n) for n in (gain.gain, *gain.terms.values())))
    return table


def _of_all(n: Number) -> Text:
    """A share or an accuracy over its interval."""
    ends = "\n" + interval(n).replace(", ", ",") if n.has_interval else ""
    return Text.assemble(percent(n.value), (ends, "dim"))


def _term(n: Number, between: str = "\n") -> Text:
    ends = between + signed_interval(n).replace(", ", ",") if n.has_interval else ""
    return Text.assemble((bounds_text(n) or signed(n.value), "bold"), (ends, "dim"))


def _claim(claim: view.Claim) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=11, no_wrap=True)
    row.add_column()
    text = Text(f"{claim.id}. {claim.statement}")
    if claim.difference.value is not None:
        text.append(f" {signed(claim.difference.value)} {signed_interval(claim.difference)}", style="bold")
    row.add_row(Text(f"{claim.sign} {claim.verdict}", style=STYLES.get(claim.verdict, "")), text)
    return row


# -- logs of anybody's rollouts ------------------------------------------------------------------------------

MOST_ROWS = 12  # of a table: the report has the rest
NAME_WIDTH = 26
STRATEGY_WIDTH = 20


def show_diagnosis(findings: Findings, console: Console) -> None:
    """Prints a diagnosis, the verdict first."""
    findings = shown.shown(findings)
    put = _printer(console)
    entries = shown.entries(findings)
    start = [entry for entry in entries if entry.before == entries[0].before]
    if not entries:
        put(Text("Nothing to compare: the logs have no problem in common.", style="bold"))
    for entry in entries[:1]:
        put(Text(entry.sentence, style="bold"))
        put()
        _next(entry, put)
        put()
        put(
            Text(f"Gain in points and its terms, with {shown.interval_name(findings)} intervals", style="dim")
        )
        put(_comparisons(entries if len(entries) <= MOST_ROWS else start))
        for note in shown.notes(entry):
            put(Text(note, style="dim"))
        put()
        put(_strategies(entry, len(entries) > 1))
        put(Text(shown.robustness_text(entry), style="dim"))
        error = entry.result.label_error
        for text in (shown.sensitivity_text(error), shown.quality_text(error), shown.corrected_text(error)):
            if text:
                put(Text(text, style="dim"))
    if entries and (said := in_words(findings)):
        text = " ".join(said)
        put(Text(f"Without names of strategies: {text[:1].lower()}{text[1:]}", style="dim"))
    if findings.path is not None and len(findings.path.steps) > 1:
        put()
        put(
            Text(
                "From one checkpoint to the next in points, the mean of selecting first and improving first",
                style="dim",
            )
        )
        put(_steps(findings.path))
        put(Text(shown.path_note(findings), style="dim"))
    for entry in start[1:]:
        put()
        put(Text.assemble((f"{entry.title}: ", "bold"), entry.headline[0]))
        _next(entry, put, brief=True)
    if findings.warnings:
        put()
    for warning in findings.warnings:
        put(Text(f"! {warning}", style="yellow"))
    put()
    for side in findings.sides:
        put(Text(_read(side), style="dim"))


def show_runs(runs: Runs, console: Console) -> None:
    """Prints several runs, a line each, then what each needs next."""
    put = _printer(console)
    put(Text(shown_runs.headline(runs), style="bold"))
    put()
    put(Text("Gain in points and its parts, with intervals", style="dim"))
    table = _grid("", "Gain", "Choice", "Improvement", "Larger", fold=True)
    for run in runs.runs:
        numbers = [_term(number(part)) for part in (run.gain, run.choice, run.improvement)]
        table.add_row(shown.seen(run.name), *numbers, Text(shown_runs.larger(run)))
    put(table)
    put(Text(shown_runs.LEVELS, style="dim"))
    for run in runs.runs:
        put()
        put(Text.assemble((f"{shown.seen(run.name)}: ", "bold"), shown.seen(run.sentence)))
        if run.action is not None:
            put(
                Text.assemble(
                    ("Next: ", "bold"),
                    (run.action, "bold green"),
                    f". {shown.seen(run.aim)}".rstrip(),
                )
            )


def show_survey(surveyed: Surveyed, console: Console) -> None:
    """Prints what a log holds."""
    surveyed = shown.safe(surveyed)
    put = _printer(console)
    more = f" and {len(surveyed.files) - 1} more" if len(surveyed.files) > 1 else ""
    put(Text(f"{surveyed.files[0] if surveyed.files else 'no file'}{more}", style="bold"))
    ranges = [f"{name} from {plain(low)} to {plain(high)}" for name, (low, high) in surveyed.scores.items()]
    lines: list[tuple[str, str]] = [
        *surveyed.taken.items(),
        ("format", surveyed.format),
        ("responses", plain(surveyed.rows)),
        ("problems", plain(surveyed.problems)),
        ("responses a problem", _spread(surveyed.samples) if surveyed.samples else MISSING),
        ("scores", "; ".join(ranges) or "none"),
    ]
    if surveyed.checkpoints > 1:
        lines.append(("checkpoints", plain(surveyed.checkpoints)))
    if any(surveyed.finish_reasons.values()):
        ended = (f"{plain(count)} by {name}" for name, count in surveyed.finish_reasons.items())
        lines.append(("ended", ", ".join(ended)))
    if groups := surveyed.groups:
        sizes = _spread(groups.samples)
        lines.append(("groups", f"{plain(groups.count)} by column '{groups.column}', {sizes} responses each"))
    lines += [(name, plain(values)) for name, values in surveyed.facts.items()]
    lines.append(("columns", ", ".join(surveyed.columns) or "none"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim", max_width=NAME_WIDTH)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(Text(name), Text(value))
    put(table)
    for reason, count in surveyed.left_out.items():
        put(Text(f"! left out {plain(count)}: {reason}", style="yellow"))
    for record in surveyed.left_out_examples[:MOST_ROWS]:
        put(Text(f"  {record.file}, row {plain(record.row)}: {record.reason}", style="dim"))
    for unread in surveyed.skipped[:MOST_ROWS]:
        put(Text(f"  not read: {unread.file}: {unread.reason}", style="dim"))
    put()


def show_passk(result: AttemptsOfLogs, console: Console) -> None:
    """Prints pass@k of one log, or of two with the difference."""
    result = shown.safe(result)
    put = _printer(console)
    two = len(result.logs) > 1
    put(Text(f"pass@k in % of {plain(result.problems)} problems, with intervals", style="bold"))
    several = len(result.passk) > 1 and all(row.together for row in result.passk)
    names_of = (*(("before", "after", "difference") if two else ("pass@k",)), *(["all k at once"] * several))
    table = _grid("k", *names_of)

    for row in result.passk:
        cells = [_level(number(side), 1) for side in ((row.before, row.after) if two else (row.before,))]
        cells += [_term(number(row.difference), " ")] if two else []
        if several and row.together is not None:
            together = number(row.together.difference if two else row.together.before)
            ends = signed_interval(together) if two else interval(together)
            cells.append(Text(ends.replace(", ", ",") if together.has_interval else "", style="dim"))
        table.add_row(plain(row.k), *cells)
    put(table)
    for row in result.passk:
        sizes = [term.n for term in (row.before, row.after, row.difference) if term is not None and term.n]
        if any(size != result.problems for size in sizes):
            each = f"{plain(sizes[0])} problems have {plain(row.k)} responses"
            if two and len(sizes) == 3:
                each += (
                    f" before, {plain(sizes[1])} after, {plain(sizes[2])} on both sides, for the difference"
                )
            put(Text(f"k = {plain(row.k)}: {each}", style="dim"))
    for side, left in zip(result.logs, result.left_out, strict=True):
        said = f"{side.name}: {plain(left)} problems of no other log left out" if left else side.name
        put(Text(said, style="dim"))


def _printer(console: Console) -> Callable[..., None]:
    width = min(console.width, WIDTH)

    def put(what: Text | Table | str = "", copied: bool = False) -> None:
        """`copied`: what is to be copied stands in one line, however long."""
        console.print(what, width=None if copied else width, highlight=False, markup=False, soft_wrap=copied)

    return put


def _next(entry: shown.Entry, put: Callable[..., None], brief: bool = False) -> None:
    if entry.action is None:
        return
    said = entry.sentence
    reasons = [] if brief else [line for line in (entry.why, entry.aim) if line and line not in said]
    put(
        Text.assemble(
            ("Next: ", "bold"),
            (entry.action, "bold green"),
            ". ".join(["", " ".join(reasons)] if reasons else []),
        )
    )
    if entry.command and not brief:
        put(Text.assemble(("$ ", "dim"), (entry.command, "green")), copied=True)
        put(Text("PROMPTS: what RL draws from, if this log answers it.", style="dim"))
    for line in () if brief else (line for line in entry.key if line not in said):
        row = Table.grid(padding=(0, 1))
        row.add_row("-", Text(line, style="dim"))
        put(row)


def _comparisons(entries: list[shown.Entry]) -> Table:
    table = _grid("", "Gain", *view.TERMS.values(), fold=True)
    same = len({entry.before for entry in entries}) == 1
    differ = shown.problems_differ(entries)
    for entry in entries:
        name = shown.short(entry.after, 20)
        name = name if same else f"{shown.short(entry.before, 18)} →\n{name}"
        name += f"\n{plain(entry.result.problems)} problems" if differ else ""
        table.add_row(name, *_numbers(entry.terms))
    return table


def _numbers(terms: shown.Terms) -> list[Text]:
    return [_term(n) for n in (terms.gain, *terms.terms.values())]


def _steps(path: Path) -> Table:
    """The steps, then the whole."""
    table = _grid("", "Gain", *view.TERMS.values(), fold=True)
    for i, step in enumerate(path.steps):
        name = " →\n".join(shown.short(end, 18) for end in (step.before, step.after))
        table.add_row(
            name if len(name) > 20 else name.replace("\n", " "),
            *_numbers(shown.terms_of(step)),
            end_section=i + 1 == len(path.steps),
        )
    table.add_row("all together", *_numbers(shown.terms_of(path.along)))
    return table


def _strategies(entry: shown.Entry, named: bool) -> Table:
    table = _grid("Strategy", "Share, %", "after", "Accuracy, %", "after", "Adds")
    table.title = f"{shown.short(entry.before, 34)} → {shown.short(entry.after, 34)}" if named else None
    rows = entry.result.strategies
    for row in rows[:MOST_ROWS]:
        rates = (row.share_before, row.share_after, row.accuracy_before, row.accuracy_after)
        adds = signed(number(row.contribution).value)
        table.add_row(
            shown.short(row.strategy, STRATEGY_WIDTH), *(_of_all(number(rate)) for rate in rates), adds
        )
    if len(rows) > MOST_ROWS:
        table.add_row(f"and {len(rows) - MOST_ROWS} more")
    return table


def _read(side: SideFacts) -> str:
    left = sum(side.left_out.values())
    files = f" in {len(side.files):,} files" if len(side.files) > 1 else ""
    parts = [
        f"{plain(side.responses)} responses to {plain(side.problems)} problems{files}",
        side.format,
        f"right by {side.score}",
    ]
    return f"{shown.short(side.name, 40)}: {', '.join(parts)}{f'; {plain(left)} left out' if left else ''}"


def _spread(sizes: Spread) -> str:
    ends = f"{sizes.min:,} to {sizes.max:,}, median {sizes.median:.4g}"
    return f"{sizes.min:,}" if sizes.min == sizes.max else ends
