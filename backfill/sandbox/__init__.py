"""A local Klaviyo to send to, with faults on demand: the Track API and the JSON:API.

It judges what arrives by Klaviyo's documents, and shares no code with the rest of ``backfill`` but
the numbers in ``limits``: otherwise both could be wrong in the same way.
"""

from backfill.sandbox.faults.script import Faults, FaultsError
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.sandbox import Sandbox
from backfill.sandbox.store.store import StoreError

__all__ = ["Behaviour", "Faults", "FaultsError", "Sandbox", "StoreError"]
