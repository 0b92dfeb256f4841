"""dlt's custom destination: python -m benchmarks.peers.dlt_destination EXPORT URL FORMAT WORKERS

``parquet`` reads the CSV with pyarrow and hands on arrow tables, which dlt passes through as they
are; ``typed-jsonl`` reads dicts with the csv module, which dlt normalizes row by row, in processes.
dlt loads files in parallel threads, so files are small where there are several of these.
"""

import csv
import os
import tempfile
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Literal, cast

FILE_ROWS: Final = 10_000
SETTINGS: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__WORKERS": "2",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": str(FILE_ROWS),
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": str(FILE_ROWS),
}
os.environ.update(SETTINGS)  # dlt reads them when it is imported, and from then on

import dlt  # noqa: E402
import orjson  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.csv  # noqa: E402
import requests  # noqa: E402

from benchmarks.peers.entry import BATCH_EVENTS, KEY, job, tell  # noqa: E402

FileFormat = Literal["parquet", "typed-jsonl"]

HEADERS: Final = {
    "Authorization": f"Klaviyo-API-Key {KEY}",
    "revision": "2026-10-15",
    "Content-Type": "application/vnd.api+json",
}


def send(export: str, url: str, file_format: str, workers: str) -> None:
    os.environ["LOAD__WORKERS"] = workers
    with tempfile.TemporaryDirectory(prefix="benchmark-dlt-") as folder:
        os.environ["DLT_DATA_DIR"] = folder
        pipeline = dlt.pipeline(
            "benchmark",
            destination=_destination(url, cast("FileFormat", file_format), int(workers)),
            pipelines_dir=folder,
        )
        read = _tables if file_format == "parquet" else _dicts
        info = pipeline.run(read(export), table_name="orders")
        info.raise_on_failed_jobs()


def _destination(url: str, file_format: FileFormat, workers: int) -> Any:
    of_thread = threading.local()

    @dlt.destination(
        batch_size=BATCH_EVENTS,
        loader_file_format=file_format,
        name="klaviyo",
        max_parallel_load_jobs=workers,
        loader_parallelism_strategy="parallel" if workers > 1 else "sequential",
    )
    def klaviyo(items: Any, _table: Any) -> None:
        if not hasattr(of_thread, "session"):
            of_thread.session = requests.Session()
            of_thread.session.trust_env = False
        rows = items.to_pylist() if isinstance(items, pa.RecordBatch) else items
        answer = of_thread.session.post(
            f"{url}/api/event-bulk-create-jobs", data=orjson.dumps(job(rows)), headers=HEADERS
        )
        answer.raise_for_status()

    return klaviyo


def _tables(export: str) -> Iterator[pa.Table]:
    """Tables of a file's rows; times stay the texts that they are."""
    texts = pyarrow.csv.ConvertOptions(
        column_types={"order_id": pa.string(), "ordered_at": pa.string(), "total": pa.string()}
    )
    table = pyarrow.csv.read_csv(export, convert_options=texts)
    for start in range(0, len(table), FILE_ROWS):
        yield table.slice(start, FILE_ROWS)


def _dicts(export: str) -> Iterator[list[dict[str, str]]]:
    with open(export, newline="", encoding="utf-8") as file:  # noqa: PTH123
        rows = csv.DictReader(file)
        while page := list(islice(rows, FILE_ROWS)):
            yield page


if __name__ == "__main__":
    tell(send)
