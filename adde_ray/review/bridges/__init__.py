"""Ways to other tools and back: what people are asked goes out, their answers come in."""

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

__all__ = ["BRIDGES"]
