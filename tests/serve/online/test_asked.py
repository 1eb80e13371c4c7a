import asyncio

import numpy as np

from gristmill.serve.online.asked import Asked, asked


def test_it_knows_its_work(rows):
    request = Asked(rows(1, 2, 3), np.array([1.0, 2.0, 4.0]), 9.0, 2)
    assert (request.count, request.work) == (3, 7.0)
    assert (request.deadline, request.priority) == (9.0, 2)
    assert Asked(rows(1), np.array([5.0]), 9.0).work == 5.0


def test_parts_are_delivered_in_their_order(rows):
    async def run():
        request = Asked(rows(1, 2, 3), np.ones(3), 9.0)
        request.future = asyncio.get_running_loop().create_future()
        first, second = request.split(2, 9.0)
        assert asked(second) is asked(request) is request
        assert not request.deliver(second, rows(30))
        assert request.deliver(first, rows(10, 20))
        assert not request.deliver(first, rows(10, 20))
        return (await request.future)["x"].tolist()

    assert asyncio.run(run()) == [10, 20, 30]
