"""A filter of hashes of 16 bytes, so that rows that nobody asks for are passed over at little cost.

It is a Bloom filter with one function: the hashes are even already, so their first bits are a place
in a table of bits. What was added always passes. Of what was not, one in sixteen thousand passes
where a thousand were added, and one in fourteen where twenty million were: whoever reads on
compares whole hashes.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

HASH: Final = pa.binary(16)

_WORD_BITS: Final = 32
_FEWEST_BITS, _MOST_BITS = 24, 28
"""Of a place in the table: 2 MB to 32 MB."""


class HashFilter:
    """A set of hashes, in a table of bits that has some others too."""

    def __init__(self, count: int) -> None:
        """Make an empty filter.

        Args:
            count: about how many hashes will be added.
        """
        bits = min(max((16 * count).bit_length(), _FEWEST_BITS), _MOST_BITS)
        self._shift = np.uint32(_WORD_BITS - bits)
        self._table = np.zeros(1 << (bits - 3), np.uint8)

    def add(self, hashes: pa.Array) -> None:
        """Add hashes.

        Args:
            hashes: of 16 bytes each, none of them NULL.
        """
        byte, bit = self._places(hashes)
        np.bitwise_or.at(self._table, byte, bit)

    def passes(self, hashes: pa.Array) -> npt.NDArray[np.bool_]:
        """Tell for each hash whether it may have been added; False is certain.

        Args:
            hashes: of 16 bytes each, none of them NULL.
        """
        byte, bit = self._places(hashes)
        found: npt.NDArray[np.bool_] = (self._table[byte] & bit) != 0
        return found

    def passing(self, batches: Iterable[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
        """Give the rows whose hashes pass; every batch is read.

        Args:
            batches: read once.
            column: has the hashes.
        """
        for batch in batches:
            passes = self.passes(batch[column])
            if passes.any():
                yield batch.filter(_mask(passes))

    def _places(self, hashes: pa.Array) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
        fixed = hashes if hashes.type == HASH else hashes.cast(HASH)
        end = fixed.offset + len(fixed)
        words = np.zeros((0, 4), np.uint32)
        if len(fixed):
            words = np.frombuffer(fixed.buffers()[1], np.uint32, end * 4).reshape(-1, 4)
        places = words[fixed.offset :, 0] >> self._shift
        return places >> np.uint32(3), np.uint8(1) << (places & np.uint32(7)).astype(np.uint8)


def _mask(passes: npt.NDArray[np.bool_]) -> pa.Array:
    """The same for Arrow, whose own conversion would import pandas, which takes a second."""
    bits = pa.py_buffer(np.packbits(passes, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(passes), [None, bits])
