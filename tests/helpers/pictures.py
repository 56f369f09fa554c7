"""Small pictures, in memory and in folders."""

from __future__ import annotations

from PIL import Image

from adde_ray.config.data import FolderData
from adde_ray.sources.images import image_folder


def picture(shade, size=(20, 12), mode="RGB"):
    """Distinct pictures for distinct shades."""
    image = Image.new("RGB", size, (shade, 255 - shade, 7))
    image.putpixel((shade % size[0], shade % size[1]), (255, 255, 255))
    return image.convert(mode)


def images(path, *names, count=6, first=0):
    for k, name in enumerate(names):
        (path / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(first + count * k + i).save(path / name / f"{i}.png")


def read(path, **settings):
    return image_folder.read(FolderData(source="image_folder", path=path, size=8, **settings), seed=0).whole()
