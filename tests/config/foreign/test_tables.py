"""The tables of foreign names as a whole: no name hides another, and every path is a key."""

import re
from inspect import signature

import pytest

from prana.config.foreign.families import Family, Row
from prana.config.foreign.translation import FAMILIES, matches_of
from prana.config.settings import Settings
from prana.config.shapes import branch, shape_at

NAMES = [(family, row, name) for family in FAMILIES for row in family.rows for name in row.names]


def example(family: Family, name: str) -> str:
    return re.sub(r"<\w+>", "some.thing", family.prefix + name)


@pytest.mark.parametrize(("family", "row", "name"), NAMES, ids=[family.prefix + name for family, _, name in NAMES])
def test_every_name_leads_to_its_row(family: Family, row: Row, name: str) -> None:
    matches = {match.row: match for match in matches_of(example(family, name))}
    assert matches[row].name == name
    assert not row.path or set(matches[row].place) <= {"some.thing"}


@pytest.mark.parametrize(("family", "row", "name"), NAMES, ids=[family.prefix + name for family, _, name in NAMES])
def test_every_row_reads_as_many_values_as_it_has_names(family: Family, row: Row, name: str) -> None:
    signature(row.read).bind(*row.names)


@pytest.mark.parametrize("family", FAMILIES, ids=[family.prefix for family in FAMILIES])
def test_every_path_is_a_key_of_ours(family: Family) -> None:
    paths = [family.path(row, ("some.thing",)) for row in family.rows if row.path]
    assert [path for path in paths if shape_at(branch(Settings), path) is None] == []
