"""An index of growing logs, against a dict of all that was appended."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.journal.segment_index import Entry, SegmentIndex, key_of
from gristmill.serve.journal.segments import SegmentedLog

ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 1), st.integers(0, 9)),
    st.tuples(st.just("begin"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("look"), st.just(0), st.just(0)),
)


def entries(_, payload):
    if payload != b"head":
        key, when = map(int, payload.split())
        yield Entry(key_of("k", key), when, when * 7)


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_the_newest_entry_of_a_key_is_found(tmp_path_factory, actions):
    folder = tmp_path_factory.mktemp("logs")
    index, expected = SegmentIndex(folder, entries), {}
    with SegmentedLog(folder / "one") as one, SegmentedLog(folder / "two") as two:
        for log in (one, two):
            list(log.read())
            log.begin(b"head")
        for when, (action, writer, key) in enumerate(actions):
            log = (one, two)[writer]
            if action == "append":
                log.append(b"%d %d" % (key, when))
                expected[key] = (float(when), when * 7)
            elif action == "begin":
                log.begin(b"head")
            else:
                index.refresh()
        index.refresh()
        assert {key: index.get(key_of("k", key)) for key in range(10)} == {
            key: expected.get(key) for key in range(10)
        }


def test_what_was_dropped_is_forgotten_and_damage_is_counted(tmp_path):
    index = SegmentIndex(tmp_path, entries)
    with SegmentedLog(tmp_path / "one", max_bytes=80, segment_bytes=40) as log:
        list(log.read())
        log.begin(b"head")
        log.append(b"1 1")
        index.refresh()
        assert index.get(key_of("k", 1)) == (1.0, 7)
        for number in range(2, 5):
            log.begin(b"head")
            log.append(b"%d 1" % number)
    index.refresh()
    assert [index.get(key_of("k", key)) is None for key in range(1, 5)] == [
        True,
        True,
        False,
        False,
    ]
    assert index.damaged == 0
    older, newest = sorted((tmp_path / "one").glob("*.log"))
    older.write_bytes(older.read_bytes()[:-1])
    newest.write_bytes(newest.read_bytes()[:-1])
    again = SegmentIndex(tmp_path, entries)
    again.refresh()
    # The end of the newest may be on its way.
    assert again.damaged == 1
