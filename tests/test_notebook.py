"""The notebook runs from top to bottom, and what is committed shows its results."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "quickstart.ipynb"


@pytest.mark.filterwarnings("default")  # Jupyter's own: event loops and sockets that it leaves to the collector
def test_the_notebook_runs(tmp_path: Path) -> None:
    """Every cell runs without an error on a new machine, and both plots are drawn."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()

    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2


def test_the_committed_notebook_shows_its_results() -> None:
    """Someone who only reads it sees text and plots under the code."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]

    kinds = {kind for cell in code for output in cell.outputs for kind in output.get("data", {"text": output})}

    assert {"image/png", "text"} <= kinds
    assert not any(output.get("name") == "stderr" for cell in code for output in cell.outputs)
    assert str(Path.home()) not in NOTEBOOK.read_text()
    assert "/work/" not in NOTEBOOK.read_text()
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
