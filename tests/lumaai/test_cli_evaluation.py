"""`lumaai eval` on a small database."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from lumaai.cli.commands import app

FILMS = [
    {"title": "Heat", "year": 1995, "genre": "crime"},
    {"title": "Alien", "year": 1979, "genre": "horror"},
    {"title": "Memento", "year": 2000, "genre": "crime"},
]
QUESTIONS = [
    {"question": "How many films are there?", "sql": "SELECT count(*) FROM films", "category": "count"},
    {"question": "Which year is Heat from?", "answer": 1995, "category": "value"},
    {"question": "Which year is Alien from?", "answer": [1980], "category": "value"},
]


def test_a_question_set_is_evaluated(tmp_path: Path) -> None:
    """Accuracy by category, what was wrong by name, and JSON; a bad line is named."""
    run = CliRunner().invoke
    films, questions, place = tmp_path / "films.jsonl", tmp_path / "questions.jsonl", str(tmp_path / "db")
    films.write_text("\n".join(map(json.dumps, FILMS)))
    questions.write_text("\n".join(map(json.dumps, QUESTIONS)))
    assert run(app, ["add", "films", str(films), "--db", place, "--no-embed"]).exit_code == 0

    shown = run(app, ["eval", str(questions), "--db", place, "--wrong"])
    assert shown.exit_code == 0, shown.output
    assert "3 questions, 66.7% right." in shown.output
    assert "| count | 1 | 100.0% |" in shown.output
    assert "Which year is Alien from?" in shown.output

    report = json.loads(run(app, ["eval", str(questions), "--db", place, "--json"]).stdout)
    assert report["categories"] == {
        "count": {"questions": 1, "accuracy": 1.0},
        "value": {"questions": 2, "accuracy": 0.5},
    }

    questions.write_text('{"question": "a"}\n')
    refused = run(app, ["eval", str(questions), "--db", place])
    assert refused.exit_code == 1
    assert "line 1" in refused.output


def test_a_service_that_is_away_is_no_wrong_answer(tmp_path: Path) -> None:
    """Nothing is counted where nobody answers; SQL that cannot run is shown."""
    run = CliRunner().invoke
    films, questions, place = tmp_path / "films.jsonl", tmp_path / "questions.jsonl", str(tmp_path / "db")
    questions.write_text(json.dumps(QUESTIONS[0]))
    away = run(app, ["eval", str(questions), "--url", "http://127.0.0.1:9"])
    assert away.exit_code == 1
    assert "right" not in away.output

    films.write_text("\n".join(map(json.dumps, FILMS)))
    assert run(app, ["add", "films", str(films), "--db", place, "--no-embed"]).exit_code == 0
    questions.write_text('{"question": "a?", "sql": "SELECT nope FROM films"}\n')
    broken = run(app, ["eval", str(questions), "--db", place])
    assert broken.exit_code == 1
    assert "SELECT nope FROM films" in broken.output
