"""The registry at one moment: immutable, indexed by name, swapped as a whole."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from registry.instance import Instance, Status
from registry.ports import TlsMode, called

InstanceKey = tuple[str, str]  # (app, instance id): ids are unique within an application only
Refusal = Callable[[Instance], str | None]  # why an instance must not be called, None when it may be
Index = Mapping[str, tuple[Instance, ...]]
_Names = Callable[[Instance], Iterable[str]]
_Changes = Mapping[InstanceKey, tuple[Instance | None, Instance | None]]  # what was there, what is there now


def key_of(instance: Instance) -> InstanceKey:
    return instance.app, instance.id


def anyone(_: Instance) -> None:
    """The refusal of nobody."""
    return


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every instance of any status, and indexes of them by lower-case name.

    The indexes are kept apart because a secure VIP names a secure port: it must not make a plain port callable.
    `refused` are instances that are listed, and count for the hash, but must not be called.
    """

    instances: Mapping[InstanceKey, Instance]
    refused: Mapping[InstanceKey, str]  # the reason
    apps: Index
    vips: Index
    secure_vips: Index

    @classmethod
    def of(cls, instances: Iterable[Instance], refusal: Refusal = anyone) -> "Snapshot":
        return EMPTY.changed(instances, refusal=refusal)

    def changed(
        self, put: Iterable[Instance] = (), gone: Iterable[InstanceKey] = (), refusal: Refusal = anyone
    ) -> "Snapshot":
        """The registry with these instances and without those; itself if that changes nothing.

        Costs what the changes cost, and a copy of each mapping.
        """
        now: dict[InstanceKey, Instance | None] = {key_of(each): each for each in put}
        now |= dict.fromkeys(gone)
        known = self.instances.get
        changes = {key: (known(key), new) for key, new in now.items() if new != known(key)}
        if not changes:
            return self
        instances, refused = dict(self.instances), dict(self.refused)
        for key, (_, new) in changes.items():
            instances.pop(key, None)
            refused.pop(key, None)
            if new is not None:
                instances[key] = new
                if reason := refusal(new):
                    refused[key] = reason
        return Snapshot(
            instances,
            refused,
            _reindexed(self.apps, lambda each: (each.app.lower(),), changes),
            _reindexed(self.vips, lambda each: each.vips, changes),
            _reindexed(self.secure_vips, lambda each: each.secure_vips, changes),
        )

    @property
    def services(self) -> frozenset[str]:
        """The names that `callable_instances` knows."""
        return frozenset(self.apps.keys() | self.vips.keys() | self.secure_vips.keys())

    def callable_instances(self, service: str, mode: TlsMode = TlsMode.AUTO) -> tuple[Instance, ...] | None:
        """The instances of a lower-case application name, VIP or secure VIP that are UP and may be called, with the
        port that `mode` has them called by; None for a name nobody has. A secure VIP reaches secure ports only."""
        members = (*self.apps.get(service, ()), *self.vips.get(service, ()))
        secure = self.secure_vips.get(service, ()) if mode is not TlsMode.NEVER else ()
        if not members and not secure:
            return None
        by_secure_vip = {key_of(each): called(each, TlsMode.ALWAYS) for each in secure}
        by_key = by_secure_vip | {key_of(each): called(each, mode) for each in members}
        return tuple(
            each
            for key, each in by_key.items()
            if each is not None and each.status is Status.UP and key not in self.refused
        )

    def up_instances(self, service: str) -> tuple[Instance, ...] | None:
        """The instances of a lower-case application name or VIP that are UP and may be called, by whatever port;
        None for a name nobody has."""
        members = (*self.apps.get(service, ()), *self.vips.get(service, ()))
        if not members:
            return None
        by_key = {key_of(each): each for each in members}
        return tuple(
            each
            for key, each in by_key.items()
            if each.status is Status.UP and key not in self.refused and (each.port > 0 or each.secure_port > 0)
        )

    @property
    def hashcode(self) -> str:
        """Eureka's `apps__hashcode` (Applications.getReconcileHashCode): counts per status, all applications."""
        counts = Counter(instance.status.value for instance in self.instances.values())
        return "".join(f"{status}_{counts[status]}_" for status in sorted(counts))


EMPTY = Snapshot({}, {}, {}, {}, {})


def _reindexed(index: Index, names: _Names, changes: _Changes) -> Index:
    """The index after the changes. Names that they do not touch keep their tuples."""
    touched: dict[str, list[Instance]] = {}
    for old, new in changes.values():
        for name in names(old) if old is not None else ():
            touched.setdefault(name, [])
        for name in dict.fromkeys(names(new)) if new is not None else ():
            touched.setdefault(name, []).append(new)  # type: ignore[arg-type] # there are no names without one
    updated = dict(index)
    for name, arrived in touched.items():
        members = (*(each for each in index.get(name, ()) if key_of(each) not in changes), *arrived)
        if members:
            updated[name] = members
        else:
            updated.pop(name, None)
    return updated
