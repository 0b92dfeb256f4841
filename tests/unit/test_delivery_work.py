import asyncio

import pytest

from backfill.delivery.queue import Job, Work


class Feed:
    """Gives its batches one by one, then None."""

    def __init__(self, *batches):
        self.left = list(batches)

    async def next(self):
        return self.left.pop(0) if self.left else None


def test_what_goes_again_goes_before_what_is_new():
    async def play():
        work = Work(Feed("first", "second"), "lane")
        first = await work.next()
        work.done([Job("again", "lane", repeated=True)])
        taken = [first, await work.next(), await work.next()]
        for _ in range(2):
            work.done()
        return taken, await work.next()

    assert asyncio.run(play()) == (
        [Job("first", "lane"), Job("again", "lane", repeated=True), Job("second", "lane")],
        None,
    )


@pytest.mark.parametrize("again", [[Job("again", "lane")], []])
def test_nobody_leaves_while_a_job_could_make_more(again):
    async def play():
        work = Work(Feed("only"), "lane")
        await work.next()
        idle = asyncio.create_task(work.next())
        await asyncio.sleep(0)
        assert not idle.done()
        work.done(again)
        return await idle

    assert asyncio.run(play()) == (again[0] if again else None)


def test_who_waits_leaves_when_the_run_halts():
    async def play():
        work = Work(Feed("only"), "lane")
        await work.next()
        idle = [asyncio.create_task(work.next()) for _ in range(3)]
        await asyncio.sleep(0)
        work.halt()
        return await asyncio.gather(*idle)

    assert asyncio.run(play()) == [None] * 3
