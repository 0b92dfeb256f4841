"""Schemas that come with the package, taken by name."""

import re
import tomllib

import pytest

from backfill.errors import UsageError
from backfill.report.schemas import shipped_lines, shipped_text
from backfill.schema.load import load_schema
from backfill.schema.shipped import folder_of, nearest, paths
from tests.conftest import ROOT

OWN = "name: mine\ncustomer_properties: {$id: who}\nevents: [{event: Placed Order, time: at}]\n"


def test_the_names_are_those_of_the_files():
    assert list(paths()) == sorted(path.stem for path in (ROOT / "schemas").glob("*.yaml"))
    assert "online_retail" in paths()
    assert paths()["online_retail"] == ROOT / "schemas" / "online_retail.yaml"
    assert "online_retail.yaml" not in paths()


def test_a_wheel_holds_them_where_they_are_looked_for():
    """Beside the package in a checkout, inside it in a wheel."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    assert built["targets"]["wheel"]["force-include"] == {"schemas": "backfill/schemas"}
    assert folder_of(ROOT / "backfill") == ROOT / "schemas"


def test_inside_the_package_they_go_first(tmp_path):
    (tmp_path / "backfill" / "schemas").mkdir(parents=True)
    (tmp_path / "schemas").mkdir()
    assert folder_of(tmp_path / "backfill") == tmp_path / "backfill" / "schemas"


def test_a_name_loads_what_its_file_holds():
    found = load_schema("online_retail")
    assert found.schema == load_schema(ROOT / "schemas" / "online_retail.yaml").schema
    assert found.problem(("name",), "so").place == "online_retail:1"


def test_a_file_of_the_same_name_goes_first_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "online_retail").mkdir()
    assert load_schema("online_retail").schema.name == "online-retail"
    (tmp_path / "online_retail").rmdir()
    (tmp_path / "online_retail").write_text(OWN)
    assert load_schema("online_retail").schema.name == "mine"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param("online_retial", "did you mean online_retail?", id="letters change places"),
        pytest.param("Online-Retail", "did you mean online_retail?", id="written another way"),
        pytest.param(
            "schemas/online_retail.yml",
            "did you mean online_retail?",
            id="a path that is not there",
        ),
        pytest.param("zz9", "; `backfill schemas` lists the shipped ones", id="nothing near"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(wrong, said):
    with pytest.raises(UsageError, match=rf"No such file or directory.*{re.escape(said)}$"):
        load_schema(wrong)


def test_a_platforms_name_alone_finds_its_schemas():
    for name in paths():
        assert name in nearest(name)


def test_the_list_has_each_name_with_what_it_is_for_within_the_terminal():
    lines = list(shipped_lines(60))
    assert [line for line in lines if not line.startswith(" ")] == list(paths())
    assert max(map(len, lines)) <= 60
    at = lines.index("online_retail")
    assert lines[at + 1].startswith("    UCI Online Retail, a gift shop")
    assert "    Placed Order, Cancelled Order" in lines[at:]


def test_the_text_of_one_is_that_of_its_file_and_a_wrong_name_is_told():
    text = (ROOT / "schemas" / "online_retail.yaml").read_text("utf-8")
    assert shipped_text("online_retail") == text
    with pytest.raises(UsageError, match='is called "online"; there are online_retail'):
        shipped_text("online")
