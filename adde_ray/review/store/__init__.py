"""What people are asked and what they answer: one store for a run, or one database for many.

`Item`, `Answer` and the like are plain records. `Store` needs the extra `review`; it is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adde_ray.errors import needed
from adde_ray.review.store.place import place
from adde_ray.review.store.records import (
    ADAPTIVE,
    DECIDING,
    Answer,
    Comment,
    Item,
    Person,
    ProposedClass,
    Refused,
    Session,
    Wanted,
)

if TYPE_CHECKING:
    from adde_ray.review.store.store import Store

__all__ = [
    "ADAPTIVE",
    "DECIDING",
    "Answer",
    "Comment",
    "Item",
    "Person",
    "ProposedClass",
    "Refused",
    "Session",
    "Store",
    "Wanted",
    "place",
]


def __getattr__(name: str):
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    needed("sqlalchemy", "alembic", extra="review", where="review.store", value="sqlite")
    from adde_ray.review.store.store import Store

    return Store
