"""Receptive fields: the size and position of the image region that each value of a map depends on.

Sizes are theoretical: the extent of all pixels that could change a value, padding and saturation left aside, in pixels
of the image and for each axis on its own. The arithmetic is that of Dumoulin & Visin (arXiv:1603.07285) and of Araujo,
Norris, Sim (Computing receptive fields of convolutional neural networks, Distill 2019): a window of k values with
stride s, padding p and dilation d makes of size r, jump j and offset o

    r + d*(k - 1)*j,    j*s,    o + (d*(k - 1)/2 - p)*j.

Pixel i covers [i, i + 1), so that its centre is i + 0.5 and the image itself has offset 0.5; Araujo et al. count
centres from 0. The field of value i of a map is [o + i*j - r/2, o + i*j + r/2). After a transposed convolution or an
interpolation, the fields of neighbouring values differ by one position; their mean is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

FloatPair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Working:
    """The formulas of a field, with the values filled in, so that Python can evaluate them.

    If the two axes differ, " x " stands between their formulas.
    """

    size: str = ""
    jump: str = ""
    offset: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """The receptive field of a tensor's values.

    Args:
        size: (vertical, horizontal) extent in image pixels.
        jump: image pixels between neighbouring values of the tensor: its stride.
        offset: the centre of the first value's field, in image pixels.
        is_map: whether the tensor's last two axes still are the image's.
        working: how the numbers came about.
    """

    size: FloatPair = (1.0, 1.0)
    jump: FloatPair = (1.0, 1.0)
    offset: FloatPair = (0.5, 0.5)
    is_map: bool = True
    working: Working = field(default_factory=Working, compare=False)

    def through_window(
        self,
        kernel: Sequence[int],
        stride: Sequence[float],
        dilation: Sequence[int] = (1,),
        padding: Sequence[int] = (0,),
    ) -> Reach:
        """The field after a convolution or pooling."""

        def one(r: float, j: float, o: float, axis: int) -> _Axis:
            k, s, d, p = (_pair(values)[axis] for values in (kernel, stride, dilation, padding))
            times = "" if d == 1 else f"{d}*"
            return _Axis(
                (r + d * (k - 1) * j, f"{_n(r)} + {times}({k} - 1)*{_n(j)}"),
                (j * s, f"{_n(j)}*{_n(s)}"),
                (o + (d * (k - 1) / 2 - p) * j, f"{_n(o)} + ({times}({k} - 1)/2 - {p})*{_n(j)}"),
            )

        return self._by_axis(one)

    def through_transposed_window(
        self, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int] = (0,)
    ) -> Reach:
        """The field after a transposed convolution, where a value comes from ceil(kernel / stride) neighbours."""

        def one(r: float, j: float, o: float, axis: int) -> _Axis:
            k, s, p = (_pair(values)[axis] for values in (kernel, stride, padding))
            return _Axis(
                (r + (math.ceil(k / s) - 1) * j, f"{_n(r)} + (ceil({k}/{s}) - 1)*{_n(j)}"),
                (j / s, f"{_n(j)}/{s}"),
                (o + (p - (k - 1) / 2) * j / s, f"{_n(o)} + ({p} - ({k} - 1)/2)*{_n(j)}/{s}"),
            )

        return self._by_axis(one)

    def over_all(self, height: int, width: int) -> Reach:
        """The field after an operator that joins all positions of a map of this size: flattening, global pooling."""
        return replace(self.through_window((height, width), (height, width)), is_map=False)

    def resized(
        self, before: tuple[int, int], after: tuple[int, int], *, neighbours: int, corners: bool = False
    ) -> Reach:
        """The field after interpolation from ``neighbours`` values a side; ``corners``: the outermost centres stay."""

        def one(r: float, j: float, o: float, axis: int) -> _Axis:
            b, a = before[axis], after[axis]
            size = (r + (neighbours - 1) * j, f"{_n(r)} + ({neighbours} - 1)*{_n(j)}")
            if corners and a > 1:
                return _Axis(size, (j * (b - 1) / (a - 1), f"{_n(j)}*({b} - 1)/({a} - 1)"), (o, _n(o)))
            offset = (o + (b / a - 1) / 2 * j, f"{_n(o)} + ({b}/{a} - 1)/2*{_n(j)}")
            return _Axis(size, (j * b / a, f"{_n(j)}*{b}/{a}"), offset)

        return self._by_axis(one)

    def shifted(self, first: tuple[int, int], step: tuple[int, int] = (1, 1)) -> Reach:
        """The field after a crop from value ``first`` in steps of ``step``; padding has a negative ``first``."""

        def one(r: float, j: float, o: float, axis: int) -> _Axis:
            f, s = first[axis], step[axis]
            sign = "-" if f < 0 else "+"
            return _Axis((r, _n(r)), (j * s, f"{_n(j)}*{s}"), (o + f * j, f"{_n(o)} {sign} {abs(f)}*{_n(j)}"))

        return self._by_axis(one)

    def elsewhere(self) -> Reach:
        """The same field, for a tensor whose last two axes are no longer height and width of the image."""
        return replace(self, is_map=False)

    def _by_axis(self, one: Callable[[float, float, float, int], _Axis]) -> Reach:
        vertical, horizontal = (one(self.size[axis], self.jump[axis], self.offset[axis], axis) for axis in (0, 1))
        return _of_axes(vertical, horizontal, is_map=self.is_map)


_Worked = tuple[float, str]


class _Axis(NamedTuple):
    """The field along one axis; each entry is a value and its formula."""

    size: _Worked
    jump: _Worked
    offset: _Worked


def joined(reaches: Sequence[Reach]) -> Reach:
    """The field of a value made from several tensors: from their outermost pixel on one side to that on the other."""
    if all(reach == reaches[0] for reach in reaches[1:]):
        return reaches[0]
    maps = [reach for reach in reaches if reach.is_map] or list(reaches)
    axes = []
    for axis in (0, 1):
        low, low_text = _extreme(min, [r.offset[axis] - r.size[axis] / 2 for r in reaches])
        high, high_text = _extreme(max, [r.offset[axis] + r.size[axis] / 2 for r in reaches])
        jump = max(r.jump[axis] for r in maps)
        axes.append(
            _Axis(
                (high - low, f"{high_text} - {low_text}"),
                (jump, _n(jump)),
                ((high + low) / 2, f"({high_text} + {low_text})/2"),
            )
        )
    return _of_axes(axes[0], axes[1], is_map=any(r.is_map for r in reaches))


def _of_axes(vertical: _Axis, horizontal: _Axis, *, is_map: bool) -> Reach:
    pairs = list(zip(vertical, horizontal, strict=True))
    size, jump, offset = ((v[0], h[0]) for v, h in pairs)
    texts = [v[1] if v[1] == h[1] else f"{v[1]} x {h[1]}" for v, h in pairs]
    return Reach(size, jump, offset, is_map, Working(*texts))


def _extreme(choose: Callable[[Iterable[float]], float], values: Sequence[float]) -> _Worked:
    texts = list(dict.fromkeys(map(_n, values)))
    return choose(values), f"{choose.__name__}({', '.join(texts)})" if len(texts) > 1 else texts[0]


def _pair(values: Sequence[float]) -> tuple[float, float]:
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _n(value: float) -> str:
    """A number as text; negative numbers in brackets, so that no two signs meet."""
    text = f"{value:.10g}"
    return f"({text})" if value < 0 else text
