"""Operators on points: within a distance, within a box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.arrays import Mask
from engine.writes.inference import is_point

EARTH_RADIUS_METERS = 6_371_008.8  # mean radius, IUGG
DEGREE_METERS_MIN = 111_000.0  # of latitude, on that sphere 111,195, less what rounding may take


def match_points(points: Any, op: str, value: Mapping[str, float]) -> Mask:
    """Which points of an Arrow struct column (lat, lon) satisfy `$geo_radius` or `$geo_box`; null never does."""
    if isinstance(points, pa.ChunkedArray):
        points = points.combine_chunks()
    lat = points.field("lat").to_numpy(zero_copy_only=False)
    lon = points.field("lon").to_numpy(zero_copy_only=False)
    known: Mask = points.is_valid().to_numpy(zero_copy_only=False)
    return known & within(lat, lon, op, value)


def match_point(item: Any, op: str, value: Mapping[str, float]) -> bool:
    """Whether a JSON value is a point that satisfies `op`."""
    if not is_point(item):
        return False
    lat, lon = np.array([item["lat"]], dtype=np.float64), np.array([item["lon"]], dtype=np.float64)
    return bool(within(lat, lon, op, value)[0])


def within(lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], op: str, value: Mapping[str, float]) -> Mask:
    """Which of (n,) points in degrees lie within; those that are NaN do not."""
    if op == "$geo_radius":
        # A degree of latitude is at least so long as this; what is further north or south need not be measured.
        near = np.flatnonzero(np.abs(lat - value["lat"]) <= value["meters"] / DEGREE_METERS_MIN)
        mask = np.zeros(len(lat), dtype=bool)
        mask[near] = distance_meters(lat[near], lon[near], value["lat"], value["lon"]) <= value["meters"]
        return mask
    west, east = value["west"], value["east"]
    between = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    return (lat >= value["south"]) & (lat <= value["north"]) & between


def distance_meters(
    lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], to_lat: float, to_lon: float
) -> npt.NDArray[np.float64]:
    """Great-circle distances to one point, (n,), by the haversine formula."""
    phi, to_phi = np.radians(lat), np.radians(to_lat)
    half = np.sin((phi - to_phi) / 2) ** 2
    half = half + np.cos(phi) * np.cos(to_phi) * np.sin(np.radians(lon - to_lon) / 2) ** 2
    distances: npt.NDArray[np.float64] = 2 * EARTH_RADIUS_METERS * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return distances
