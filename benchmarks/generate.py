"""``python -m benchmarks.generate SHAPE ROWS FILE``: an export, by a process of its own."""

import sys
from pathlib import Path
from typing import cast, get_args

from benchmarks.exports import Shape, write

if __name__ == "__main__":
    shape, rows, file = sys.argv[1:]
    assert shape in get_args(Shape)
    write(Path(file), cast("Shape", shape), int(rows))
