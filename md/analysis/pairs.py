"""Distances between atoms of a periodic frame, through as many periodic images as the cutoff needs.

A tree of scipy and no neighbor list of the models: those load torch, and an analysis needs none.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from scipy.spatial import KDTree

from md.analysis.frames import Frames

Result = TypeVar("Result")


def find_pairs(
    fractional: np.ndarray, cell: np.ndarray, r_max: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find every ordered pair of atoms closer than `r_max`, an atom's own images included.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        r_max: cutoff in A; it may exceed the cell.

    Returns:
        Centre and neighbor of each pair, shape (E,), integer, and the vector from one to the other,
        shape (E, 3), A.
    """
    wrapped = fractional - np.floor(fractional)
    images, owners = _surrounding_images(wrapped, cell, r_max)
    home = wrapped @ cell
    found = KDTree(home).sparse_distance_matrix(KDTree(images), r_max, output_type="ndarray")
    # the images of zero shift come first, in the order of the atoms
    others = found[found["i"] != found["j"]]
    centre, image = others["i"], others["j"]
    return centre, owners[image], images[image] - home[centre]


def find_nearest(fractional: np.ndarray, cell: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest neighbors of each atom, through periodic images.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        count: how many neighbors k.

    Returns:
        Their indices, shape (N, k), nearest first, and the vectors to them, shape (N, k, 3), A.
    """
    wrapped = fractional - np.floor(fractional)
    home = wrapped @ cell
    # a sphere that holds twice as many atoms on average; enlarged where there are voids
    reach = (6 * (count + 1) * abs(np.linalg.det(cell)) / (4 * np.pi * len(home))) ** (1 / 3)
    while True:
        images, owners = _surrounding_images(wrapped, cell, reach)
        distance, image = KDTree(images).query(home, count + 1, distance_upper_bound=reach)
        if np.isfinite(distance).all():
            break
        reach *= 1.5
    others = image[:, 1:]  # the nearest is the atom itself
    return owners[others], images[others] - home[:, None]


def _surrounding_images(wrapped: np.ndarray, cell: np.ndarray, r_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of the cell, then their images within `r_max` of it: positions (M, 3) in A, and owners."""
    # a plane of the cell is as far from its opposite as the inverse of a reciprocal vector is long
    reach = r_max * np.linalg.norm(np.linalg.inv(cell), axis=0)
    images, owners = wrapped, np.arange(len(wrapped))
    for axis in range(3):
        # images of images: those along one axis are shifted along the next
        span = int(np.ceil(reach[axis]))
        parts, their_owners = [images], [owners]
        for shift in (*range(-span, 0), *range(1, span + 1)):
            moved = images[:, axis] + shift
            near = (moved >= -reach[axis]) & (moved <= 1 + reach[axis])
            parts.append(images[near] + shift * np.eye(3)[axis])
            their_owners.append(owners[near])
        images, owners = np.concatenate(parts), np.concatenate(their_owners)
    return images @ cell, owners


def spread_frames(num_frames: int, max_frames: int) -> np.ndarray:
    """Indices of at most `max_frames` frames, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, num_frames - 1, min(num_frames, max_frames)).round().astype(int))


def map_frames(
    frames: Frames, measure: Callable[[np.ndarray, np.ndarray], Result], max_frames: int = 100
) -> list[Result]:
    """Measure frames one by one, on every core: memory holds a frame a core, and the results.

    Args:
        frames: the frames; they may be in a file.
        measure: from fractional coordinates, shape (N, 3), and lattice vectors, shape (3, 3), to a result.
        max_frames: at most so many frames are used, evenly spread.

    Returns:
        The results in the order of time.
    """
    workers = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        return list(
            pool.map(
                lambda index: measure(frames.fractional[index], frames.cells[index]),
                spread_frames(frames.num_frames, max_frames),
            )
        )
