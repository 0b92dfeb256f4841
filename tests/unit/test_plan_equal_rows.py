"""Orders with rows that are equal in every column of the export."""

import pytest

from tests.unit.test_plan_make import planned, rows

TWICE = [f"{order} n{order} {item} 5" for order in (1, 2) for item in "aabb"]


def with_column(name, cells):
    return {**rows(*TWICE), name: [str(cell) for cell in cells]}


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
def test_an_index_of_pandas_tells_no_rows_apart(tmp_path, name):
    assert planned(tmp_path, with_column(name, range(8))).equal_rows == 2


@pytest.mark.parametrize(
    ("cells", "orders"),
    [
        pytest.param("xxxxxxxx", 2, id="an equal cell"),
        pytest.param("xyxyxyxy", 0, id="a cell that differs"),
        pytest.param("xxxyxyxy", 0, id="one order alone is no large share"),
    ],
)
def test_a_column_that_the_schema_does_not_use_tells_rows_apart(tmp_path, cells, orders):
    assert planned(tmp_path, with_column("Note", cells)).equal_rows == orders


def test_rejects_and_copies_in_other_files_are_not_counted(tmp_path):
    assert planned(tmp_path, rows(*TWICE)).equal_rows == 2
    assert planned(tmp_path, rows(*TWICE[::2]), rows(*TWICE[::2])).equal_rows == 0
    assert planned(tmp_path, rows(*(row.replace(" 5", " x") for row in TWICE))).equal_rows == 0
