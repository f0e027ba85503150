"""The tables of docs/properties.md, made of those that are applied. Run as a program, it writes them into the page."""

import re
from pathlib import Path

from prana.config.foreign import conversions as to
from prana.config.foreign.families import Family, Row
from prana.config.foreign.translation import FAMILIES

PAGE = Path(__file__).parents[3] / "docs" / "properties.md"
_UNITS = {to.milliseconds: "milliseconds", to.seconds: "seconds", to.hystrix_timeout: "milliseconds"}


def heading(family: Family) -> str:
    """Under it stand some words about a family and its table."""
    return f"## `{family.prefix}`"


def with_tables(page: str) -> str:
    """The page with the table of each family in place of whatever table stands in its section."""
    for family in FAMILIES:
        section = re.compile(rf"(?m)(^{re.escape(heading(family))}$(?:\n(?!#|\|).*)*\n)(?:\|.*\n)*")
        page = section.sub(lambda match, family=family: match[1] + table(family), page)  # type: ignore[misc]
    return page


def table(family: Family) -> str:
    rows = "".join(map(_row, family.rows))
    return f"| behind the prefix | here | |\n|---|---|---|\n{rows}"


def _row(row: Row) -> str:
    names = ", ".join(f"`{name}`" for name in row.names)
    agrees = " or ".join(f"`{value}`" for value in row.agrees)
    notes = [_UNITS.get(row.read, ""), row.note.replace("<", r"\<"), f"{agrees} is what Prana does" if agrees else ""]
    return f"| {names} | {f'`{row.path}`' if row.path else 'none'} | {'; '.join(filter(None, notes))} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
