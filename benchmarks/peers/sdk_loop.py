"""The official SDK's bulk call in a loop over pandas' chunks."""

import pandas as pd
from klaviyo_api import KlaviyoAPI

from benchmarks.peers.entry import BATCH_EVENTS, KEY, job, tell


def send(export: str, url: str) -> None:
    klaviyo = KlaviyoAPI(KEY, test_host=url)
    for chunk in pd.read_csv(export, dtype={"order_id": str}, chunksize=BATCH_EVENTS):
        klaviyo.Events.bulk_create_events(job(chunk.to_dict("records")))


if __name__ == "__main__":
    tell(send)
