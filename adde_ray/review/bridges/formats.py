"""The formats there are, by the names that the command line knows."""

from __future__ import annotations

from adde_ray.review.bridges.base import Bridge
from adde_ray.review.bridges.coco import Coco
from adde_ray.review.bridges.cvat import Cvat
from adde_ray.review.bridges.label_studio import LabelStudio
from adde_ray.review.bridges.tables import Table

BRIDGES: dict[str, Bridge] = {
    "label-studio": LabelStudio(),
    "cvat": Cvat(),
    "coco": Coco(),
    "csv": Table("csv"),
    "xlsx": Table("xlsx"),
}
