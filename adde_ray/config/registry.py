"""Parts by name: what a config may name, the package's own parts and those of plugins alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from adde_ray.config import plugins
from adde_ray.errors import UserError, choose

T = TypeVar("T")

LONGEST_NAME = 200


class Registry(Mapping[str, T], Generic[T]):
    """The parts of one kind by name.

    kind: what one of them is called, for messages. where: the key of a config that names it. also: names that the key
    takes besides and that stand for no part of their own, as "auto".
    """

    def __init__(self, kind: str, parts: Mapping[str, T], *, where: str, also: tuple[str, ...] = ()):
        self.kind, self.where, self.also = kind, where, also
        self.parts: dict[str, T] = dict(parts)

    def register(self, name: str) -> Callable[[Any], Any]:
        """A decorator that adds a part. Raises UserError: the name is taken, or is none."""

        def add(part: T) -> T:
            if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
                raise UserError(f"is no name for a part of kind {self.kind}", value=name, remedy="Give it a short text")
            if name in self.also or (name in self.parts and not _same(self.parts[name], part)):
                raise UserError(f"there is a part of kind {self.kind} of that name", value=name, remedy="Rename yours")
            self.parts[name] = part
            return part

        return add

    def check(self, name: str) -> None:
        """Raises UserError: the key takes no such name."""
        if name not in self.also:
            self[name]

    def __getitem__(self, name: str) -> T:
        """Raises UserError with the names there are."""
        self._catch_up(name)
        return choose(self.parts, name, where=self.where, also=self.also)

    def __contains__(self, name: object) -> bool:
        self._catch_up(name)
        return name in self.parts

    def _catch_up(self, name: object) -> None:
        if name not in self.parts:
            plugins.catch_up()  # in a worker: the driver may know it

    def get(self, name: str, default: Any = None) -> Any:
        """The part of that name, or `default`: of a name that may be unknown."""
        return self.parts[name] if name in self else default

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)


def _same(old: object, new: object) -> bool:
    """Whether it is the same part, of a module that was imported again perhaps."""
    old, new = (getattr(part, "apply", part) for part in (old, new))  # a gate's, a corruption's
    if old is new:
        return True
    names = [(getattr(part, "__module__", ""), getattr(part, "__qualname__", "<none>")) for part in (old, new)]
    return names[0] == names[1] and "<" not in names[0][1]  # of lambdas and inner functions there may be several
