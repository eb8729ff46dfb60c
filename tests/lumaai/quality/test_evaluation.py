"""The harness: what is measured on a set whose answers are known, and how it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lumaai.cli.commands import app
from lumaai.errors import InvalidRequestError, NotSupportedError
from lumaai.quality import evaluate, read_folder
from lumaai.quality.report import save_plot, to_json, to_table
from tests.lumaai.films import open_database


def test_keyword_search_is_measured(judged: Path) -> None:
    """Both ships are found, the shorter one first: nDCG (1 + 2 · .630930) ÷ (2 + .630930); the bread by itself: 1."""
    found = evaluate(
        read_folder(judged), systems=["keyword"], open_database=lambda path: open_database(Path(path)), model="hashing"
    )
    (keyword,) = found.systems
    assert (found.documents, found.judged, found.queries, found.model) == (5, 2, 2, None)
    in_order, turned = 1.0, (1 + 2 * 0.630930) / 2.630930
    assert keyword.ndcg_at_10 in (pytest.approx(in_order), pytest.approx((turned + 1) / 2, abs=1e-5))
    assert (keyword.recall_at_100, keyword.mrr_at_10) == (1.0, 1.0)
    assert keyword.milliseconds_p50 > 0


def test_every_system_is_measured_with_the_real_model(judged: Path) -> None:
    """Five documents are easy: every way finds what is meant; reranked searches go on behind what was read anew."""
    systems = ["keyword", "semantic", "hybrid", "reranked", "truncated"]
    stages: list[str] = []
    found = evaluate(read_folder(judged), systems=systems, progress=lambda stage, _: stages.append(stage))
    assert [each.system for each in found.systems] == systems
    assert found.reranker == "late-interaction"
    for each in found.systems:
        assert each.recall_at_100 == 1.0
        assert each.mrr_at_10 == 1.0
    assert stages[0] == "ships: indexing"
    assert stages[-1] == "ships: truncated"


def test_queries_are_drawn_always_the_same(judged: Path) -> None:
    """One of two."""
    runs = [
        evaluate(
            read_folder(judged), systems=["keyword"], queries_max=1, model="hashing",
            open_database=lambda path: open_database(Path(path)),
        )
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0].queries == 1
    assert runs[0].systems[0].ndcg_at_10 == runs[1].systems[0].ndcg_at_10


def test_an_unknown_system_is_refused(judged: Path) -> None:
    """Before anything is indexed."""
    with pytest.raises(InvalidRequestError, match="unknown system 'magic': expected some of keyword, semantic"):
        evaluate(read_folder(judged), systems=["magic"])


def test_the_command_prints_a_table_json_and_a_plot(judged: Path, tmp_path: Path) -> None:
    """As a user runs it, without weights."""
    environment = {"LUMAAI_MODEL": "hashing"}
    arguments = ["bench", "quality", str(judged), f"{judged}=text", "--systems", "keyword,semantic"]
    shown = CliRunner().invoke(app, [*arguments, "--plot", str(tmp_path / "q.png")], env=environment)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("| set   | documents | queries | search")
    assert len(lines) == 6
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads(CliRunner().invoke(app, [*arguments, "--json"], env=environment).stdout)
    assert [row["name"] for row in rows] == ["ships", "ships"]
    assert rows[0]["systems"][0]["recall_at_100"] == 1.0
    missing = CliRunner().invoke(app, ["bench", "quality", str(tmp_path)])
    assert missing.exit_code == 1
    assert "is no folder of judged queries" in missing.stderr


def test_a_plot_needs_its_extra(judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a place where it can be written."""
    found = evaluate(
        read_folder(judged), systems=["keyword"], open_database=lambda path: open_database(Path(path)), model="hashing"
    )
    assert to_json([found])[0]["name"] == "ships"
    assert "keyword" in to_table([found])
    with pytest.raises(InvalidRequestError, match="cannot write the plot"):
        save_plot([found], tmp_path / "no" / "q.png")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(NotSupportedError, match=r"pip install 'lumaai\[plots\]'"):
        save_plot([found], tmp_path / "q.png")
