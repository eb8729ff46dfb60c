"""engine.fields.geo: distances and boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fields.columns import build_column
from engine.fields.geo import EARTH_RADIUS_METERS, distance_meters, match_point, match_points
from engine.schema import Field, FieldType

BERLIN, PARIS = {"lat": 52.52, "lon": 13.405}, {"lat": 48.8566, "lon": 2.3522}
LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    lat, lon = np.array([one["lat"]]), np.array([one["lon"]])
    return float(distance_meters(lat, lon, other["lat"], other["lon"])[0])


def test_known_distances() -> None:
    """Berlin to Paris is 878 km; a degree along the equator is 111.2 km; the poles are half the earth apart."""
    assert distance(BERLIN, PARIS) == pytest.approx(877_500, rel=1e-3)
    assert distance({"lat": 0, "lon": 179.5}, {"lat": 0, "lon": -179.5}) == pytest.approx(111_195, rel=1e-4)
    assert distance({"lat": 90, "lon": 0}, {"lat": -90, "lon": 77}) == pytest.approx(math.pi * EARTH_RADIUS_METERS)
    assert distance(BERLIN, BERLIN) == 0


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distances_agree_with_vectors(lat: float, lon: float, other_lat: float, other_lon: float) -> None:
    """The angle between two unit vectors, times the radius."""

    def vector(lat: float, lon: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        phi, theta = math.radians(lat), math.radians(lon)
        return np.array([math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)])

    one, other = vector(lat, lon), vector(other_lat, other_lon)
    angle = math.atan2(float(np.linalg.norm(np.cross(one, other))), float(one @ other))
    found = distance({"lat": lat, "lon": lon}, {"lat": other_lat, "lon": other_lon})
    assert found == pytest.approx(EARTH_RADIUS_METERS * angle, abs=0.2, rel=1e-6)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((40, -10, 60, 20), [True, False, True, False]),
        ((50, 13, 53, 14), [True, False, False, False]),
        ((-90, -180, 90, 180), [True, False, True, True]),
        ((-30, 170, 30, -170), [False, False, False, True]),
        ((52.52, 13.405, 52.52, 13.405), [True, False, False, False]),
    ],
)
def test_boxes_include_their_edges_and_may_cross_the_date_line(
    box: tuple[float, float, float, float], inside: list[bool]
) -> None:
    """West of 180 degrees lies 179, and east of it -179."""
    value = dict(zip(("south", "west", "north", "east"), box, strict=True))
    points = [BERLIN, None, PARIS, {"lat": 0, "lon": -175}]
    column = build_column(Field(FieldType.GEO), points)
    assert match_points(column, "$geo_box", value).tolist() == inside
    assert [match_point(point, "$geo_box", value) for point in points] == inside


def test_what_is_no_point_is_nowhere() -> None:
    """Among JSON values."""
    everywhere = {"lat": 0.0, "lon": 0.0, "meters": 40_000_000.0}
    assert match_point({"lat": 1, "lon": 2}, "$geo_radius", everywhere)
    for value in (None, 5, "x", [1, 2], {"lat": 1}, {"lat": 100, "lon": 0}, {"lat": "1", "lon": 2}):
        assert not match_point(value, "$geo_radius", everywhere)
