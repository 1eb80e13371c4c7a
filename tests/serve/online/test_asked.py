import numpy as np

from gristmill.serve.online.asked import Asked, asked


def test_its_work_is_that_of_its_rows(rows):
    request = Asked(rows(1, 2, 3), np.array([1.0, 2.0, 4.0]), 9.0, 2)
    assert (request.count, request.work, request.deadline, request.priority) == (3, 7.0, 9.0, 2)
    assert Asked(rows(1), np.array([5.0]), 9.0).work == 5.0


def test_parts_are_delivered_in_their_order(rows):
    told = []
    request = Asked(rows(1, 2, 3), np.ones(3), 9.0)
    request.told = told.append
    first, second = request.split(2, 9.0)
    assert asked(second) is request
    assert asked(request) is request
    assert not request.deliver(second, rows(9))
    assert (request.done, told) == (False, [])
    assert request.deliver(first, rows(1, 4))
    assert told[0]["x"].tolist() == [1, 4, 9]
    assert not request.deliver(first, rows(1, 4))
    assert (request.done, len(told)) == (True, 1)


def test_it_hears_once_that_there_are_no_answers(rows):
    told, error = [], ValueError("broken")
    request = Asked(rows(1), np.ones(1), 9.0)
    request.told = told.append
    request.fail(error)
    assert not request.deliver(request, rows(1))
    assert told == [error]
