import pytest

from tests.bench.arguments import parse
from tests.bench.scenarios import all_scenarios, chosen
from tests.bench.templates import render


def test_scenarios_are_chosen_by_how_their_names_begin() -> None:
    names = [scenario.name for scenario in chosen(all_scenarios((1, 32), 1000), ("get-100", "rate"))]

    assert names == ["get-100-c1", "get-100-c32", "rate"]


def test_all_scenarios_and_all_peers_are_the_default() -> None:
    options = parse([])

    assert options.connections == (1, 32, 256)
    assert options.rounds == 3
    assert options.peers == ("direct", "nginx", "haproxy", "envoy", "traefik", "prana", "prana-bare", "prana-all")


def test_a_flag_overrides_what_quick_means() -> None:
    options = parse(["--quick", "--seconds", "5"])

    assert (options.rounds, options.seconds) == (1, 5)


@pytest.mark.parametrize("arguments", [["--peers", "squid"], ["--rounds", "0"], ["--connections", "1,x"]])
def test_a_wrong_flag_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)


def test_a_template_keeps_what_the_programs_themselves_mean() -> None:
    assert render("$host <<port>> %{+X}o", {"port": 8080}) == "$host 8080 %{+X}o"


def test_a_template_with_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        render("<<prot>>", {"port": 8080})
