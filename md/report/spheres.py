"""A small renderer: opaque lit spheres seen from far away, with correct overlaps."""

import numpy as np

_LIGHT = np.array([-0.42, 0.55, 0.72]) / np.linalg.norm([-0.42, 0.55, 0.72])
# between the light and the viewer: where a surface mirrors the light (Blinn)
_HALFWAY = (_LIGHT + np.array([0.0, 0.0, 1.0])) / np.linalg.norm(_LIGHT + np.array([0.0, 0.0, 1.0]))
_AMBIENT, _DIFFUSE, _SPECULAR, _SHININESS = 0.64, 0.46, 0.42, 30.0
_FOG = 0.38


def render_spheres(
    centres: np.ndarray, radii: np.ndarray, colors: np.ndarray, pixels_per_A: float, supersample: int = 2
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Draw spheres in orthographic projection along z, nearest (largest z) in front.

    Args:
        centres: shape (M, 3), A; x to the right, y up, z towards the viewer.
        radii: shape (M,), A.
        colors: red, green, blue in 0..1, shape (M, 3).
        pixels_per_A: resolution.
        supersample: finer raster that is averaged down, for smooth rims.

    Returns:
        Image of shape (H, W, 4), values 0..1, transparent where nothing is, and its extent
        (left, right, bottom, top) in A.
    """
    scale = pixels_per_A * supersample
    low = (centres[:, :2] - radii[:, None]).min(axis=0) - 2 / pixels_per_A
    high = (centres[:, :2] + radii[:, None]).max(axis=0) + 2 / pixels_per_A
    width, height = (np.ceil((high - low) * pixels_per_A).astype(int)) * supersample
    depth = np.full((height, width), -np.inf)
    image = np.zeros((height, width, 4))
    nearest, farthest = centres[:, 2].max(), centres[:, 2].min()
    for centre, radius, color in zip(centres, radii, colors, strict=True):
        nearness = (centre[2] - farthest) / max(nearest - farthest, 1e-9)
        _draw_sphere(image, depth, (centre[:2] - low) * scale, centre[2], radius, scale, color, nearness)
    smooth = image.reshape(height // supersample, supersample, width // supersample, supersample, 4)
    averaged = smooth.mean(axis=(1, 3))
    covered = averaged[..., 3:] > 0
    # colours were averaged with empty black; divided by the coverage they are those of the spheres alone
    averaged[..., :3] = np.where(covered, averaged[..., :3] / np.where(covered, averaged[..., 3:], 1.0), 1.0)
    size = np.array([width, height]) / scale
    return averaged[::-1], (low[0], low[0] + size[0], low[1], low[1] + size[1])


def _draw_sphere(
    image: np.ndarray,
    depth: np.ndarray,
    middle: np.ndarray,
    z: float,
    radius: float,
    scale: float,
    color: np.ndarray,
    nearness: float,
) -> None:
    """Paint one sphere into the part of the image it covers, where it is in front."""
    reach = radius * scale
    left, bottom = np.maximum(np.floor(middle - reach).astype(int), 0)
    right, top = np.ceil(middle + reach).astype(int) + 1
    patch = (slice(bottom, top), slice(left, right))
    rows, columns = np.mgrid[patch][:, : depth.shape[0] - bottom, : depth.shape[1] - left]
    x = (columns + 0.5 - middle[0]) / reach
    y = (rows + 0.5 - middle[1]) / reach
    height = np.sqrt(np.maximum(1.0 - x**2 - y**2, 0.0))
    surface = z + radius * height
    visible = (x**2 + y**2 < 1.0) & (surface > depth[patch])
    shaded = _shade(np.stack([x, y, height], axis=-1), color, nearness)
    image[patch][visible] = np.concatenate([shaded, np.ones((*shaded.shape[:2], 1))], axis=-1)[visible]
    depth[patch][visible] = surface[visible]


def _shade(normal: np.ndarray, color: np.ndarray, nearness: float) -> np.ndarray:
    """Colour of a lit surface; far spheres fade towards white paper."""
    toward = normal @ _LIGHT
    gloss = np.maximum(normal @ _HALFWAY, 0.0) ** _SHININESS
    rim = 0.7 + 0.3 * np.clip(normal[..., 2] * 2.2, 0.0, 1.0)
    lit = (
        color * ((_AMBIENT + _DIFFUSE * np.maximum(toward, 0.0)) * rim)[..., None]
        + _SPECULAR * gloss[..., None]
    )
    return 1.0 - (1.0 - np.clip(lit, 0.0, 1.0)) * (1.0 - _FOG * (1.0 - nearness))
