"""docs/properties.md shows what is applied."""

from prana.config.foreign.translation import FAMILIES
from tests.config.foreign.page import PAGE, heading, table, with_tables


def test_the_page_has_the_table_of_every_family() -> None:
    page = PAGE.read_text()
    assert with_tables(page) == page, "run `python -m tests.config.foreign.page`, which writes them"
    assert [page.count(f"\n{heading(family)}\n") for family in FAMILIES] == [1] * len(FAMILIES)
    assert all(table(family) in page for family in FAMILIES)
