"""Satellite tiles: TIFF and GeoTIFF of any number of bands → PNGs of the chosen ones (`methods.images`).

Through tifffile, which reads every layout of bands (pages, planes, interleaved, bands of different resolution) as
numbers. Pillow reads 8-bit colour only, and rasterio brings the whole of GDAL, of which pixels need nothing.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from adde_ray.artifacts.images import encode_images
from adde_ray.errors import UserError, first_line
from adde_ray.sources.images.pictures import REMOTE_THREADS, Pair, larger_side
from adde_ray.sources.images.room import ROOM
from adde_ray.sources.images.views import VIEW_SIDE, View
from adde_ray.sources.rows import why
from adde_ray.sources.storage.files import AnyPath, RemotePath, read_bytes

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

PLANE_BYTES = 24
"""What a pixel of one band takes while it is scaled: three copies in float64."""

GDAL_NODATA = 42113
"""TIFF's tag for it."""

ALPHA = (1, 2)
"""Kinds of extra bands that say where there is data."""

PROBES = 16
"""Tiles whose values are looked at before all are read."""

PROBED = 1 << 16
"""Values of each band of these."""

NEARLY = 0.03
"""Of the range: what is below is nearly black."""


def read_tiles(
    given: Sequence[AnyPath | bytes], *, size: int, bands: tuple[int, ...], ranges: tuple[tuple[float, float], ...]
) -> list[bytes | str]:
    """PNG of each file's `bands` (counted from 1), size × size pixels, `ranges` brought to 0-255; or why not.

    given: files, or what they hold.
    """
    pairs = read_tile_pairs(given, size, size=size, bands=bands, ranges=ranges)
    return [pair if isinstance(pair, str) else pair[0] for pair in pairs]


def read_tile_pairs(
    given: Sequence[AnyPath | bytes],
    side: int,
    *,
    size: int,
    bands: tuple[int, ...],
    ranges: tuple[tuple[float, float], ...],
) -> list[Pair | str]:
    """The same, each with its PNG of up to `side` × `side` pixels, as `pictures.read_pairs` has it.

    The longest side of the chosen bands counts.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it tells of odd tags; what matters ends as a reason
    workers = REMOTE_THREADS if any(isinstance(path, RemotePath) for path in given) else None
    with ThreadPoolExecutor(workers) as threads:
        return list(threads.map(lambda tile: _read_one(tile, (size, side), bands, ranges), given))


def view_tile(tile: bytes, *, bands: tuple[int, ...], ranges: tuple[tuple[float, float], ...]) -> View | str:
    """What people see of a tile: its first three `bands`, or the first, with up to `VIEW_SIDE` pixels a side."""
    shown = 3 if len(bands) > 2 else 1
    picture = _read_one(tile, None, bands[:shown], ranges[:shown])
    return picture if isinstance(picture, str) else View(picture[0], "png", False)


def _read_one(
    tile: AnyPath | bytes,
    sizes: tuple[int, int] | None,
    bands: tuple[int, ...],
    ranges: tuple[tuple[float, float], ...],
) -> Pair | str:
    """sizes: of the payload and, at most, of the larger picture; None: one picture, as `_view_shape` has it."""
    try:
        data = tile if isinstance(tile, bytes) else read_bytes(tile)
    except OSError as error:
        return why(error)
    if not data:
        return "is empty"
    try:
        with _decoded(data) as planes:
            if isinstance(planes, str):
                return planes
            if lacking := [band for band in bands if band > len(planes)]:
                return f"has {len(planes)} bands, no band {lacking[0]}"
            chosen = [planes[band - 1] for band in bands]
            shapes = [(sizes[0], sizes[0]) if sizes else _view_shape(chosen)]
            longest = max(max(plane.shape) for plane in chosen)
            if sizes and (larger := larger_side(longest, *sizes)):
                shapes.append((larger, larger))
            # Plane by plane: all of them scaled at once may be more than there is room for.
            scaled = (_scaled(plane, *of) for plane, of in zip(chosen, ranges, strict=True))
            resized = [[_resized(plane, shape) for shape in shapes] for plane in scaled]
    except Exception as error:  # decoders of a dozen compressions raise whatever they like on broken input
        return f"cannot be decoded: {first_line(error)}"
    payload, *picture = (encode_images(np.stack(planes)[None])[0] for planes in zip(*resized, strict=True))
    return payload, picture[0] if picture else None


@contextmanager
def _decoded(data: bytes) -> Iterator[list[np.ndarray] | str]:
    """`_planes` of a file, with room in memory for them and for scaling one; or that there is none."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page for listed in file.pages if (page := listed.keyframe) is not None]
        plane = max((page.imagewidth * page.imagelength for page in pages), default=0)
        need = len(data) + sum(series.nbytes for series in file.series) + PLANE_BYTES * plane
        if not ROOM.holds(need):
            yield "is too large for a tile; cut it"
            return
        with ROOM.take(need):
            yield _planes(file)


def _planes(file: TiffFile) -> list[np.ndarray] | str:
    """Every band as (h, w), in the order of the file, NaN where it has no data; or why there is none.

    No data: where GDAL's tag says so, a mask or an alpha band. Overviews and masks are no bands.
    """
    planes, masks = [], []
    nodata = _nodata(file.pages.first)
    for series in file.series:
        if series.dtype is None or series.dtype.kind not in "uifb":
            return f"holds {series.dtype}, no plain numbers"
        if not {"Y", "X"} <= set(series.axes):
            return "holds no plane of pixels"
        page = series.keyframe
        if page.is_reduced and not page.is_mask and planes:
            continue
        values = np.moveaxis(series.asarray(), (series.axes.index("Y"), series.axes.index("X")), (-2, -1))
        values = values.reshape(-1, *values.shape[-2:])
        if page.is_mask:
            masks += [mask > 0 for mask in values]
        else:
            planes += _with_gaps(values, nodata, page.extrasamples if "S" in series.axes else ())
    planes = [_masked(plane, [mask for mask in masks if mask.shape == plane.shape]) for plane in planes]
    if planes and all(plane.dtype.kind == "f" and np.isnan(plane).all() for plane in planes):
        return "holds no data, only what stands for none"
    return planes or "holds no plane of pixels"


def _nodata(page: TiffPage) -> float | None:
    """The value that stands for no data, as GDAL writes it: a text, for all bands."""
    tag = page.tags.get(GDAL_NODATA)
    try:
        return None if tag is None else float(str(tag.value).strip(" \0"))
    except ValueError:
        return None


def _with_gaps(values: np.ndarray, nodata: float | None, extra: Sequence[int]) -> list[np.ndarray]:
    """(c, h, w) as planes with NaN where there is no data. extra: what TIFF says of the last bands."""
    bands = list(values)
    alphas = [len(bands) - len(extra) + i for i, kind in enumerate(extra) if kind in ALPHA]
    seen = [bands[i] > 0 for i in alphas]
    planes = []
    for i, band in enumerate(bands):
        gaps = [] if nodata is None or np.isnan(nodata) else [band != _same_kind(nodata, band.dtype)]
        planes.append(_masked(band, gaps + (seen if i not in alphas else [])))
    return planes


def _same_kind(value: float, kind: np.dtype) -> float:
    """As the band would hold it: -3.4028234663852886e+38 is a float32."""
    return float(kind.type(value)) if kind.kind == "f" else value


def _masked(plane: np.ndarray, there: list[np.ndarray]) -> np.ndarray:
    """With NaN where one of the masks is false; as it is where none is."""
    if all(mask.all() for mask in there):
        return plane
    floats = plane.astype(np.float32 if plane.dtype.itemsize <= 2 else np.float64)
    floats[~np.logical_and.reduce(there)] = np.nan
    return floats


def _scaled(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """[low, high] to [0, 1]; beyond is clipped, no data stays NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = (np.nan_to_num(plane.astype(np.float64), nan=np.nan, posinf=high, neginf=low) - low) / (high - low)
    return np.clip(values, 0.0, 1.0).astype(np.float32)


def _view_shape(planes: list[np.ndarray]) -> tuple[int, int]:
    """Height and width of the largest plane, both made smaller alike where one is beyond `VIEW_SIDE`."""
    height, width = max((plane.shape for plane in planes), key=lambda shape: shape[0] * shape[1])
    share = min(VIEW_SIDE / max(height, width), 1)
    return max(round(height * share), 1), max(round(width * share), 1)


def _resized(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """No data is 0, and takes no part in what is around it."""
    there = ~np.isnan(plane)
    if there.all():
        return _lanczos(plane, shape)
    values, weight = _lanczos(np.where(there, plane, 0), shape), _lanczos(there.astype(np.float32), shape)
    return np.where(weight > 0.5, np.clip(values / np.maximum(weight, 0.5), 0, 1), 0).astype(np.float32)


def _lanczos(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if plane.shape == shape:
        return plane
    height, width = shape
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))


# --- the range of values ------------------------------------------------------------------------------------


def check_scale(paths: Sequence[AnyPath], bands: tuple[int, ...], ranges: tuple[tuple[float, float], ...]) -> None:
    """Raises UserError when nearly all pixels of some of the tiles would be black, or white."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    seen: list[np.ndarray] = []  # as shares of the range
    lowest, highest = np.inf, -np.inf
    for path in [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, PROBES).astype(int))] if paths else []:
        try:
            with _decoded(read_bytes(path)) as planes:
                probed = [] if isinstance(planes, str) else [_some_values(planes, band) for band in bands]
        except Exception:  # it is told of when it is read
            continue
        for values, (low, high) in zip(probed, ranges, strict=False):
            if values.size:
                lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
                seen.append((values.astype(np.float64) - low) / (high - low))
    if not seen:
        return
    shares = np.concatenate(seen)
    for shade, share in (("black", (shares < NEARLY).mean()), ("white", (shares >= 1).mean())):
        if share >= 0.999:
            low, high = ranges[0]
            top = next((step for step in (1, 255, 4095, 10000, 65535) if highest <= step * 1.05), round(highest))
            bottom = 0 if lowest >= 0 else f"{lowest:.4g}"
            raise UserError(
                f"pixels are from {lowest:.6g} to {highest:.6g}: from {low:g} to {high:g} nearly all would be {shade}",
                where="data.scale",
                value=[low, high],
                remedy=f"Set data.scale = [{bottom}, {top}], say",
            )


def _some_values(planes: list[np.ndarray], band: int) -> np.ndarray:
    """At most `PROBED` of a band's values that are data; none where there is no such band."""
    plane = planes[band - 1].ravel() if band <= len(planes) else np.zeros(0)
    values = plane[:: -(-plane.size // PROBED) or 1]
    return values[np.isfinite(values)]
