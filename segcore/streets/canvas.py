"""The drawing board of the demo streets: a camera, a canvas that keeps picture and truth together, light.

Here is how a shape in metres becomes pixels and how a finished drawing is lit; the shapes live in
`streets.shapes`, the things made of them in `scenery`, `streets.furniture` and `road_users`.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.data.classes import CONTEST_CLASSES
from segcore.data.colours import Colour
from segcore.streets.shapes import NEAREST_M, Points, mix

Image = npt.NDArray[np.uint8]

CAMERA_HEIGHT_M: Final = 1.4
HORIZON: Final = 0.44
_OVERSAMPLING: Final = 3
_HAZE_M: Final = 130.0
_SHIFT: Final = 4
_INDEX: Final = {name: index for index, name in enumerate(CONTEST_CLASSES.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """The light of a time of day.

    Args:
        sky: RGB at the zenith and at the horizon.
        cloud: RGB of the clouds.
        ambient: how much of red, green and blue the light leaves, 0..1.5.
        sun: which side of the street the sun lights, -1 (left) to 1 (right).
        dark: how dark it is, 0 (lamps are off) to 1 (windows, lamps and headlights are lit).
        noise: standard deviation of the camera's noise, grey levels.
    """

    sky: tuple[Colour, Colour]
    cloud: Colour
    ambient: tuple[float, float, float]
    sun: float
    dark: float
    noise: float


LIGHTS: Final = {
    "morning": Light(
        sky=((128, 160, 205), (250, 214, 178)), cloud=(255, 226, 204), ambient=(1.04, 0.92, 0.82), sun=0.9,
        dark=0.1, noise=4.0,
    ),
    "day": Light(
        sky=((96, 152, 220), (206, 224, 240)), cloud=(246, 248, 250), ambient=(1.05, 1.05, 1.03), sun=-0.6,
        dark=0.0, noise=3.0,
    ),
    "night": Light(
        sky=((10, 13, 32), (44, 42, 62)), cloud=(32, 32, 50), ambient=(0.4, 0.41, 0.5), sun=0.0,
        dark=1.0, noise=5.0,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The camera of one frame.

    Args:
        height: rows of the picture, pixels.
        width: columns of the picture, pixels.
        x_m: place right of the road's centre, metres.
        yaw: shift of the vanishing point to the right, share of the width.
        pitch: shift of the horizon downwards, share of the height.
        curvature: bend of the road to the right, 1/m.
    """

    height: int
    width: int
    x_m: float
    yaw: float = 0.0
    pitch: float = 0.0
    curvature: float = 0.0

    @property
    def horizon_row(self) -> float:
        """Row of the horizon, pixels."""
        return self.height * (HORIZON + self.pitch)

    def project(self, points_N3: Points) -> npt.NDArray[np.float64]:
        """Return the columns and rows (N, 2) of points in metres, pixels of the picture."""
        ahead_N = np.maximum(points_N3[:, 2], NEAREST_M)
        right_N = points_N3[:, 0] - self.x_m + 0.5 * self.curvature * ahead_N**2
        # By the width alone, the near street would end above the last rows of a tall picture.
        focal = 0.85 * max(self.width, self.height)
        columns_N = self.width * (0.5 + self.yaw) + focal * right_N / ahead_N
        rows_N = self.horizon_row + focal * (CAMERA_HEIGHT_M - points_N3[:, 1]) / ahead_N
        return np.array([columns_N, rows_N]).T


class Canvas:
    """A picture and its truth, drawn together so that they agree to the pixel.

    Both are drawn enlarged and without smoothing; `truth` takes the centre of each pixel and `render` the
    mean, which is the smoothing.

    Args:
        view: the camera.
        light: the light, for the sky's and the haze's colours.
    """

    def __init__(self, view: View, light: Light) -> None:
        rows, columns = view.height * _OVERSAMPLING, view.width * _OVERSAMPLING
        self.view = view
        self.light = light
        self._image_HW3 = np.zeros((rows, columns, 3), np.uint8)
        self._mask_HW = np.full((rows, columns), _INDEX["sky"], np.uint8)
        self._glow_HW = np.full((rows, columns), 255, np.uint8)

    def paint_sky(self, sky_HW3: Image) -> None:
        """Cover the canvas with a sky picture of any size."""
        rows, columns = self._mask_HW.shape
        self._image_HW3[:] = cv2.resize(sky_HW3, (columns, rows), interpolation=cv2.INTER_CUBIC)

    def fill(self, colour: Colour, name: str, *polygons_N3: Points, glow: float = 0.0) -> None:
        """Fill polygons with a colour.

        Args:
            colour: RGB by daylight; distance fades it into the horizon's colour.
            name: the class of the filled pixels.
            polygons_N3: corners in metres; polygons behind the camera are left out.
            glow: share of the colour that the polygons give off by themselves, 0..1.
        """
        ahead_N3 = [p_N3 for p_N3 in polygons_N3 if p_N3[:, 2].max() > NEAREST_M]
        if not ahead_N3:
            return
        # All corners at once: NumPy's cost is per call, and a frame has a thousand polygons.
        starts = np.cumsum([len(p_N3) for p_N3 in ahead_N3])[:-1]
        corners = np.split(self._to_corners(np.concatenate(ahead_N3)), starts)
        near = float(np.exp(-max(polygons_N3[0][:, 2].mean(), 0.0) / _HAZE_M))
        hazy = mix(self.light.sky[1], colour, near if self.light.dark < 1 else max(near, glow))
        cv2.fillPoly(self._image_HW3, corners, hazy, lineType=cv2.LINE_8, shift=_SHIFT)
        cv2.fillPoly(self._mask_HW, corners, _INDEX[name], lineType=cv2.LINE_8, shift=_SHIFT)
        cv2.fillPoly(self._glow_HW, corners, round(255 * glow), lineType=cv2.LINE_8, shift=_SHIFT)

    def fill_frame(self, colour: Colour, name: str, shares_N2: npt.NDArray[np.float64]) -> None:
        """Fill a polygon fixed to the picture, given in shares of its width and height, 0..1."""
        corners_N2 = self._enlarge(shares_N2 * (self.view.width, self.view.height))
        for layer, value in ((self._image_HW3, colour), (self._mask_HW, _INDEX[name]), (self._glow_HW, 0)):
            cv2.fillPoly(layer, [corners_N2], value, shift=_SHIFT)

    def darken(self, factor: float, polygon_N3: Points) -> None:
        """Cast a shadow: multiply the picture by `factor` (0..1) inside a polygon; the truth stays."""
        corners_N2 = self._to_corners(polygon_N3)
        rows, columns = self._mask_HW.shape
        left, top = np.clip((corners_N2.min(axis=0) >> _SHIFT) - 1, 0, (columns, rows))
        right, bottom = np.clip((corners_N2.max(axis=0) >> _SHIFT) + 2, 0, (columns, rows))
        if right <= left or bottom <= top:
            return
        shape_HW = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(shape_HW, [corners_N2 - (np.array([left, top]) << _SHIFT)], 1, shift=_SHIFT)
        patch_HW3 = self._image_HW3[top:bottom, left:right]
        patch_HW3[shape_HW > 0] = (patch_HW3[shape_HW > 0] * factor).astype(np.uint8)

    def truth(self) -> Image:
        """Return the class index of each pixel's centre, (H, W)."""
        middle = _OVERSAMPLING // 2
        return np.ascontiguousarray(self._mask_HW[middle::_OVERSAMPLING, middle::_OVERSAMPLING])

    def render(self, rng: np.random.Generator) -> Image:
        """Return the lit, textured, slightly blurred and noisy picture, RGB (H, W, 3)."""
        size = (self.view.width, self.view.height)
        glow_HW = cv2.resize(self._glow_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        flat_HW3 = cv2.resize(self._image_HW3, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        lit_HW3 = flat_HW3 * np.maximum(self._lamplight(), glow_HW[..., None])
        lit_HW3 *= 1 + (_texture(rng, size) * (1 - glow_HW))[..., None]
        if self.light.dark:
            halo_HW3 = cv2.GaussianBlur(flat_HW3 * glow_HW[..., None], (0, 0), self.view.width / 45)
            lit_HW3 += 0.9 * self.light.dark * halo_HW3
        soft_HW3 = cv2.GaussianBlur(lit_HW3, (0, 0), 0.45 * max(1.0, self.view.width / 640))
        noisy_HW3 = soft_HW3 + self.light.noise * rng.standard_normal(soft_HW3.shape, np.float32)
        image_HW3: Image = np.clip(noisy_HW3, 0, 255).astype(np.uint8)
        return image_HW3

    def _to_corners(self, points_N3: Points) -> npt.NDArray[np.int32]:
        return self._enlarge(self.view.project(points_N3))

    def _enlarge(self, points_N2: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        enlarged_N2 = points_N2 * _OVERSAMPLING - 0.5
        # fillPoly loses its way with coordinates far outside the canvas.
        return (np.clip(enlarged_N2, -16000, 16000) * (1 << _SHIFT)).round().astype(np.int32)

    def _lamplight(self) -> npt.NDArray[np.float32]:
        view = self.view
        rows_HW, columns_HW = np.mgrid[0 : view.height, 0 : view.width].astype(np.float32)
        across_HW = (columns_HW / view.width - 0.5 - view.yaw) / 0.34
        down_HW = (rows_HW / view.height - 0.68 - view.pitch) / 0.2
        beam_HW = 0.75 * self.light.dark * np.exp(-(across_HW**2) - down_HW**2)
        beam_HW3 = beam_HW[..., None] * np.array([1.0, 0.95, 0.8], np.float32)
        lamplight_HW3: npt.NDArray[np.float32] = np.array(self.light.ambient, np.float32) + beam_HW3
        return lamplight_HW3


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    columns, rows = size
    texture_HW = 0.025 * rng.standard_normal((rows, columns), np.float32)
    for cells, strength in ((6, 0.05), (24, 0.05)):
        coarse_HW = rng.standard_normal((cells, cells + cells // 2), np.float32)
        texture_HW += strength * cv2.resize(coarse_HW, size, interpolation=cv2.INTER_CUBIC)
    return texture_HW
