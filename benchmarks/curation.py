"""Prompts chosen by few samples, judged by the others: real counts, simulated pools with known pass rates, and speed;
the speed of `curate demonstrations`.

    python benchmarks/curation.py counts COUNTS.jsonl [--draws 200]
    python benchmarks/curation.py pools [--pools 200]
    python benchmarks/curation.py speed [--prompts 1000000] [--logs counts.jsonl rewards.jsonl scores.parquet]
    python benchmarks/curation.py effective [--pools 500]
    python benchmarks/curation.py demonstrations [--rows 1000000] [--forms jsonl parquet messages]

COUNTS has a row a prompt: id, source, n (128) and c. So many of its samples are drawn at random, a quarter of the
prompts is chosen by them, and the other samples judge: `signal` is the share of groups of 8, drawn from these without
replacement, that hold right and wrong ones (it is not biased by the choice). `random` is the pool's share, `raw` takes
those with most signal at their raw rate, `ours` those with most expected signal. `said` is what we expect of ours,
`held` how often its 95% interval holds what the others show; `rates` is the share of prompts whose 95% interval for the
number of right ones among the other samples (beta-binomial) holds it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from stratagem.curation.demonstrations.diversity import effective_number, estimate
from stratagem.curation.passrates import Floats, Posterior
from stratagem.curation.profile import Frontier, Profile, profile
from stratagem.curation.summary import prompt_set
from stratagem.curation.tally import SUMS

GROUP = 8
WORLDS = ("U-shaped", "one hump", "flat ends", "two humps", "logit-normal")


def profiled(n: Floats, right: Floats, home: NDArray[np.int64]) -> Profile:
    nothing = np.zeros(len(n))
    sums = pl.DataFrame(dict(zip(SUMS, (n, right, right, nothing, nothing, nothing), strict=True)))
    every = np.ones(len(n), bool)
    return profile(sums, home, int(home.max()) + 1, every, True, Frontier(GROUP))


def groups_with_signal(n: Floats, right: Floats) -> Floats:
    """The share of groups drawn without replacement that hold both: unbiased for independent samples."""

    def log_choose(x: Floats) -> Floats:
        enough = x >= GROUP
        y = np.where(enough, x, GROUP)
        return np.where(enough, gammaln(y + 1) - gammaln(GROUP + 1) - gammaln(y - GROUP + 1), -np.inf)

    return 1 - np.exp(log_choose(right) - log_choose(n)) - np.exp(log_choose(n - right) - log_choose(n))


def ends_of(n: int, posterior: Posterior) -> tuple[Floats, Floats]:
    """The ends of the 95% interval of how many of `n` further samples are right, for each entry of a posterior."""
    k = np.arange(n + 1)[None, :, None]
    alpha, beta = posterior.alpha[:, None, :], posterior.beta[:, None, :]
    choices = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    chance = np.exp(choices + betaln(k + alpha, n - k + beta) - betaln(alpha, beta))
    below = np.cumsum((chance * posterior.weight[:, None, :]).sum(axis=2), axis=1)
    return (below < 0.025).sum(axis=1).astype(float), (below < 0.975).sum(axis=1).astype(float)


def predicted(n: int, known: Profile, home: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The ends of the 95% interval of how many of `n` further samples are right."""
    kinds = pl.DataFrame({"home": home, "n": known.n, "right": known.right}).unique(maintain_order=True)
    posterior = Posterior.after(known.priors, *(kinds[name].to_numpy() for name in kinds.columns))
    low, high = ends_of(n, posterior)
    kinds = kinds.with_columns(low=pl.Series(low), high=pl.Series(high))
    rows = pl.DataFrame({"home": home, "n": known.n, "right": known.right})
    table = rows.join(kinds, on=["home", "n", "right"], how="left", maintain_order="left")
    return table["low"].to_numpy(), table["high"].to_numpy()


def signal(rate: Floats) -> Floats:
    return 1 - rate**GROUP - (1 - rate) ** GROUP


def on_counts(path: Path, draws: int) -> None:
    rows = pl.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    total, right = rows["n"].to_numpy(), rows["c"].to_numpy()
    sources = rows["source"].rank("dense").to_numpy().astype(np.int64) - 1
    size = len(rows) // 4
    print(f"{len(rows)} prompts, {size} chosen, {draws} draws; groups with signal in %")
    print("samples strata   random   raw  ours  said  held  rates   raw of best 5%  ours  most that can be")
    for samples in (2, 4, 8, 16, 32):
        for name, home in (("one", np.zeros_like(sources)), ("source", sources)):
            rng = np.random.default_rng(0)
            told: list[tuple[float, ...]] = []
            for _ in range(draws):
                seen = rng.hypergeometric(right, total - right, samples).astype(float)
                n = np.full(len(rows), float(samples))
                known = profiled(n, seen, home)
                rest, rest_right = total - n, right - seen
                judged = groups_with_signal(rest, rest_right)
                tie = rng.permutation(len(rows))
                ours = np.lexsort((tie, -known.signal))
                raw = np.lexsort((tie, -signal(seen / n)))
                best, top = ours[:size], len(rows) // 20
                said = prompt_set(known, best, 0.95).signal
                ends = predicted(int(rest[0]), known, home)
                told.append(
                    (
                        judged.mean(),
                        judged[raw[:size]].mean(),
                        judged[best].mean(),
                        said.value,
                        said.low < judged[best].mean() < said.high,
                        ((ends[0] <= rest_right) & (rest_right <= ends[1])).mean(),
                        judged[raw[:top]].mean(),
                        judged[ours[:top]].mean(),
                        np.sort(groups_with_signal(total.astype(float), right.astype(float)))[-size:].mean(),
                    )
                )
            r = 100 * np.mean(told, axis=0)
            print(
                f"{samples:7} {name:8} {r[0]:6.1f} {r[1]:5.1f} {r[2]:5.1f} {r[3]:5.1f} {r[4]:5.0f} {r[5]:6.1f}"
                f"          {r[6]:5.1f} {r[7]:5.1f}             {r[8]:5.1f}",
                flush=True,
            )


def rates_of(world: str, size: int, rng: np.random.Generator) -> Floats:
    match world:
        case "U-shaped":
            return rng.beta(0.3, 0.2, size)
        case "one hump":
            return rng.beta(4, 6, size)
        case "flat ends":  # two thirds never or always right, which no Beta distribution says
            return np.select(
                [rng.random(size) < 1 / 3, rng.random(size) < 0.5], [0.0, 1.0], rng.beta(2, 2, size)
            )
        case "two humps":
            return np.where(rng.random(size) < 0.5, rng.beta(2, 18, size), rng.beta(18, 2, size))
        case _:
            return 1 / (1 + np.exp(-rng.normal(-1, 2.5, size)))


def on_pools(pools: int) -> None:
    print(f"{pools} pools of 500 prompts a row; 125 chosen")
    print("world         samples  held, %  signal: random  raw  ours  said  held, %")
    for world in WORLDS:
        for samples in (2, 8, 32):
            rng = np.random.default_rng(0)
            told: list[tuple[float, ...]] = []
            for _ in range(pools):
                rate = rates_of(world, 500, rng)
                n = np.full(500, float(samples))
                seen = rng.binomial(samples, rate).astype(float)
                known = profiled(n, seen, np.zeros(500, np.int64))
                tie = rng.permutation(500)
                best = np.lexsort((tie, -known.signal))[:125]
                raw = np.lexsort((tie, -signal(seen / n)))[:125]
                truth = signal(rate)
                said = prompt_set(known, best, 0.95).signal
                held = ((known.low <= rate) & (rate <= known.high)).mean()
                within = said.low < truth[best].mean() < said.high
                told.append((held, truth.mean(), truth[raw].mean(), truth[best].mean(), said.value, within))
            r = 100 * np.mean(told, axis=0)
            print(
                f"{world:13} {samples:7} {r[0]:8.1f} {r[1]:15.1f} {r[2]:5.1f} {r[3]:5.1f} {r[4]:5.1f} {r[5]:8.0f}",
                flush=True,
            )


def write(folder: Path, prompts: int) -> dict[str, Path]:
    """A pool, and rollouts to it of 16 samples in several forms."""
    rng = np.random.default_rng(0)
    ids = pl.Series("id", [f"p{i}" for i in range(prompts)])
    numbers = pl.DataFrame({"i": np.arange(prompts), "k": rng.integers(1, 99, prompts)})
    text = numbers.select(pl.format("What is {} plus {}? " + "Think well. " * 15, "i", "k").alias("prompt"))
    source = pl.Series("data_source", rng.choice(["math", "code", "logic"], prompts))
    pool = pl.DataFrame([ids, text["prompt"], source])
    pool.write_ndjson(folder / "pool.jsonl")
    pool.write_parquet(folder / "pool.parquet")
    right = rng.random((prompts, 16)) < rng.beta(0.4, 0.3, (prompts, 1))
    pl.DataFrame([ids]).with_columns(n=16, c=pl.Series(right.sum(1))).write_ndjson(folder / "counts.jsonl")
    lists = pl.DataFrame([ids]).with_columns(rewards=pl.Series(right.astype(int).tolist()))
    lists.write_ndjson(folder / "rewards.jsonl")
    scores = lists.explode("rewards").rename({"rewards": "score"})
    scores.write_parquet(folder / "scores.parquet")
    return {name: folder / name for name in ("counts.jsonl", "rewards.jsonl", "scores.parquet")}


def on_speed(prompts: int, names: list[str]) -> None:
    """Seconds of the command, and as a limit those of decoding the same bytes (msgspec, pyarrow) right before it."""
    print(
        f"{prompts:,} prompts of 200 characters, 16 samples each; load of the machine {os.getloadavg()[0]:.1f}"
    )
    print("rollouts         prompts        seconds  CPU seconds  decoding alone  times it  peak MB")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        logs = write(folder, prompts)
        for log in (logs[name] for name in names):
            for pool in ("pool.jsonl", "pool.parquet"):
                out = folder / f"out-{log.name}-{pool}"
                words = ["curate", "prompts", folder / pool, "--rollouts", log, "--by", "data_source"]
                words += ["--size", prompts // 5, "--out", out, "--json"]
                limit = decoding(log) + decoding(folder / pool)
                seconds, cpu, peak = timed(words)
                print(
                    f"{log.name:16} {pool:13} {seconds:8.1f} {cpu:12.1f} {limit:15.1f} {cpu / limit:9.1f} {peak:8.0f}",
                    flush=True,
                )


def decoding(path: Path) -> float:
    """Processor seconds in which a file's bytes become values, by the libraries that read them."""
    start = time.process_time()
    if path.suffix == ".parquet":
        pq.read_table(path)
    else:
        with open(path, "rb") as file:
            while lines := file.readlines(1 << 22):
                msgspec.json.decode(b"[" + b",".join(lines) + b"]")
    return time.process_time() - start


OPENINGS = {
    "Working backward from the result, we undo each step. ": 0.08,
    "There are two cases. Case 1: it is even. Case 2: it is odd. ": 0.02,
    "Let $x$ be the unknown, so that $2x + 3 = 11$ and $x = 4$. ": 0.9,
}


def write_demonstrations(folder: Path, rows: int, form: str) -> Path:
    """An SFT set of three strategies (90, 8 and 2%): responses of about 1,000 characters, two to a problem; 10% repeat
    an earlier response but for three words, and 1% wholly."""
    rng = np.random.default_rng(0)
    words = np.array([f"{'abcdefghij'[i % 10]}w{i:x}" for i in range(20_000)])
    path = folder / ("sft.parquet" if form == "parquet" else f"{form}.jsonl")
    parts: list[Path] = []
    for start in range(0, rows, 50_000):
        size = min(50_000, rows - start)
        drawn = rng.integers(0, len(words), (size, 130)).astype(np.int32)
        again = np.flatnonzero(rng.random(size) < 0.11)
        again = again[again > 0]
        drawn[again] = drawn[again - 1]
        near = again[rng.random(len(again)) < 10 / 11]
        drawn[near[:, None], rng.integers(0, 130, (len(near), 3))] = rng.integers(
            0, len(words), (len(near), 3)
        )
        way = rng.choice(list(OPENINGS), size, p=list(OPENINGS.values()))
        way[again] = way[again - 1]
        numbers = [int(number) // 2 for number in range(start, start + size)]
        rows_of = zip(way, drawn, numbers, strict=True)
        texts = [f"{o}{' '.join(words[row])}. So \\boxed{{{n}}}." for o, row, n in rows_of]
        table = pl.DataFrame(
            {"prompt": [f"What comes of {n} and {n % 7}?" for n in numbers], "completion": texts}
        )
        if form == "messages":
            turns = [
                [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
                for prompt, text in table.iter_rows()
            ]
            table = pl.DataFrame({"messages": turns})
        if form == "parquet":
            parts.append(folder / f"part-{start}.parquet")
            table.write_parquet(parts[-1])
        else:
            with open(path, "ab") as file:
                table.write_ndjson(file)
    if parts:
        (folder / "parts").mkdir()
        for part in parts:
            part.rename(folder / "parts" / part.name)
        return folder / "parts"
    return path


def on_demonstrations(rows: int, forms: list[str]) -> None:
    print(f"{rows:,} demonstrations of 1,000 characters; load of the machine {os.getloadavg()[0]:.1f}")
    print("form           MB  seconds  CPU seconds  peak MB")
    for form in forms:
        with tempfile.TemporaryDirectory() as name:
            path = write_demonstrations(Path(name), rows, form)
            size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
            words = ["curate", "demonstrations", path, "--strategies", "math", "--size", rows // 10]
            seconds, cpu, peak = timed([*words, "--out", Path(name) / "out", "--json"])
            print(f"{form:10} {size / 1e6:6.0f} {seconds:8.1f} {cpu:12.1f} {peak:8.0f}", flush=True)


def on_effective(pools: int) -> None:
    """How often the interval of the effective number of strategies holds the one that problems are drawn from."""
    print(f"{pools} sets a row; problems lean to strategies by a Dirichlet distribution of strength 2")
    print("shares                true  problems  traces  mean said  95% interval held")
    for share in ((0.9, 0.08, 0.02), (0.5, 0.3, 0.2), (0.97, 0.01, 0.01, 0.01)):
        truth = float(effective_number(np.array(share)))
        for problems in (50, 200, 1000):
            for traces in (1, 4):
                rng = np.random.default_rng(0)
                told: list[tuple[float, bool]] = []
                for _ in range(pools):
                    leaning = rng.dirichlet(2 * np.array(share), problems)
                    counts = rng.multinomial(traces, leaning).astype(float)
                    made = estimate(counts, 0.95, 500, rng)
                    told.append((made.value, made.low <= truth <= made.high))
                value, held = np.mean(told, axis=0)
                print(
                    f"{share!s:20} {truth:5.2f} {problems:9} {traces:7} {value:10.2f} {held:18.1%}",
                    flush=True,
                )


def timed(words: list[object]) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of processors and the peak of memory in MB of a command."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "stratagem", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("counts", "pools", "speed", "effective", "demonstrations"))
    parser.add_argument("counts", type=Path, nargs="?")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--pools", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    logs = ["counts.jsonl", "rewards.jsonl", "scores.parquet"]
    parser.add_argument("--logs", nargs="+", choices=logs, default=logs)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--forms", nargs="+", default=["jsonl", "parquet", "messages"])
    given = parser.parse_args()
    if given.what == "counts":
        on_counts(given.counts, given.draws)
    elif given.what == "pools":
        on_pools(given.pools)
    elif given.what == "effective":
        on_effective(given.pools)
    elif given.what == "demonstrations":
        on_demonstrations(given.rows, given.forms)
    else:
        on_speed(given.prompts, given.logs)


if __name__ == "__main__":
    main()
