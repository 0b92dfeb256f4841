"""Create Event and Bulk Create Events: events taken with an empty 202, or none of them."""

from aiohttp import web

from backfill.sandbox.json_api import endpoint, write
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.problems import Problem, Turned, pointer
from backfill.sandbox.json_api.write import Asked, Posted
from backfill.sandbox.store.store import Store


class Posting:
    def __init__(self, store: Store, behaviour: Behaviour) -> None:
        self._store = store
        self._repeats = behaviour.repeats

    async def create_event(self, request: web.Request, asked: Asked) -> web.Response:
        """A repeat is dropped, and answered as the first was. Source: OAS, ``unique_id``."""
        taken = write.create_event(await endpoint.body(request), asked)
        self._record(taken, asked)
        headers = {"X-Klaviyo-Partial-Failure": "phone_number"} if taken.dropped_phone else None
        return web.Response(status=202, headers=headers)

    async def bulk(self, request: web.Request, asked: Asked) -> web.Response:
        """Source: OAS and EV, which differ on repeats (klaviyo/facts.md 2.5): it can be set."""
        taken = write.bulk(await endpoint.body(request), asked)
        if self._repeats == "refuse":
            self._refuse_repeats(taken, asked)
        self._record(taken, asked)
        return web.Response(status=202)

    def _record(self, taken: Posted, asked: Asked) -> None:
        for event in taken.events:
            self._store.record(event, now_s=asked.now_s)

    def _refuse_repeats(self, taken: Posted, asked: Asked) -> None:
        repeats = self._store.repeats(taken.events, now_s=asked.now_s)
        if repeats:
            raise Turned([_repeat(taken, place) for place in repeats])


def _repeat(taken: Posted, place: int) -> Problem:
    detail = "unique_id is repeated for the same profile and metric."
    at = pointer(((taken.places[place], "attributes"), "unique_id"))
    return Problem("repeat", detail, at, code="duplicate")
