from tests.bench.samples import Medians, Sample


def sample(peer: str, number: int, **figures: float) -> Sample:
    return Sample("get", peer, number, figures)


def test_the_median_of_the_rounds_counts() -> None:
    medians = Medians([sample("prana", number, cpu_us=value) for number, value in enumerate([30.0, 90.0, 40.0])])

    assert medians.get("get", "prana", "cpu_us") == 40.0


def test_a_run_with_errors_does_not_count() -> None:
    medians = Medians([sample("prana", 1, cpu_us=30.0), Sample("get", "prana", 2, {}, "3 read errors")])

    assert medians.get("get", "prana", "cpu_us") == 30.0


def test_a_ratio_is_ours_divided_by_theirs() -> None:
    medians = Medians([sample("prana", 1, cpu_us=30.0), sample("envoy", 1, cpu_us=60.0)])

    assert medians.ratio("get", "cpu_us", "prana", "envoy") == 0.5


def test_there_is_no_ratio_to_what_was_not_measured_or_is_less_than_nothing() -> None:
    medians = Medians([sample("prana", 1, added_p99_ms=0.2), sample("envoy", 1, added_p99_ms=-0.1)])

    assert medians.ratio("get", "added_p99_ms", "prana", "envoy") is None
    assert medians.ratio("get", "added_p99_ms", "envoy", "prana") is None
    assert medians.ratio("get", "added_p99_ms", "prana", "haproxy") is None
