"""Satellite tiles: TIFF and GeoTIFF of any number of bands → PNGs of the chosen ones (`methods.images`).

Through tifffile, which reads every layout of bands (pages, planes, interleaved, bands of different resolution) as
numbers. Pillow reads 8-bit colour only, and rasterio brings the whole of GDAL, of which pixels need nothing.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from adde_ray.errors import first_line
from adde_ray.methods.images import encode_images
from adde_ray.sources.files import AnyPath, RemotePath, read_bytes
from adde_ray.sources.pictures import REMOTE_THREADS
from adde_ray.sources.room import ROOM
from adde_ray.sources.rows import why
from adde_ray.sources.views import VIEW_SIDE, View

PLANE_BYTES = 24
"""What a pixel of one band takes while it is scaled: three copies in float64."""


def read_tiles(
    given: Sequence[AnyPath | bytes], *, size: int, bands: tuple[int, ...], ranges: tuple[tuple[float, float], ...]
) -> list[bytes | str]:
    """PNG of each file's `bands` (counted from 1), size × size pixels, `ranges` brought to 0-255; or why not.

    given: files, or what they hold.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it tells of odd tags; what matters ends as a reason
    workers = REMOTE_THREADS if any(isinstance(path, RemotePath) for path in given) else None
    with ThreadPoolExecutor(workers) as threads:
        return list(threads.map(lambda tile: _read_one(tile, size, bands, ranges), given))


def view_tile(tile: bytes, *, bands: tuple[int, ...], ranges: tuple[tuple[float, float], ...]) -> View | str:
    """What people see of a tile: its first three `bands`, or the first, with up to `VIEW_SIDE` pixels a side."""
    shown = 3 if len(bands) > 2 else 1
    picture = _read_one(tile, None, bands[:shown], ranges[:shown])
    return picture if isinstance(picture, str) else View(picture, "png", False)


def _read_one(
    tile: AnyPath | bytes, size: int | None, bands: tuple[int, ...], ranges: tuple[tuple[float, float], ...]
) -> bytes | str:
    try:
        data = tile if isinstance(tile, bytes) else read_bytes(tile)
    except OSError as error:
        return why(error)
    if not data:
        return "is empty"
    try:
        need = _memory(data)
        if not ROOM.holds(need):
            return "is too large for a tile; cut it"
        with ROOM.take(need):
            planes = _planes(data)
            if isinstance(planes, str):
                return planes
            if lacking := [band for band in bands if band > len(planes)]:
                return f"has {len(planes)} bands, no band {lacking[0]}"
            chosen = [planes[band - 1] for band in bands]
            shape = (size, size) if size else _view_shape(chosen)
            chosen = [_resized(_scaled(plane, *of), shape) for plane, of in zip(chosen, ranges, strict=True)]
    except Exception as error:  # decoders of a dozen compressions raise whatever they like on broken input
        return f"cannot be decoded: {first_line(error)}"
    return encode_images(np.stack(chosen)[None])[0]


def _memory(data: bytes) -> int:
    """Bytes that decoding a file takes."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        plane = max((page.imagewidth * page.imagelength for page in file.pages), default=0)
        return len(data) + sum(series.nbytes for series in file.series) + PLANE_BYTES * plane


def _planes(data: bytes) -> list[np.ndarray] | str:
    """Every band as (h, w), in the order of the file; or why there is none."""
    import tifffile

    planes = []
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for series in file.series:
            if series.dtype is None or series.dtype.kind not in "uif":
                return f"holds {series.dtype}, no plain numbers"
            if not {"Y", "X"} <= set(series.axes):
                return "holds no plane of pixels"
            values = np.moveaxis(series.asarray(), (series.axes.index("Y"), series.axes.index("X")), (-2, -1))
            planes += list(values.reshape(-1, *values.shape[-2:]))
    return planes or "holds no plane of pixels"


def _scaled(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """[low, high] to [0, 1]; beyond is clipped, no data is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = (np.nan_to_num(plane.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / (high - low)
    return np.clip(values, 0.0, 1.0).astype(np.float32)


def _view_shape(planes: list[np.ndarray]) -> tuple[int, int]:
    """Height and width of the largest plane, both made smaller alike where one is beyond `VIEW_SIDE`."""
    height, width = max((plane.shape for plane in planes), key=lambda shape: shape[0] * shape[1])
    share = min(VIEW_SIDE / max(height, width), 1)
    return max(round(height * share), 1), max(round(width * share), 1)


def _resized(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if plane.shape == shape:
        return plane
    return np.asarray(Image.fromarray(plane).resize(shape[::-1], Image.Resampling.LANCZOS))
