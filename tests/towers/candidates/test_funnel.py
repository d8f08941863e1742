"""The funnel: trained by the command, against brute force, and after the disk."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from data_prep.command import load_config
from data_prep.errors import GateFailed, UsageError
from data_prep.files import write_json
from tests.towers.conftest import FUNNEL_OVERRIDES
from towers.candidates.channel_selection import load_variants
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import Funnel
from towers.candidates.funnel_record import FunnelRecord, FunnelResult
from towers.candidates.pool_builder import labelled_pools
from towers.candidates.query_funnel import QueryFunnel
from towers.metrics.cases import Cases
from towers.model.scorer import VectorScorer
from towers.train_funnel import train_funnel


def test_a_pool_is_what_the_channels_find_by_brute_force(tiny_funnel: FunnelResult, tiny_cases: Cases, tiny_scorer):
    whole, _ = load_variants(tiny_funnel.folder)
    labelled = labelled_pools(whole, tiny_scorer, tiny_cases)
    for case in range(len(tiny_cases)):
        history, seen = tiny_cases.history(case).last(tiny_scorer.max_history), set(tiny_cases.seen(case).tolist())
        scores = [tiny_scorer.score([history], [""])[0].numpy()]
        scores += [channel.scores([history], [""]).toarray()[0] for channel in whole.channels.values()]
        expected: dict[int, list[int]] = {}
        for channel, of_channel in enumerate(scores):
            open_rows = [
                row for row in range(len(of_channel)) if row not in seen and (channel == 0 or of_channel[row] > 0)
            ]
            best = sorted(open_rows, key=lambda row: (-of_channel[row], row))[: 8 if channel == 0 else 5]
            for rank, row in enumerate(best, 1):
                expected.setdefault(row, [0] * len(scores))[channel] = rank
        part = slice(labelled.pools.offsets[case], labelled.pools.offsets[case + 1])
        assert labelled.pools.rows[part].tolist() == sorted(expected)
        assert labelled.pools.channel_ranks[part].tolist() == [expected[row] for row in sorted(expected)]
        np.testing.assert_allclose(
            labelled.pools.scores[part], np.stack(scores, axis=1)[labelled.pools.rows[part]], rtol=1e-4, atol=1e-5
        )
        assert labelled.not_retrieved[case] == len(set(tiny_cases.truth[case].tolist()) - set(expected))


def test_a_funnel_orders_alike_after_the_disk(tiny_funnel: FunnelResult, tiny_cases: Cases, tiny_scorer):
    first, second = Funnel.load(tiny_funnel.folder), Funnel.load(tiny_funnel.folder)
    before, after = labelled_pools(first, tiny_scorer, tiny_cases), labelled_pools(second, tiny_scorer, tiny_cases)
    np.testing.assert_array_equal(first.fusion.scores(before.pools), second.fusion.scores(after.pools))
    assert first.names == ["towers", *tiny_funnel.kept]
    assert (first.ranker is not None) == (tiny_funnel.ranked is not None and tiny_funnel.ranked.exceeds(0))


def test_where_there_are_too_few_users_there_is_a_funnel_for_queries_alone(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    overrides = [f"run={run}", f"data={tiny_data}", *FUNNEL_OVERRIDES, "users=0"]
    result = train_funnel(load_config(FunnelConfig, "funnel", overrides))
    assert result.users is None and "0 users" in result.left_out["users"]
    assert result.queries is not None and result.queries.source == "synthetic"
    with pytest.raises(GateFailed, match=r"0 users.*queries\.least=1000 "):
        train_funnel(load_config(FunnelConfig, "funnel", [*overrides, "queries.least=1000"]))


def test_where_nothing_relevant_is_retrieved_there_is_a_funnel_for_queries_alone(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    narrow = ["users=5", "depth=1", "channel_depth=1", "candidates=1", "fusion=logistic"]
    result = train_funnel(
        load_config(FunnelConfig, "funnel", [f"run={run}", f"data={tiny_data}", *FUNNEL_OVERRIDES, *narrow])
    )
    assert result.users is None and "nothing to learn from" in result.left_out["users"]
    assert result.queries is not None


def test_a_funnel_for_queries_of_other_towers_is_refused(tiny_run: Path, tiny_data: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    train_funnel(load_config(FunnelConfig, "funnel", [f"run={run}", f"data={tiny_data}", *FUNNEL_OVERRIDES]))
    with pytest.raises(UsageError, match="other towers"):
        QueryFunnel.of(run, "another", cast(VectorScorer, None))


def test_a_funnel_of_other_towers_is_refused_with_both_fingerprints(tiny_funnel: FunnelResult):
    record = replace(FunnelRecord.read(tiny_funnel.folder), towers_fingerprint="aaa")
    record.check(tiny_funnel.folder, "aaa")
    with pytest.raises(
        UsageError, match=r"r/funnel was trained for towers aaa, the run holds other towers, bbb; .*train_funnel run=r "
    ):
        record.check(Path("r/funnel"), "bbb")


def test_the_record_of_a_funnel_is_read_as_it_was_written(tiny_funnel: FunnelResult, tmp_path: Path):
    record = FunnelRecord.read(tiny_funnel.folder)
    assert record.result == tiny_funnel
    record.write(tmp_path)
    assert FunnelRecord.read(tmp_path) == record
    write_json(tmp_path / "run.json", {"towers_fingerprint": record.towers_fingerprint})
    with pytest.raises(UsageError, match=r"run\.json is missing, damaged or of another version .*train_funnel"):
        FunnelRecord.read(tmp_path)
