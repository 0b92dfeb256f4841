"""A local Klaviyo to send to, with faults on demand: Track, and the API of today.

It judges what arrives by Klaviyo's documents and shares no code with the rest of ``backfill`` but
the numbers in ``limits``: else code and judge would be wrong together.
"""

from backfill.sandbox.faults.script import Faults, FaultsError
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.sandbox import Sandbox, serve
from backfill.sandbox.store.store import StoreError

__all__ = ["Behaviour", "Faults", "FaultsError", "Sandbox", "StoreError", "serve"]
