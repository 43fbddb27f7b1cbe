"""Every study that ships reads; a wrong file is one line; a file of one's own changes what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratagem.models.folder import WEIGHTS
from stratagem.records import StratagemError
from stratagem.settings import LLMConfig
from stratagem.studies.files import shipped, study_file
from stratagem.studies.plan import plan
from stratagem.studies.run import reproduce, start_of
from stratagem.studies.study import read_study

MINE = """
title = "Two strategies or one"

[arms]
"one" = { sft = { strategy = "F" } }
"two" = { sft = { strategy = "FB" } }
"two, then RL" = { start = "two", rl = { steps = "2-3" } }

[evaluations.held-out]
steps = "2-3"
"""


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("engine", ["native", "trl"])
def test_every_file_makes_every_setting_and_says_where_it_leaves_its_reference(
    name: str, engine: str
) -> None:
    study = read_study(name, engine=engine)  # pyright: ignore[reportArgumentType]
    assert study.question
    for preset in study.presets:
        for arm in study.tree.values():
            config = study.config(preset, arm, 1)
            assert config.seed == 1
            assert config.task == study.task
        for deviation in study.deviations(preset, 1):
            assert deviation["ours"] != deviation["study"]
            assert deviation["reason"] != "see the study file", deviation["setting"]


def test_published_numbers_are_those_of_the_paper() -> None:
    published = read_study("table1").published
    assert published is not None
    assert published.columns == ["all", "inversion", "evaluation"]
    assert len(published.percent) == 9
    assert published.percent["FB/RL(6-9)"] == [95.7, 94.1, 97.1]
    assert published.percent["B/SFT"] == [24.5, 38.9, 11.9]


def test_arms_are_a_tree_and_nothing_is_read_from_their_names(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    study = read_study(tmp_path / "mine.toml")
    last = study.tree["two, then RL"]
    assert last.start is study.tree["two"] is last.root
    assert (last.folder, last.label, last.depth) == ("two,_then_RL", "RL(2-3)", 1)
    assert study.forced(last) == ()  # no probe was asked for
    assert study.config("standard", last, 0).steps == (2, 3)
    assert study.columns == ["all", "evaluation", "inversion"]


def test_an_arm_is_forced_into_what_sft_taught_it_wherever_the_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'task = "sums"\nbase = { updates = 0 }\nprobe = {}\nsft = { strategy = "mental,running" }\n'
        + MINE.replace('{ strategy = "F" }', '{ strategy = "tally" }').replace('{ strategy = "FB" }', "{}")
    )
    forced = {name: read_study(path).forced(arm) for name, arm in read_study(path).tree.items()}
    taught = ("mental", "running")
    assert forced == {"one": (), "two": taught, "two, then RL": taught}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"one" = { sft', '"one" = { stf', "unknown field `stf` - at `\\$.arms"),
        (
            'strategy = "F"',
            'strategy = "G"',
            "arms.'one' or .*--strategy G: must be one of F, B, FB, all, forward",
        ),
        ('strategy = "F"', "epochs = 0", "arms.'one' .*--epochs 0: must be from 1 to 100,000"),
        ('strategy = "F"', "seed = 3", "arms.'one' .*seed is not for the file to say there"),
        (
            'start = "two"',
            'start = "tow"',
            "arms.'two, then RL': start = 'tow' is no arm; there are one, two",
        ),
        ('start = "two"', 'start = "two, then RL"', "arms.'two, then RL': starts from itself"),
        ("{ start", "{ sft = {}, start", "needs one of sft = {…} and rl = {…}"),
        ('steps = "2-3"\n', 'steps = "3-2"\n', "evaluations.held-out: .*--steps 3-2"),
        ('steps = "2-3"\n', "steps = 6\n", "evaluations.held-out: steps 6: must be as"),
        ("[evaluations.held-out]", "[evaluation]", "unknown field `evaluation`"),
        ('title = "Two strategies or one"', 'title = 3\ntask = "sudoku"', "title"),
        ('title = "Two', 'task = "sudoku"\ntitle = "Two', "--task sudoku: must be one of finite_field"),
        ('title = "Two', 'replicates = 0\ntitle = "Two', "--replicates 0: must be from 1 to 1,000"),
        (
            "[arms]",
            "presets.quick.sft.strategy = 'F'\n[arms]",
            "presets.quick.sft: strategy is no matter of budget",
        ),
        ("[arms]", "base = []\n[arms]", "base = .*: name a base for each replicate"),
        ("[arms]", "[arms", "not TOML"),
        ("[arms]", "[reference]\n'sft.lrr' = 1\n[arms]", "sft.lrr: .* name settings"),
        (
            "[arms]",
            "[published]\ncolumns = ['odd']\npercent = {}\n[arms]",
            "published.columns: 'odd' is no kind",
        ),
        (
            "[arms]",
            "[published]\ncolumns = ['all']\npercent = { three = [1] }\n[arms]",
            "needs to be an arm with 1",
        ),
    ],
)
def test_a_wrong_file_is_one_line_with_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MINE
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new, 1))
    with pytest.raises(StratagemError, match=rf"mine\.toml: .*{message}") as caught:
        read_study(path)
    assert "\n" not in str(caught.value)


def test_two_arms_may_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE.replace('"one" =', '"two, then  RL" ='))
    with pytest.raises(StratagemError, match="would have the same folder as"):
        read_study(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("quantity = \"accuracy('none')\"\nabove = 0", "part 1: .*no arm 'none'"),
        ("quantity = \"accuracy('one')\"", "part 1: needs one of above and below"),
        ("quantity = \"accuracy('one')\"\nabove = 0\nbelow = 1", "part 1: needs one of above and below"),
        ('quantity = "accuracy(\'one\')"\nabove = "chanse"', "part 1: 'chanse'"),
        ("quantity = \"accuracy('one')\"\nabove = 0\nlevel = 0.9", "part 1: level = 0.9: percent"),
        (
            "quantity = \"forced('two', 'forward')\"\nabove = 0",
            "part 1: .*no probe forces 'two' into 'forward'",
        ),
        ("quantity = \"loss('two')\"\nabove = 0", "part 1: .*no cross-entropy of 'two' is taken"),
    ],
)
def test_a_claim_is_checked_before_anything_runs(tmp_path: Path, part: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        f'{MINE}\n[[claims]]\nid = "1"\nstatement = "x"\n[[claims.parts]]\nstatement = "y"\n{part}\n'
    )
    with pytest.raises(StratagemError, match=rf"claims '1', {message}"):
        read_study(path)


def test_cross_entropy_is_of_what_sft_showed(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'validation = {{ steps = "2-3", size = 8 }}\n{MINE}')
    study = read_study(path)
    taken = {name: study.validated(arm) for name, arm in study.tree.items()}
    assert taken["two, then RL"] is None
    assert taken["one"] is not None
    assert (taken["one"].strategy, taken["one"].steps, taken["one"].size) == ("F", (2, 3), 8)
    path.write_text(f'validation = {{ setps = "2-3" }}\n{MINE}')
    with pytest.raises(StratagemError, match=r"mine\.toml: validation: no setting 'setps'"):
        read_study(path)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ('arms = ["three"]', "curves 'x': .*no arm 'three'; there are one, two"),
        ('arms = ["one"]', "curves 'x': .*'one' is no RL"),
        ('arms = ["one"]\nalong = "arms"\nstrategy = "sideways"', "curves 'x': .*no strategy 'sideways'"),
        ('arms = ["one"]\nalong = "arms"\nkind = "odd"', "curves 'x': .*no kind 'odd'"),
        ('arms = ["one"]\nalong = "side"', r"Invalid enum value 'side' - at `\$.curves"),
    ],
)
def test_a_curve_is_checked_before_anything_runs(tmp_path: Path, curve: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'{MINE}\n[[curves]]\ntitle = "x"\n{curve}\n')
    with pytest.raises(StratagemError, match=rf"mine\.toml: {message}"):
        read_study(path)


# -- one study like another --------------------------------------------------------------------------------


def test_a_study_like_another_has_its_settings_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(
        f'sft = {{ epochs = 3 }}\nabout = "The first."\npresets.quick.rl.updates = 7\nprobe = {{}}\n{MINE}'
    )
    (tmp_path / "second.toml").write_text(
        'title = "Second"\nlike = "first.toml"\npresets.slow.rl.updates = 70\narms.one.sft.strategy = "F"\n'
    )
    second = read_study(tmp_path / "second.toml")
    assert (second.title, second.about, second.probe, list(second.arms)) == ("Second", "", None, ["one"])
    assert second.sft == {"epochs": 3}
    assert {name: preset.rl for name, preset in second.presets.items()} == {
        "quick": {"updates": 7},
        "slow": {"updates": 70},
    }
    assert second.rollouts("held-out").steps == (2, 3)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ('"tabel1"', "like = 'tabel1': .*no such study; there are "),
        ('"nothing.toml"', r"nothing\.toml: No such file"),
        ("3", "like = 3: must name a study that ships, or a file beside this one"),
        ('"mine.toml"', "like = 'mine.toml': is like this file itself"),
    ],
)
def test_like_what_is_not_there_is_one_line(tmp_path: Path, like: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(f"like = {like}\n{MINE}")
    with pytest.raises(StratagemError, match=message):
        read_study(tmp_path / "mine.toml")


def test_no_such_study(tmp_path: Path) -> None:
    with pytest.raises(StratagemError, match=r"table7: no such study; there are .*table1.*, or give a file"):
        study_file("table7")
    with pytest.raises(StratagemError, match=r"nothing\.toml: No such file"):
        read_study(tmp_path / "nothing.toml")


# -- other settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[evaluations.held-out]\nsmaples = 8",
            "evaluations.held-out: no setting 'smaples'; there are checkpoint, ",
        ),
        (
            '[presets.quick.rl]\nupdates = "many"',
            r"\[quick.rl\]: Expected `int`, got `str` - at `\$.updates`",
        ),
        ("[presets.full.sft]\nlr = 0", r"\[full.sft\]: --lr 0.0: must be from 1e-12 to 10"),
        ("stratgies = []", "stratgies"),
        ("[probe", "not TOML: Expected"),
        ("[presets.quick.rm]\nx = 1", "rm"),
        ("presets = 3\n[rl]\nlr = 1e-4", r"Expected `object`, got `int` - at `\$.presets`"),
        ("presets.quick = 3\n[rl]\nlr = 1e-4", r"Expected `object`, got `int` - at `\$.presets"),
        ("presets = 3", r"Expected `object`, got `int` - at `\$.presets`"),
        ("llm = 3", r"got `int` - at `\$.llm`"),
        ("[arms]\nx = { sft = {} }", "arms: is what the study is about"),
        ("[llm]\nrank = 8", r"\[llm\] rank: is an option of the command"),
    ],
)
def test_a_wrong_setting_is_one_line_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(StratagemError, match=rf"own\.toml: .*{message}") as caught:
        read_study("table1", tmp_path / "own.toml")
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own_changes_what_it_names_and_the_report_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        "[presets.quick.rl]\nupdates = 300\nbeta = 0.1\n[evaluations.held-out]\nsize = 96"
    )
    study, usual = read_study("table1", tmp_path / "own.toml"), read_study("table1")
    hard, taught = usual.tree["FB/RL(6-9)"], usual.tree["FB/SFT"]
    assert study.config("quick", hard, 0).updates == 300
    assert study.rollouts("held-out").size == 96
    assert study.config("quick", taught, 0) == usual.config("quick", taught, 0)
    assert study.config("full", hard, 0) == usual.config("full", hard, 0)
    reasons = {deviation["setting"]: deviation["reason"] for deviation in study.deviations("quick", 1)}
    assert reasons["rl.beta"] == reasons["rl.updates"] == "set in own.toml"
    assert reasons["rl.lr"] == usual.reasons["rl.lr"]


def test_settings_of_all_presets_count_in_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[rl]\nlr = 7e-5\nupdates = 30\n[presets.full.rl]\nupdates = 40")
    study = read_study("table1", tmp_path / "own.toml")
    hard = study.tree["FB/RL(6-9)"]
    rates = {preset: study.config(preset, hard, 0) for preset in ("quick", "full")}
    assert {preset: (config.lr, config.updates) for preset, config in rates.items()} == {
        "quick": (7e-5, 30),
        "full": (7e-5, 40),
    }
    assert study.config("quick", hard, 0).steps == (6, 9)  # the arm's own


def test_a_budget_outside_the_study_s_own_is_a_deviation(tmp_path: Path) -> None:
    for updates, deviates in ((300, True), (700, False)):
        (tmp_path / "own.toml").write_text(f"[presets.full.rl]\nupdates = {updates}")
        deviations = read_study("table1", tmp_path / "own.toml").deviations("full", 1)
        assert ("rl.updates" in {deviation["setting"] for deviation in deviations}) == deviates


def test_by_trl_it_is_the_papers_own_study() -> None:
    study, small = read_study("table1", engine="trl"), read_study("table1")
    assert study.held() == LLMConfig(rank=64, alpha=128, dropout=0.05)
    deviations = study.deviations("full", model=study.llm["model"])
    assert [deviation["setting"] for deviation in deviations] == ["rl.loss"]
    other = study.deviations("full", model="another")
    assert {deviation["setting"] for deviation in other} == {"model", "rl.loss"}
    assert study.published == small.published
    assert study.evaluations == small.evaluations
    assert study.arms == small.arms


def test_an_option_that_leaves_the_study_is_a_deviation() -> None:
    study = read_study("table1", engine="trl")
    changed = study.deviations("full", model=study.llm["model"], held=LLMConfig(rank=16, dropout=0.0))
    assert [(row["setting"], row["study"], row["ours"]) for row in changed] == [
        ("rl.loss", "not known", "grpo"),
        ("llm.rank", 64, 16),
        ("llm.dropout", 0.05, 0.0),
    ]
    assert {row["reason"] for row in changed[1:]} == {"an option of the command"}
    usual = study.deviations("full", model=study.llm["model"], held=study.held())
    assert [row["setting"] for row in usual] == ["rl.loss"]


def test_what_differs_by_trl_is_laid_over_what_the_other_study_has_there() -> None:
    ours, theirs = read_study("rl-settings", engine="trl"), read_study("table1", engine="trl")
    assert ours.llm == theirs.llm
    usual, fast = (ours.config("full", ours.tree[f"FB/{name}"], 0) for name in ("RL(6-9)", "lr x5"))
    assert usual == theirs.config("full", theirs.tree["FB/RL(6-9)"], 0)
    assert fast.lr == 5 * usual.lr == 5e-5


def test_each_replicate_has_its_own_base_where_several_are_named(tmp_path: Path) -> None:
    bases = [tmp_path / name for name in ("first", "second")]
    for folder, content in zip(bases, (b"a", b"b"), strict=True):
        folder.mkdir()
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + content * 4)
    path = tmp_path / "mine.toml"
    path.write_text(f"base = {[str(folder) for folder in bases]}\n{MINE}")
    study = read_study(path)
    start = start_of(study, "native", None, None)
    jobs = plan(study, "standard", 2, tmp_path / "out", start.bases, start.inputs)
    first = {job.name: job for job in jobs if job.stage == "sft"}
    assert [first[f"one {i}"].model for i in (0, 1)] == bases
    assert len({job.address for job in jobs}) == len(jobs)
    # What a replicate's stages are is a matter of its own base alone.
    (bases[1] / WEIGHTS).write_bytes((bases[1] / WEIGHTS).read_bytes()[:-1] + b"c")
    again = start_of(study, "native", None, None)
    moved = {job.name: job.address for job in plan(study, "standard", 2, tmp_path / "out", again.bases, {})}
    assert moved["one 0"] == first["one 0"].address
    assert moved["one 1"] != first["one 1"].address
    with pytest.raises(StratagemError, match="base: 2 bases for 3 replicates"):
        reproduce(path, tmp_path / "out", replicates=3)


def test_the_study_of_curated_demonstrations_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sets are made beforehand, and their content is part of a stage's address."""
    monkeypatch.chdir(tmp_path)
    for place in ("curated/control", "curated/chosen", "written/chosen", "several"):
        path = tmp_path / "pool" / f"{place}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(place)
    study = read_study(Path(__file__).parents[2] / "examples" / "curated-sft.toml")

    def addresses() -> dict[str, str]:
        jobs = plan(study, "standard", 1, tmp_path / "out", [], {})
        return {job.name: job.address for job in jobs if job.stage in ("sft", "rl")}

    first = addresses()
    assert len(set(first.values())) == 8
    (tmp_path / "pool" / "several.jsonl").write_text("other")
    changed = {name for name, address in addresses().items() if address != first[name]}
    assert changed == {"several/SFT 0", "several/RL 0"}
    (tmp_path / "pool" / "several.jsonl").unlink()
    with pytest.raises(StratagemError, match=r"--data pool/several\.jsonl: cannot be read"):
        addresses()
