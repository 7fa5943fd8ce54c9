"""The run-length code of Label Studio's brush: runs and single values in a stream of bits.

Source: the format of the library rle-pack (https://github.com/thi-ng/umbrella), which Label Studio's page uses: 32 bits
for the number of values, 5 for the bits of a value less 1, four times 4 for the sizes of counts less 1; then blocks: 1
bit whether it is a run, 2 which of the sizes its count has, the count less 1, and the value or the values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHANNELS = 4  # red, green, blue and alpha of each pixel; alpha is the mask


class _Bits:
    """Reads numbers from a stream of bits, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int) -> int:
        """The next ``size`` bits as a number; raises ValueError at the end of the stream."""
        start, self._position = self._position, self._position + size
        first, last = start // 8, -(-self._position // 8)
        if last > len(self._data):
            raise ValueError("a run-length code that ends early")
        number = int.from_bytes(self._data[first:last], "big") >> (8 * last - self._position)
        return number & ((1 << size) - 1)


def decode_brush(code: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """[H,W]: the pixels that were brushed.

    Args:
        code: the bytes as a list of numbers.
        size: (height, width) of the mask.

    Raises:
        ValueError: if it is no such code, or of another size.
    """
    if not isinstance(code, list) or not all(isinstance(value, int) and 0 <= value <= 255 for value in code):
        raise ValueError("a run-length code that is no list of bytes")
    height, width = size
    bits = _Bits(bytes(code))
    count, bits_of_value = bits.read(32), bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    if count != height * width * _CHANNELS:
        raise ValueError(f"a run-length code of {count:,} values for {height} x {width} pixels")
    values = np.zeros(count, np.uint8)
    position = 0
    while position < count:
        is_run = bits.read(1)
        end = position + 1 + bits.read(sizes[bits.read(2)])
        if end > count:
            raise ValueError("a run-length code with a run over its end")
        if is_run:
            values[position:end] = bits.read(bits_of_value) > 0
        else:
            values[position:end] = [bits.read(bits_of_value) > 0 for _ in range(position, end)]
        position = end
    return values.reshape(height, width, _CHANNELS)[..., _CHANNELS - 1] > 0
