"""Which tests one process of `make test` runs one after the other; all others go to whoever is free."""

from xdist.scheduler import LoadScopeScheduling


class SharedServers(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types for it
    """What needs Java shares servers that take long to start, and stops and starts them: two groups of it, for one
    after the other they would take longer than all the rest.

    By the ids of tests, for marks do not reach the process that schedules, and xdist 3.8 no longer tells it the groups
    of `xdist_group` under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        """The group of a test: tests of one scope are run by one process."""
        _, _, parameters = nodeid.partition("[")
        if nodeid.startswith("tests/interop/"):
            return "eureka"
        if parameters.startswith(("spring", "netflix")):
            return "e2e" if nodeid.startswith("tests/e2e/") else "eureka"
        return nodeid
