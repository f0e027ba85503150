"""`make sim`: how every rule fares in linkerd's experiment, beside reference figures; fails below the default's bars.

The reference is another simulation of the same experiment, run before this code was written.
"""

import sys
from argparse import ArgumentParser

from loadbalancer.rules import RULES
from tests.sim.experiment import SCENARIOS, success_percent

DEFAULT = "p2c-ewma"
REFERENCE = {
    "p2c-ewma": (99.93, 99.78, 99.95, 99.95, 99.83),
    "p2c-least-request": (99.49, 98.44, 99.05, 90.75, 94.21),
    "RoundRobinRule": (95.45, 95.44, 95.45, 95.45, 95.44),
    "WeightedResponseTimeRule": (96.25, 96.30, 95.95, 95.39, 95.45),
    "BestAvailableRule": (99.52, 98.73, 99.97, 56.24, 50.81),
    "AvailabilityFilteringRule": (95.45, 95.44, 99.85, 95.45, 95.44),
}


def row(label: str, cells: list[str]) -> str:
    return f"{label:<27}" + "".join(f"{cell:>16}" for cell in cells)


def main() -> int:
    parser = ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument(
        "--seeds", type=int, default=0, help="runs to take the mean of; 0: 1 of A, C and D, 10 of B and E"
    )
    seeds = parser.parse_args().seeds
    print("Percent of requests answered within 1 s; one of 11 servers is at fault for half of the time.")
    print("In brackets: reference.\n")
    print(row("", [scenario.name for scenario in SCENARIOS]))
    print(row("rule", [scenario.title.split(",")[0] for scenario in SCENARIOS]))
    print(row("", [scenario.title.split(",")[1] for scenario in SCENARIOS]))
    missed = []
    for rule in RULES:
        cells = []
        for index, scenario in enumerate(SCENARIOS):
            percent = success_percent(rule, scenario, seeds=seeds)
            reference = f" ({REFERENCE[rule][index]:.2f})" if rule in REFERENCE else " " * 8
            cells.append(f"{percent:.2f}{reference}")
            if rule == DEFAULT and percent < scenario.bar:
                missed.append(f"{scenario.name}: {percent:.3f} is below {scenario.bar}")
        print(row(rule, cells), flush=True)
    print(row(f"bar of {DEFAULT}", [f"{scenario.bar}        " for scenario in SCENARIOS]))
    for each in missed:
        print(f"{DEFAULT} misses {each}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
