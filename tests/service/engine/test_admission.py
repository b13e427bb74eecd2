"""Who is let into the service, and who is told to come again."""

import asyncio

import numpy as np
import pytest

from contract.errors import QueueFull
from service.engine.admission import Limits, Lines, Passage
from service.engine.batching import RowPool
from tests.service.engine.test_batching import Doubling, rows


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock):
    """lines(requests=..., rows=..., size=...) -> Lines of a pool of one thread."""
    pool = RowPool(1)

    def made(requests=100, rows=10_000, size=10**6):
        return Lines(pool, Limits(requests, rows, size), clock)

    yield made
    pool.close()


def entered(lines, model="a", count=1):
    passage = lines.passage()
    passage.enter(model, count)
    return passage


def refused(lines, model="a", count=1):
    """Seconds after which to come again."""
    with pytest.raises(QueueFull) as caught:
        lines.passage().enter(model, count)
    return caught.value.retry_after_s


def test_rows_are_counted_not_requests(lines):
    full = lines(rows=1000)
    many = [entered(full, count=500) for _ in range(2)]
    assert full.rows() == {"a": 1000}
    refused(full)
    many[0].leave()
    for _ in range(90):
        entered(full, count=1)
    assert full.rows() == {"a": 590}


def test_a_request_of_any_size_is_taken_where_nothing_is_ahead(lines):
    full = lines(requests=1, rows=10, size=100)
    large = entered(full, count=5000)
    large.hold(10**9)
    refused(full)
    large.leave()
    entered(full, count=5000)


def test_rows_that_have_begun_are_not_ahead_any_more(lines):
    full = lines(rows=100)
    first = entered(full, count=150)
    refused(full)
    first.begun = 60
    assert full.rows() == {"a": 90}
    entered(full)


def test_requests_are_bounded_whatever_their_rows(lines):
    full = lines(requests=3)
    first, *_ = (entered(full) for _ in range(3))
    refused(full)
    assert full.requests() == {"a": 3}
    first.leave()
    entered(full)
    refused(full)


def test_a_crowded_model_leaves_the_others_their_share(lines):
    full = lines(requests=8)
    crowd = [entered(full, "a") for _ in range(8)]
    others = [entered(full, "b") for _ in range(4)]
    refused(full, "b")
    for passage in crowd[:4]:
        refused(full, "a")
        passage.leave()
    refused(full, "a")  # four each
    refused(full, "b")
    others[0].leave()
    entered(full, "a")  # what nobody else takes is free
    entered(full, "b")


def test_who_moves_to_another_line_is_counted_there_alone(lines):
    full = lines(requests=2)
    passage = entered(full, "")
    passage.enter("a", 5)
    assert full.requests() == {"": 0, "a": 1}
    assert full.rows() == {"": 0, "a": 5}
    entered(full, "a")
    passage.enter("a", 7)
    assert full.rows() == {"": 0, "a": 8}
    passage.leave()
    passage.leave()
    assert full.requests() == {"": 0, "a": 1}


def test_who_cannot_move_is_in_no_line_any_more(lines):
    full = lines(requests=2)
    entered(full, "a")
    entered(full, "a")
    passage = entered(full, "")
    with pytest.raises(QueueFull):
        passage.enter("a", 1)
    assert full.requests() == {"": 0, "a": 2}
    passage.leave()
    assert full.requests() == {"": 0, "a": 2}


def test_when_to_come_again_is_computed_from_the_rows_and_the_rate_of_late(lines, clock):
    full = lines(rows=600)
    first = entered(full, count=1000)
    assert refused(full) == 1  # nothing is known yet
    clock.now, first.begun = 2.0, 100  # 50 a second
    assert refused(full) == 18
    clock.now, first.begun = 4.0, 400  # 100 a second
    assert refused(full) == 6
    first.leave()
    clock.now = 1000.0  # when there is nothing to do, nothing is measured
    entered(full, count=2000)
    assert refused(full) == 20
    assert full.passage().waiting == 0


def test_the_rate_is_that_of_late(lines, clock):
    full = lines(rows=1)
    for _ in range(3):
        passage = entered(full, count=1000)
        clock.now += 100
        passage.begun = 1000  # 10 a second
        passage.leave()
    for _ in range(20):
        passage = entered(full, count=1000)
        clock.now += 10
        passage.begun = 1000  # 100 a second
        passage.leave()
    entered(full, count=1000)
    assert 10 <= refused(full) <= 12


def test_bytes_are_bounded_and_shared(lines):
    full = lines(size=100)
    large, small = full.passage(), full.passage()
    large.hold(90)
    small.hold(30)  # less than its half
    small.hold(20)
    assert full.size() == 140
    with pytest.raises(QueueFull, match="bodies of 140 bytes"):
        small.hold(1)
    with pytest.raises(QueueFull):
        large.hold(1)
    large.leave()
    small.hold(50)
    assert full.size() == 100
    small.leave()
    assert full.size() == 0


def test_the_message_says_who_is_ahead_and_when_to_come_again(lines):
    full = lines(requests=1)
    entered(full, "a")
    with pytest.raises(QueueFull, match=r"^a: 1 requests are ahead; expected again in 1 s$"):
        entered(full, "a")


def test_rows_are_ahead_until_they_are_computed(lines):
    full, seen = lines(), []

    class Watching(Doubling):
        def run(self, inputs, names=None):
            seen.append(full.rows()["a"])
            return super().run(inputs, names)

    async def one():
        passage = entered(full, count=10)
        answer = await passage.run(Watching(), rows(20))
        left = full.rows()["a"]
        passage.leave()
        return answer["doubled"], left

    answer, left = asyncio.run(one())
    np.testing.assert_array_equal(answer, 2.0 * np.arange(20))
    assert seen == [12, 4, 0]
    assert left == 0


def test_without_lines_nothing_is_bounded():
    pool = RowPool(1)
    passage = Passage(pool)
    passage.enter("a", 10**6)
    passage.hold(10**12)
    passage.within(1)
    assert asyncio.run(passage.run(Doubling(), rows(3)))["doubled"].tolist() == [0, 2, 4]
    passage.leave()
    pool.close()


def test_how_many_were_turned_away_is_told_once_a_second(lines, clock, caplog):
    full = lines(requests=1)
    entered(full)
    for _ in range(20):
        refused(full)
        clock.now += 0.25
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 5
    assert told[0] == "requests turned away since this was told last: 1; a: 1 requests are ahead"
    assert told[1].startswith("requests turned away since this was told last: 4;")
