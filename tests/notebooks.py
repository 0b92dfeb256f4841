"""Execute the notebooks; ``python -m tests.notebooks`` writes them back with their outputs."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

FOLDER: Final = Path(__file__).parent.parent / "notebooks"
WIDGET: Final = "application/vnd.jupyter.widget-view+json"


def executed(path: Path, folder: Path) -> Any:
    """The notebook, run by a kernel of its own in ``folder`` beside copies of its files."""
    for beside in FOLDER.iterdir():
        if beside.is_file() and beside.suffix != ".ipynb":
            shutil.copy(beside, folder)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "PYTHONPATH": str(FOLDER.parent)})
    return tidied(notebook)


def tidied(notebook: Any) -> Any:
    """Without what differs from run to run, or shows nothing: bars, moments, addresses."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {})]
            for out in cell.outputs:
                _steady(out)
    return notebook


def texts(notebook: Any) -> list[str]:
    """Every text that a notebook's cells put out, in order; pictures by their kind alone."""
    found = []
    for cell in notebook.cells:
        for out in cell.get("outputs", ()):
            for kind, shown in sorted(out.get("data", {}).items()):
                found.append(kind if kind.startswith("image/") else str(shown))
            found.extend(out.get("traceback", ()))
            found.append(str(out.get("text", "")))
    return found


def _steady(out: Any) -> None:
    for kind, shown in out.get("data", {}).items():
        if isinstance(shown, str) and kind.startswith("text/"):
            out["data"][kind] = _steady_text(shown)
    if "text" in out:
        out["text"] = _steady_text(out["text"])


def _steady_text(text: str) -> str:
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "20261123-120000-0000", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(path.name)  # noqa: T201


if __name__ == "__main__":
    main()
