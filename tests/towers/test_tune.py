"""Tuning: its space, its memory, and what becomes of it when it is interrupted."""

import json
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from data_prep.command import load_config
from data_prep.errors import ExitCode, GateFailed, Locked, UsageError
from data_prep.files import lock
from tests.towers.model.run_records import record_of
from towers import tune as tune_command
from towers.tune import TuneConfig, TuneResult, tune
from towers.tuning.space import parse_space
from towers.tuning.trial import run_training, typed_value
from towers.tuning.trials import note_failure

SPACE = "+space={tower.dim: {choices: [8, 16]}, optimization.learning_rate: {low: 1e-3, high: 1e-2, log: true}}"


@pytest.fixture
def overrides(tiny_train_overrides: list[str], tmp_path: Path) -> list[str]:
    fixed = [o for o in tiny_train_overrides if not o.startswith(("artifacts", "tower.dim", "negatives"))]
    listed = ",".join(f"'{override}'" for override in fixed)
    return [f"artifacts={tmp_path}", "name=s", f"overrides=[{listed}]", "space=empty", SPACE, "trials=4"]


def config(overrides: list[str], *more: str) -> TuneConfig:
    return load_config(TuneConfig, "tune", [*overrides, *more])


class Trainings:
    """Stands for training processes: the value is made from the settings; some are interrupted, some fail."""

    def __init__(self, interrupt_at: int = -1, fail: str = "nothing") -> None:
        self.interrupt_at, self.fail = interrupt_at, fail
        self.seen: list[tuple[str, str]] = []

    def __call__(self, folder: Path, overrides: list[str]) -> bool:
        if (folder / "run.json").is_file():
            return True
        self.seen.append((f"{folder.parent.name}/{folder.name}", " ".join(o for o in overrides if "tower.dim" in o)))
        if len(self.seen) == self.interrupt_at:
            raise KeyboardInterrupt
        if any(self.fail in override for override in overrides):
            note_failure(folder, "out of luck")
            return False
        typed = dict(override.split("=", 1) for override in overrides)
        value = float(typed["optimization.learning_rate"]) * int(typed["tower.dim"]) + int(typed["seed"]) / 1000
        folder.mkdir(parents=True)
        record_of(validation={"ndcg@10": value}, config={"seed": int(typed["seed"])}).write(folder)
        return True


def run(settings: TuneConfig, trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> TuneResult:
    monkeypatch.setattr(tune_command, "run_training", trainings)
    return tune(settings)


def test_an_interrupted_tuning_goes_on_and_ends_where_an_uninterrupted_one_does(overrides, monkeypatch):
    whole = run(config(overrides, "name=whole"), whole_trainings := Trainings(), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(config(overrides), first := Trainings(interrupt_at=3), monkeypatch)
    resumed = run(config(overrides), second := Trainings(), monkeypatch)
    assert second.seen[0] == first.seen[-1]  # the same trial with the same settings
    assert [*first.seen, *second.seen[1:]] == whole_trainings.seen
    assert (resumed.best, resumed.value, resumed.trials) == (whole.best, whole.value, 4)
    assert resumed.overrides == whole.overrides
    more = run(config(overrides, "trials=5"), third := Trainings(), monkeypatch)
    assert (more.trials, len(third.seen)) == (5, 1)


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(overrides, monkeypatch):
    found = run(config(overrides, "seeds_per_trial=3", "seed=7", "trials=1"), trainings := Trainings(), monkeypatch)
    assert [name for name, _ in trainings.seen] == ["0000/seed-7", "0000/seed-8", "0000/seed-9"]
    typed = dict(override.split("=", 1) for override in found.overrides)
    assert found.value == pytest.approx(float(typed["optimization.learning_rate"]) * int(typed["tower.dim"]) + 0.008)


def test_a_failed_trial_fails_alone_and_the_same_settings_are_not_trained_twice(overrides, monkeypatch):
    few = "+space={tower.dim: {choices: [8, 16]}, optimization.learning_rate: {choices: [0.001]}}"
    narrow = [few if o == SPACE else o for o in overrides]
    found = run(config(narrow, "trials=12"), trainings := Trainings(fail="tower.dim=8"), monkeypatch)
    assert found.trials == 12
    assert [settings for _, settings in trainings.seen].count("tower.dim=16") == 1
    assert "tower.dim=16" in found.overrides
    with pytest.raises(GateFailed, match="none of 2 trials"):
        run(config(overrides, "name=bad", "trials=2"), Trainings(fail="tower.dim"), monkeypatch)


def test_a_tuning_goes_on_only_with_what_it_was_begun_with_and_alone(overrides, monkeypatch, tmp_path):
    run(config(overrides, "trials=1"), Trainings(), monkeypatch)
    with pytest.raises(UsageError, match="begun with seeds_per_trial=1, not 2"):
        run(config(overrides, "seeds_per_trial=2"), Trainings(), monkeypatch)
    with lock(tmp_path / "tuning" / "s" / ".lock", "tune"), pytest.raises(Locked):
        run(config(overrides), Trainings(), monkeypatch)


@pytest.mark.parametrize(
    ("space", "named"),
    [
        ("{tower.dims: {choices: [8]}}", r"space\.tower\.dims: 8 does not fit: .*dims"),
        ("{tower.dim: {choices: []}}", r"space\.tower\.dim\.choices: must be a list of at least one"),
        ("{tower.dim: {choices: [8, 1]}}", r"space\.tower\.dim: 1 does not fit: tower.dim must be at least 2"),
        ("{tower.dropout: {low: 0.5, high: 0.1}}", r"space\.tower\.dropout: .*low=0.5, high=0.1"),
        ("{tower.dropout: {low: 0.5}}", r"space\.tower\.dropout\.high: must be a number, not None"),
        (
            "{tower.dropout: {low: 0, high: 0.5, log: true}}",
            r"space\.tower\.dropout: `low > 0` must hold for",
        ),
        ("{tower.dropout: {choices: [0.1], low: 0}}", r"space\.tower\.dropout: takes choices, or low and high"),
        ("{tower.dropout: 0.5}", r"space\.tower\.dropout: 0.5 is neither"),
        ("{seed: {choices: [1, 2]}}", r"space\.seed: the tuning sets"),
        ("{negatives: {choices: [best]}}", r"space\.negatives: best does not fit: .*negatives/best"),
        ("{trainer.epochs: {choices: [3]}}", r"space\.trainer\.epochs: is also among the overrides"),
        ("{}", "space: is empty"),
    ],
)
def test_a_wrong_space_is_refused_before_the_first_trial_and_named(overrides, monkeypatch, space, named):
    wrong = [f"+space={space}" if o == SPACE else o for o in overrides]
    trainings = Trainings()
    with pytest.raises(UsageError, match=named):
        run(config(wrong), trainings, monkeypatch)
    assert trainings.seen == []


def test_a_wrong_metric_override_or_dataset_is_refused_and_named(overrides, monkeypatch):
    with pytest.raises(UsageError, match=r"metric: 'ndcg@7' is none of those"):
        run(config(overrides, "metric=ndcg@7"), Trainings(), monkeypatch)
    with pytest.raises(UsageError, match=r"overrides: .*colour"):
        run(config(overrides, "overrides=['colour=red']"), Trainings(), monkeypatch)
    with pytest.raises(UsageError, match="leave run out"):
        run(config(overrides, "overrides=['run=mine']"), Trainings(), monkeypatch)
    with pytest.raises(UsageError, match="nowhere"):
        run(config(overrides, "overrides=['data=nowhere']"), Trainings(), monkeypatch)


def test_a_training_without_the_figure_ends_the_tuning_with_the_reason(overrides, monkeypatch):
    def without_figures(folder: Path, overrides: list[str]) -> bool:
        folder.mkdir(parents=True, exist_ok=True)
        record_of().write(folder)
        return True

    monkeypatch.setattr(tune_command, "run_training", without_figures)
    for _ in range(2):  # the second call finds the first one's trial
        with pytest.raises(GateFailed, match=r"has no ndcg@10: nobody in the validation split"):
            tune(config(overrides))


def test_a_space_may_be_dotted_or_nested_and_values_are_typed_as_overrides():
    dotted = parse_space(
        {"tower.dim": {"choices": [64, None]}, "tower.dropout": {"low": 0.1, "high": 0.5, "step": 0.1}}
    )
    nested = parse_space({"tower": {"dim": {"choices": [64, None]}, "dropout": {"low": 0.1, "high": 0.5, "step": 0.1}}})
    assert dotted == nested
    assert dotted == {
        "tower.dim": CategoricalDistribution(["64", "null"]),
        "tower.dropout": FloatDistribution(0.1, 0.5, step=0.1),
    }
    typed = [typed_value(v) for v in ([["in_batch", "uniform"], True, 1e-4, "a b", {"a": 1}])]
    assert typed == ["[in_batch,uniform]", "true", "0.0001", "'a b'", "{a:1}"]


def test_whole_numbers_stay_whole(tmp_path: Path):
    from towers.tuning.study import Study, overrides_of, uniform

    space = parse_space({"layers": {"low": 1, "high": 64, "log": True}, "rate": {"low": 0.5, "high": 1}})
    trial = Study(tmp_path, space, uniform, seed=0).next()
    layers, rate = overrides_of(trial.params)
    assert layers.removeprefix("layers=").isdecimal()
    assert 0.5 <= float(rate.removeprefix("rate=")) <= 1


def test_a_training_that_fails_leaves_its_reason_and_a_held_one_stops_the_tuning(tmp_path: Path):
    assert not run_training(tmp_path / "run", ["tower.dim=1"])
    assert "tower.dim must be at least 2" in json.loads((tmp_path / "run" / "failure.json").read_text())["reason"]
    with (
        lock(tmp_path / "held" / ".lock", "train it"),
        pytest.raises(Locked, match=r"held by 'train it', pid .* that a killed tuning left behind") as held,
    ):
        run_training(tmp_path / "held", [])
    assert held.value.exit_code is ExitCode.LOCKED
