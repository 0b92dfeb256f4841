"""Create Event and Bulk Create Events: events taken with an empty 202, or none of them."""

from aiohttp import web

from backfill.sandbox import json_api, posted
from backfill.sandbox.behaviour import Behaviour
from backfill.sandbox.posted import Asked, Posted
from backfill.sandbox.problems import Problem, Turned, pointer
from backfill.sandbox.store import Store


class Posting:
    def __init__(self, store: Store, behaviour: Behaviour) -> None:
        self._store = store
        self._repeats = behaviour.repeats

    async def create_event(self, request: web.Request, asked: Asked) -> web.Response:
        """A repeat is dropped, and answered as the first was. Source: OAS, ``unique_id``."""
        taken = posted.create_event(await json_api.body(request), asked)
        self._record(taken, asked)
        headers = {"X-Klaviyo-Partial-Failure": "phone_number"} if taken.dropped_phone else None
        return web.Response(status=202, headers=headers)

    async def bulk(self, request: web.Request, asked: Asked) -> web.Response:
        """Source: OAS and EV, which differ on repeats (klaviyo/facts.md 2.5): it can be set."""
        taken = posted.bulk(await json_api.body(request), asked)
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
