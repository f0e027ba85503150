"""The registry at one moment: immutable, indexed by service name, swapped as a whole."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registry.instance import Instance, Status

InstanceKey = tuple[str, str]  # (app, instance id): ids are unique within an application only


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`instances` holds every status; `services` maps a lower-case application or VIP name to what can be called."""

    instances: Mapping[InstanceKey, Instance]
    services: Mapping[str, tuple[Instance, ...]]

    @classmethod
    def of(cls, instances: Iterable[Instance]) -> "Snapshot":
        by_key = {(instance.app, instance.id): instance for instance in instances}
        services: dict[str, list[Instance]] = {}
        for instance in by_key.values():
            callable_now = instance.status is Status.UP and instance.port > 0
            for name in {instance.app.lower(), *instance.vips}:
                members = services.setdefault(name, [])
                if callable_now:
                    members.append(instance)
        return cls(by_key, {name: tuple(members) for name, members in services.items()})

    def callable_instances(self, service: str) -> tuple[Instance, ...] | None:
        """The instances of a lower-case service name that are UP with a plain port; None for a name nobody has."""
        return self.services.get(service)

    @property
    def hashcode(self) -> str:
        """Eureka's `apps__hashcode` (Applications.getReconcileHashCode): counts per status, all applications."""
        counts = Counter(instance.status.value for instance in self.instances.values())
        return "".join(f"{status}_{counts[status]}_" for status in sorted(counts))


EMPTY = Snapshot({}, {})
