from gristmill.train.workers.value_handle import overlaps, span


def test_span():
    assert span((), ()) == 1
    assert span((2, 3), (3, 1)) == 6
    assert span((2, 3), (10, 1)) == 13
    assert span((4, 2), (0, 1)) == 2
    assert span((0, 3), (3, 1)) == 0


def test_tensors_that_are_expanded_or_unfolded_overlap():
    assert not overlaps((2, 3), (3, 1))
    assert not overlaps((3, 2), (1, 3))
    assert not overlaps((2, 1, 3), (3, 0, 1))
    assert overlaps((2, 3), (0, 1))
    assert overlaps((5, 3), (1, 1))
    assert not overlaps((), ())
