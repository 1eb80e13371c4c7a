"""Streams of a real bundle: the answers of its runner, and of a real server with `--streams`."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.cli.server_process import bundle_streaming, handed_in
from gristmill.core.errors import ServeError, UsageError
from gristmill.core.progress import LineReporter, reporting
from gristmill.incremental.planning.allowance import Allowance
from gristmill.incremental.planning.prospect import Prospect
from gristmill.pipeline.served_streams import ServedStreams, streams_of
from gristmill.serve.protocol import Limits
from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server import lifecycle
from gristmill.serve.server.opening import open_beside, open_model
from gristmill.serve.server.settings import Settings
from gristmill.serve.streams.streaming import streaming_of, streamings
from gristmill.serve.streams.tolerance import Tolerance
from gristmill.store.bundle import Bundle, Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module

HEIGHT, WIDTH = 32, 48
MEMORY = 10_000_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
        ),
        0,
    )  # fmt: skip
    field = Field("picture", "image", shape=[HEIGHT, WIDTH, 3])
    folder = tmp_path_factory.mktemp("bundles") / "cameras"
    rows = torch.zeros((2, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    bundle_module(net, folder, inputs=[field], example={"picture": rows}, classes=["x", "y", "z"])
    return Bundle.open(folder)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """The folder of a bundle of a model of four numbers."""
    field = Field("x", "tensor", dtype="float32", shape=[4])
    folder = tmp_path_factory.mktemp("bundles") / "numbers"
    example = {"x": torch.zeros((2, 4))}
    bundle_module(seeded(lambda: nn.Linear(4, 2), 0), folder, inputs=[field], example=example)
    return folder


@pytest.fixture(scope="module")
def streams(bundle):
    return streams_of(bundle, MEMORY)


def pictures(count):
    ground = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for number in range(count):
        picture = ground.copy()
        picture[4:12, 3 * number : 3 * number + 8] = 255 - 9 * number
        yield picture


def test_measuring_is_told_before_it_takes_time(bundle, numbers, capsys):
    with reporting(LineReporter()):
        assert streams_of(Bundle.open(numbers), MEMORY) is None
        assert capsys.readouterr().err == ""
        streams_of(bundle, MEMORY)
    expected = f"{bundle.name}: measuring its network for streams, takes some seconds\n"
    assert capsys.readouterr().err == expected


def test_answers_are_those_of_the_runner(bundle, streams):
    runner = open_runner(bundle)
    for number, picture in enumerate(pictures(6)):
        found = streams.answer("door", picture)
        expected = runner(Rows({"picture": picture[None]}))
        assert found.rows["label"] == expected["label"]
        np.testing.assert_allclose(found.rows["probs"], expected["probs"], atol=1e-6)
        assert found.whole == (number == 0) or found.share > 0
    assert streams.fingerprint == bundle.fingerprint
    assert (streams.kept.streams, streams.size) == (1, (HEIGHT, WIDTH))
    assert 0 < streams.kept.bytes_ <= MEMORY
    assert streams.close_idle() == 0
    assert streams.forget("door")
    assert not streams.forget("door")
    streams.answer("gate", picture)
    streams.clear()
    assert streams.kept[:2] == (0, 0)


def test_a_tolerance_is_the_streams_and_another_one_begins_it_anew(bundle, monkeypatch):
    # A network this small is often computed whole, and then there is nothing to audit.
    monkeypatch.setattr(Prospect, "worth_planning", lambda *_: True)
    monkeypatch.setattr(Allowance, "plans", True)
    streams = streams_of(bundle, MEMORY)
    first, second, third = pictures(3)
    dim = np.where(first < 255, first + 1, first)  # no tile differs by more than the noise
    bounded = Tolerance(error=0.1)
    assert streams.answer("door", first, bounded).whole
    assert streams.answer("door", dim, bounded).share == 0
    answers = [streams.answer("door", picture, bounded) for picture in (second, third) * 10]
    errors = [answer.error for answer in answers if answer.error is not None]
    assert errors
    assert max(errors) <= 0.1
    assert streams.answer("door", second).whole
    assert streams.answer("door", third).error is None
    assert streams.answer("door", first, Tolerance(noise="none")).whole
    assert streams.answer("door", dim, Tolerance(noise="none")).share == 1
    assert streams.answer("door", first, Tolerance(noise=254)).whole
    assert streams.answer("door", third, Tolerance(noise=254)).share == 0
    assert streams.kept.streams == 1


def test_streams_that_take_more_than_there_is(bundle, streams):
    small = ServedStreams(streams._bundled, 1000)
    with pytest.raises(UsageError, match="a stream of 48x32 pixels takes"):
        small.answer("door", next(pictures(1)))


def test_a_bundle_of_something_else_has_no_streams(numbers):
    assert bundle_streaming(Bundle.open(numbers), MEMORY) is None


def test_who_answers_streams_is_handed_in(bundle, streams):
    assert streaming_of(bundle, MEMORY) is None
    with streamings(lambda *_: streams):
        assert streaming_of(bundle, 0) is None
        assert streaming_of(bundle, MEMORY) is streams
        opened = open_model("", bundle, Settings(streams=MEMORY, watch=False))
        assert opened.endpoint.streaming is streams
        assert open_model("", bundle, Settings()).endpoint.streaming is None
    assert streaming_of(bundle, MEMORY) is None


def test_a_swap_brings_its_own_streams_and_what_was_kept_is_dropped_at_the_end(bundle, streams):
    async def run():
        with streamings(lambda *_: streams):
            settings = Settings(streams=MEMORY, watch=False, limits=Limits(max_batch=2))
            first = open_model("cameras", bundle, Settings(watch=False)).endpoint
            route = Swappable("cameras", first, "v1")
            assert route.streaming is None
            await route.swap(await open_beside("cameras", bundle, settings), "v2")
        assert route.streaming is streams
        streams.answer("door", next(pictures(1)))
        await route.close()
        assert streams.kept.streams == 0

    asyncio.run(run())


def test_a_server_that_is_to_take_streams_and_has_no_model_for_them(numbers):
    with handed_in(), pytest.raises(UsageError, match="expected a model of images"):
        lifecycle.serve(numbers, Settings(streams=MEMORY))


def test_a_network_that_cannot_be_captured_is_told_before_anything_listens(bundle, monkeypatch):
    def fails(*_):
        raise UsageError("this bundle's network can't be captured")

    monkeypatch.setattr(lifecycle, "listen", lambda *_: pytest.fail("it listened"))
    with streamings(fails), pytest.raises((UsageError, ServeError), match="can't be captured"):
        lifecycle.serve(bundle.folder, Settings(streams=MEMORY))
