"""A plan's events that stand, each with what it says where it is sent, and nothing else."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backfill.event import EVENTS, PROFILE_FIELDS
from backfill.planning.judge import Verdict
from backfill.planning.make import Plan

_BATCH: Final = 65_536
_BARE: Final = ("key", "person", "content", "size", "attributes_size")
"""What stands in a plan and in no payload; and the key, which pairs."""

_COLUMNS: Final = [name for name in EVENTS.names if name not in _BARE]
EVENT: Final = pa.schema(
    [
        *(EVENTS.field(name) for name in ("key", *_COLUMNS)),
        pa.field("part", pa.int32()),
        pa.field("n", pa.int64()),
        pa.field("carries", pa.bool_()),
    ]
)
_MASKED: Final = {
    "phone_number": "carries or email is null",
    "id": "carries or (email is null and phone_number is null)",
    **dict.fromkeys((*PROFILE_FIELDS, "profile"), "carries"),
}
"""What an event of a person says only where it carries the attributes, by the condition."""

AS_SENT: Final = "select * replace ({}) from given".format(
    ", ".join(f"case when {when} then {name} end as {name}" for name, when in _MASKED.items())
)
"""SQL over a relation ``given`` of ``EVENT``."""


def standing(plan: Plan) -> Iterator[pa.RecordBatch]:
    """The events that are neither repeats nor of rejected orders, with what they carry."""
    judged = zip(plan.parts, plan.judgement.verdicts, strict=True)
    for part, (path, verdicts) in enumerate(judged):
        start = 0
        for batch in pq.ParquetFile(path).iter_batches(_BATCH, columns=["key", *_COLUMNS]):
            here = verdicts[start : start + batch.num_rows]
            places = np.arange(start, start + batch.num_rows)
            start += batch.num_rows
            arrays = {
                **{name: batch[name] for name in ("key", *_COLUMNS)},
                "part": pa.repeat(part, batch.num_rows),
                "n": pa.array(places),
                "carries": pa.array(here == Verdict.CARRY),
            }
            table = pa.RecordBatch.from_pydict(arrays).cast(EVENT)
            yield table.filter(pa.array(here <= Verdict.CARRY))
