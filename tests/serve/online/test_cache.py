import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.online.cache import AnswerCache
from gristmill.serve.runners.rows import Rows

ENTRY = 1 + 8 + 400  # key, answer, overhead


def answer(number):
    return Rows({"y": np.array([number], np.int64)})


def found(cache, keys):
    return [key for key in keys if key.encode() in cache]


def test_it_gives_back_what_it_was_given():
    cache = AnswerCache(10_000)
    assert cache.get(b"a") is None
    cache.put(b"a", answer(1))
    assert cache.get(b"a")["y"].tolist() == [1]
    assert (cache.hits, cache.misses, len(cache), cache.nbytes) == (1, 1, 1, ENTRY)
    cache.clear()
    assert (len(cache), cache.nbytes, cache.get(b"a")) == (0, 0, None)


def test_what_was_asked_for_again_stays():
    cache = AnswerCache(3 * ENTRY)
    for key in "abc":
        cache.put(key.encode(), answer(0))
    cache.get(b"a")
    cache.put(b"d", answer(0))
    assert found(cache, "abcd") == ["a", "c", "d"]
    cache.put(b"e", answer(0))
    assert found(cache, "abcde") == ["a", "d", "e"]


def test_a_newer_answer_takes_the_place_of_the_older():
    cache = AnswerCache(3 * ENTRY)
    cache.put(b"a", answer(1))
    cache.put(b"a", answer(2))
    assert (len(cache), cache.get(b"a")["y"].tolist()) == (1, [2])


def test_what_is_larger_than_the_cache_is_not_kept():
    cache = AnswerCache(100)
    cache.put(b"a", answer(1))
    assert (len(cache), cache.nbytes) == (0, 0)


def test_a_negative_size_is_refused():
    with pytest.raises(UsageError, match=r"^expected a cache of 0 bytes or more, found -1$"):
        AnswerCache(-1)


class SlowSieve:
    """SIEVE as its paper writes it, over a list from the newest to the oldest."""

    def __init__(self, size):
        self.size, self.order, self.visited, self.hand = size, [], set(), None

    def get(self, key):
        if key in self.order:
            self.visited.add(key)
            return True
        return False

    def put(self, key):
        if len(self.order) == self.size:
            at = self.order.index(self.hand) if self.hand else len(self.order) - 1
            while self.order[at] in self.visited:
                self.visited.discard(self.order[at])
                at = at - 1 if at else len(self.order) - 1
            self.hand = self.order[at - 1] if at else None
            del self.order[at]
        self.order.insert(0, key)


@given(st.lists(st.sampled_from("abcdefghi"), max_size=80), st.integers(1, 5))
def test_it_keeps_what_sieve_keeps(asked, size):
    cache, slow = AnswerCache(size * ENTRY), SlowSieve(size)
    for key in asked:
        hit = cache.get(key.encode())
        assert (hit is not None) == slow.get(key)
        if hit is None:
            cache.put(key.encode(), answer(ord(key)))
            slow.put(key)
        else:
            assert hit["y"].tolist() == [ord(key)]
        assert sorted(found(cache, "abcdefghi")) == sorted(slow.order)
        assert cache.nbytes == len(cache) * ENTRY <= cache.capacity
