"""What figures show, as plain data and arrays. Standard library only; also part of generated tests."""

import contextlib
import importlib
from pathlib import Path
from typing import Any
from unittest import mock


@contextlib.contextmanager
def depicted() -> Any:
    """Note what each figure shows that is saved meanwhile, by the name of its file, which stays empty."""
    found: Any = {}

    def save(figure: Any, path: Any, **_options: Any) -> None:
        Path(path).touch()
        found[Path(path).name] = depict(figure)

    with mock.patch.object(importlib.import_module("matplotlib.figure").Figure, "savefig", save):
        yield found


def depict(figure: Any) -> Any:
    """Return what tells a figure of matplotlib from another one: its texts, and what its axes are drawn from."""
    return {
        "size": figure.get_size_inches(),
        "texts": [each.get_text() for each in figure.texts],
        "axes": tuple(_axes(each) for each in figure.axes),
    }


def _axes(axes: Any) -> Any:
    legend = axes.get_legend()
    found = {
        "texts": [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(each.get_text() for each in axes.texts)],
        "legend": [each.get_text() for each in legend.get_texts()] if legend else [],
        "scales": [axes.get_xscale(), axes.get_yscale()],
        "aspect": str(axes.get_aspect()),
        "limits": [*axes.get_xlim(), *axes.get_ylim()],
        "ticks": [each.get_text() for one in (axes.xaxis, axes.yaxis) for each in one.get_ticklabels()],
        "grid": any(each.get_visible() for one in (axes.xaxis, axes.yaxis) for each in one.get_gridlines()),
        "lines": tuple(each.get_xydata() for each in axes.lines),
        "styles": [_style(each) for each in axes.lines],
        "patches": [_extent(each) for each in axes.patches],
        "collections": tuple(map(_collection, axes.collections)),
        "images": tuple(each.get_array() for each in axes.images),
    }
    return {key: each for key, each in found.items() if not isinstance(each, (list, tuple)) or each}


def _style(line: Any) -> str:
    return f"{line.get_color()} {line.get_linestyle()} {line.get_marker()} {line.get_label()}"


def _extent(patch: Any) -> Any:
    """Return the place of a bar or another shape in the units of its axes, and its color."""
    corners = patch.get_patch_transform().transform(patch.get_path().vertices)
    return [*map(float, (*corners.min(axis=0), *corners.max(axis=0), *patch.get_facecolor()))]


def _collection(collection: Any) -> Any:
    """Return the points of a scatter plot, or the corners of areas and segments, and what colors them."""
    corners = [corner for path in collection.get_paths() for corner in path.vertices.tolist()]
    found = {"points": collection.get_offsets(), "corners": corners, "colors": collection.get_facecolor()}
    values = collection.get_array()
    return found if values is None else dict(found, values=values)
