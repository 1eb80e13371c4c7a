from gristmill.train.workers.value_handle import Handle, elements, overlaps, span


def handle(shape, strides, compact):
    return Handle(0, 0, 0, shape, strides, "float32", compact, False)


def test_elements_and_span():
    assert (elements(()), span((), ())) == (1, 1)
    assert (elements((2, 3)), span((2, 3), (3, 1))) == (6, 6)
    assert (elements((2, 3)), span((2, 3), (10, 1))) == (6, 13)
    assert (elements((4, 2)), span((4, 2), (0, 1))) == (8, 2)
    assert (elements((0, 3)), span((0, 3), (3, 1))) == (0, 0)


def test_a_compact_value_stores_no_gaps():
    assert handle((2, 3), (10, 1), compact=False).stored == 13
    assert handle((2, 3), (10, 1), compact=True).stored == 6


def test_tensors_that_are_expanded_or_unfolded_overlap():
    assert not overlaps((2, 3), (3, 1))
    assert not overlaps((3, 2), (1, 3))
    assert not overlaps((2, 1, 3), (3, 0, 1))
    assert overlaps((2, 3), (0, 1))
    assert overlaps((5, 3), (1, 1))
    assert not overlaps((), ())
