"""Composing configs and building what they name."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from data_prep.command import UsageError, instantiate, load_config
from data_prep.config import CONFIG_FOLDER
from data_prep.prepare import PrepareConfig

SOURCES = sorted(path.stem for path in (CONFIG_FOLDER / "source").glob("*.yaml"))

REQUIRED = {
    "completejourney": [],
    "tabular": ["source.events=log.csv"],
    "online_retail": ["source.path=retail.xlsx"],
    "amazon_reviews": ["source.reviews=reviews.jsonl"],
    "movielens": ["source.path=ml-1m"],
    "sequences": ["source.path=beauty.txt"],
}


@dataclass(frozen=True)
class Kettle:
    litres: float
    colours: list[str]
    brand: str | None


@dataclass(frozen=True)
class Kitchen:
    kettle: Kettle
    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a kitchen needs a name")


def kettle(**changes: object) -> dict[str, object]:
    return {"_target_": f"{__name__}.Kettle", "litres": 1, "colours": ["red"], "brand": None, **changes}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("cleaning", ["all_events", "first_events"])
def test_every_source_composes_and_can_be_built(source: str, cleaning: str) -> None:
    config = load_config(PrepareConfig, "prepare", [f"source={source}", f"cleaning={cleaning}", *REQUIRED[source]])
    instantiate(config.source)
    for rule in config.cleaning.values():
        instantiate(rule) if rule else None
    assert config.name == source


@pytest.mark.parametrize("source", [source for source in SOURCES if REQUIRED[source]])
def test_a_source_without_its_files_names_the_missing_value(source: str) -> None:
    key = REQUIRED[source][0].partition("=")[0]
    with pytest.raises(UsageError, match=key):
        load_config(PrepareConfig, "prepare", [f"source={source}"])


def test_sources_suggest_what_fits_them_and_the_command_line_still_wins() -> None:
    assert load_config(PrepareConfig, "prepare", []).cleaning["repeats"] is not None
    sequences = load_config(PrepareConfig, "prepare", ["source=sequences", "source.path=x"])
    assert sequences.split.protocol == "leave_one_out"
    again = load_config(PrepareConfig, "prepare", ["cleaning=all_events", "cleaning.core.item_events=0"])
    assert again.cleaning["repeats"] is None
    assert again.cleaning["core"]["item_events"] == 0


def test_cleaning_rules_keep_their_order_when_one_is_switched_on() -> None:
    config = load_config(PrepareConfig, "prepare", ["cleaning=first_events"])
    names = list(config.cleaning)
    assert names.index("duplicates") < names.index("repeats") < names.index("core")


def test_nested_objects_are_built_and_whole_numbers_pass_for_floats() -> None:
    kitchen = instantiate({"_target_": f"{__name__}.Kitchen", "kettle": kettle(), "name": "mine"})
    assert kitchen == Kitchen(Kettle(1, ["red"], None), "mine")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (kettle(spout=1), "unknown key 'spout'; accepted keys: litres, colours, brand"),
        (kettle(litres="two"), "'litres' must be float, not 'two'"),
        (kettle(litres=True), "'litres' must be float, not True"),
        (kettle(colours="red"), "'colours' must be"),
        (kettle(colours=[1]), "'colours' must be"),
        (kettle(brand=3), "'brand' must be"),
        ({"_target_": f"{__name__}.Teapot"}, "cannot be imported"),
        ({"_target_": f"{__name__}.Kitchen", "kettle": kettle(), "name": ""}, "a kitchen needs a name"),
        ({"_target_": f"{__name__}.Kitchen", "kettle": kettle()}, "missing 1 required positional argument: 'name'"),
        ({"_target_": f"{__name__}.Kitchen", "kettle": kettle(lid=1), "name": "x"}, "kettle: .*unknown key 'lid'"),
    ],
)
def test_a_node_that_does_not_fit_its_class_is_refused_with_the_key(node: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        instantiate(node)


def test_an_error_of_the_object_itself_keeps_its_type() -> None:
    with pytest.raises(UsageError, match="no dataset at"):
        instantiate({"_target_": "data_prep.dataset.Dataset.open", "path": "/nowhere"})


def test_configs_live_in_yaml_alone() -> None:
    assert Path(CONFIG_FOLDER, "prepare.yaml").is_file()
    with pytest.raises(TypeError):
        PrepareConfig()  # type: ignore[call-arg]
