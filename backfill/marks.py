"""What stands in front of the columns of rejects.csv, a file that is an export itself."""

from typing import Final

MARKS: Final = ("_reason", "_column", "_file", "_row")
