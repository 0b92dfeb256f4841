import asyncio

import pytest

from backfill.delivery.queue import Job, Queue


class Encoder:
    """Gives its batches one by one, then None."""

    def __init__(self, *batches):
        self.left = list(batches)

    async def next(self):
        return self.left.pop(0) if self.left else None


def test_what_goes_again_goes_before_what_is_new():
    async def play():
        queue = Queue(Encoder("first", "second"), "lane")
        first = await queue.next()
        queue.done([Job("again", "lane", after_repeat=True)])
        taken = [first, await queue.next(), await queue.next()]
        for _ in range(2):
            queue.done()
        return taken, await queue.next()

    assert asyncio.run(play()) == (
        [Job("first", "lane"), Job("again", "lane", after_repeat=True), Job("second", "lane")],
        None,
    )


@pytest.mark.parametrize("again", [[Job("again", "lane")], []])
def test_nobody_leaves_while_a_job_could_make_more(again):
    async def play():
        queue = Queue(Encoder("only"), "lane")
        await queue.next()
        idle = asyncio.create_task(queue.next())
        await asyncio.sleep(0)
        assert not idle.done()
        queue.done(again)
        return await idle

    assert asyncio.run(play()) == (again[0] if again else None)


def test_who_waits_leaves_when_the_run_halts():
    async def play():
        queue = Queue(Encoder("only"), "lane")
        await queue.next()
        idle = [asyncio.create_task(queue.next()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.stop()
        return await asyncio.gather(*idle)

    assert asyncio.run(play()) == [None] * 3
