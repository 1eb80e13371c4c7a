"""What every engine does, clusters included."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest
from tests.data.troubled_store import DENIED, EXPIRED, TroubledStore

from gristmill.core.errors import DataError, StepError


def test_a_failed_item_does_not_stop_the_others(any_engine, jobs):
    outcomes = list(any_engine.attempts(jobs.fail_on_three, range(6)))
    assert [outcome.value for outcome in outcomes] == [0, 1, 2, None, 4, 5]
    error = outcomes[3].error
    assert isinstance(error, StepError)
    assert str(error) == "fail_on_three, item 3: ValueError: three is too many"
    assert "fail_on_three" in outcomes[3].trace


@pytest.mark.s3
def test_a_store_that_fails_a_worker_says_so_for_its_item_alone(
    any_engine, jobs, s3_server, tmp_path
):
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    url = s3_server.put(f"mill/{tmp_path.name}/t.csv", tmp_path / "t.csv")
    well = s3_server.environment
    with ExitStack() as open_stores:
        items = [(url, well), (url.replace("t.csv", "u.csv"), well)]
        for trouble in (EXPIRED, DENIED):
            store = open_stores.enter_context(TroubledStore(s3_server.url, url))
            threading.Thread(target=store.serve_forever, daemon=True).start()
            open_stores.callback(store.shutdown)
            store.fall_ill(trouble)
            items.append((url, {**well, "AWS_ENDPOINT_URL": store.url}))
        outcomes = list(any_engine.attempts(jobs.rows_far_away, [*items, items[0]]))
    assert [outcome.value for outcome in outcomes] == [2, None, None, None, 2]
    errors = [outcome.error for outcome in outcomes[1:4]]
    assert all(isinstance(error, DataError) for error in errors)
    assert [error.message.partition(":")[0] for error in errors] == [
        "there is no such file or bucket",
        "the store refuses the request",
        "access is denied",
    ]
    assert [error.where for error in errors] == [where for where, _ in items[1:]]
