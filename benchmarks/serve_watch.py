"""What it costs to watch for drift, and to keep predictions; and how often the watch cries.

Invented messages of known form. A request is one row through an endpoint that answers at once: with
the watch around it, or with its predictions kept, less without; processor time of all threads, and
so with what is written. A truth is told of a prediction by its name, a thousand at a time and one
at a time. False alarms: comparisons of fresh messages of the same form with the profile of the
training messages, of 250 to 4,000 rows; each has three chances to be wrong.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from claims import Claim, claim, main
from gristmill.pipeline import training_profile
from gristmill.pipeline.served_statistics import FILES, PROFILE, SCHEMA, ServedStatistics
from gristmill.serve.online.endpoint import Answered, Call, Told
from gristmill.serve.routing.kept import Kept
from gristmill.serve.routing.watched import Watched
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.truth_log import Telling, TruthLog
from gristmill.validate import Schema, Statistics

WORDS = np.array(["win", "prize", "call", "now", "see", "you", "home", "later", "OK", "5", "pm"])
ROWS = 5000


class Instant:
    """An endpoint that answers at once, always the same."""

    name = "instant"
    inputs = outputs = classes = ()

    def __init__(self) -> None:
        probs = np.array([[0.9, 0.1]])
        columns = {"label": ["ham"], "prob": np.array([0.9]), "probs": probs}
        self.answered = Answered(rows=Rows(columns), model="m")

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None]:
        """Answer before this returns."""
        told(self.answered)
        return _nothing

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer."""
        return self.answered

    async def close(self) -> None:
        """There is nothing to close."""


def measure(quick: bool) -> Iterator[Claim]:
    """Yield the claims."""
    files = training_profile(
        pl.DataFrame(messages(ROWS, 0)).rename({"prediction.label": "label"}),
        ["text"],
        answers={name: messages(1000, 1)[f"prediction.{name}"] for name in ("label", "prob")},
    )
    size = sum(map(len, files.values())) / 1000
    how = f"schema and statistics of {ROWS:,} messages"
    yield claim("profile in a bundle", size, "kB", how, goal="< 50")
    statistician = statistician_of(files)
    requests = 20_000 if quick else 100_000
    yield cost_of_a_request(statistician, requests)
    for share, goal in ((1.0, "< 10"), (0.1, "< 2")):
        yield cost_of_keeping(share, requests // 2, goal)
    yield from cost_of_a_truth(5_000 if quick else 50_000)
    yield cost_of_a_sample(statistician)
    yield false_alarms(statistician, 20 if quick else 300)


def cost_of_a_request(statistician: ServedStatistics, requests: int) -> Claim:
    """Compare an endpoint with the same one watched, in turns."""
    inner = Instant()
    route = Watched(inner, DriftWatch("m", ServedProfile(statistician)))
    route._begun = True  # no event loop here, so nothing that profiles in it
    rows = [Rows({"text": [text]}) for text in messages(1000, 2)["text"]]
    call = Call(request_id="r", deadline=1e9)
    bare, watched = [], []
    for _ in range(9):
        for endpoint, found in ((inner, bare), (route, watched)):
            began = time.process_time()
            for number in range(requests):
                endpoint.ask(rows[number % 1000], call, _nothing)
            found.append((time.process_time() - began) / requests)
        route.watch.rows.take()
    micros = (statistics.median(watched) - statistics.median(bare)) * 1e6
    how = f"processor time for one row, median of 9 runs of {requests:,}, each one sample"
    return claim("watching a request", micros, "us", how, goal="< 2")


def cost_of_keeping(share: float, requests: int, goal: str) -> Claim:
    """Compare an endpoint with the same one whose predictions are kept, in turns."""
    rows = [Rows({"text": [text]}) for text in messages(1000, 2)["text"]]
    call = Call(request_id="0123456789abcdef", deadline=1e9)
    bare, kept = [], []
    with tempfile.TemporaryDirectory() as folder:
        inner, keeping = Instant(), Keeping(rate=share, max_bytes=32 << 20)
        log = PredictionLog(Path(folder), classes=("ham", "spam"), keeping=keeping)
        route = Kept(inner, log, TruthLog(Path(folder)))
        for _ in range(9):
            for endpoint, found in ((inner, bare), (route, kept)):
                began = time.process_time()
                for number in range(requests):
                    endpoint.ask(rows[number % 1000], call, _nothing)
                    if number % 10_000 == 0:  # asked faster than any server is
                        log.flush()
                found.append((time.process_time() - began) / requests)
        dropped = log.counts["dropped"]
        log.close()
    micros = (statistics.median(kept) - statistics.median(bare)) * 1e6
    how = f"processor time for one row, writing included, median of 9 runs of {requests:,}"
    how += f"; {log.counts['kept']:,} kept, {dropped:,} dropped"
    return claim(f"keeping {share:.0%} of the predictions", micros, "us", how, goal=goal)


def cost_of_a_truth(predictions: int) -> Iterator[Claim]:
    """Take the processor time of telling what was true, in one call and in many."""
    with tempfile.TemporaryDirectory() as folder, TruthLog(Path(folder)) as truths:
        names = []
        with PredictionLog(Path(folder), classes=("ham", "spam")) as log:
            for number in range(predictions):
                names.append(log.name("abcdef"))
                asked, answers = Rows({"text": ["win a prize"]}), Rows({"label": ["ham"]})
                log.note(names[-1], "abcdef", asked, answers, [f"order-{number}"])
                if number % 1000 == 0:
                    log.flush()
        began = time.process_time()
        truths.tell([Telling(f"{names[0]}-0", "ham")])
        first = (time.process_time() - began) * 1e3
        many, single = [], []
        for part in range(3):
            some = [Telling(f"{name}-0", "spam") for name in names[1000 * part + 1 :][:1000]]
            began = time.process_time()
            truths.tell(some)
            many.append((time.process_time() - began) / len(some) * 1e6)
        for name in names[4000:4200]:
            began = time.process_time()
            truths.tell([Telling(f"{name}-0", "spam")])
            single.append((time.process_time() - began) * 1e6)
    how = f"processor time, {predictions:,} predictions kept"
    yield claim("first truth, with the index", first, "ms", how, goal="< 1000")
    yield claim("a truth among a thousand", statistics.median(many), "us", how, goal="< 50")
    yield claim("a truth alone", statistics.median(single), "us", how, goal="< 1000")


def cost_of_a_sample(statistician: ServedStatistics) -> Claim:
    """Take the processor time of profiling one full sample, and of a sixth of a comparison."""
    found = messages(512, 3)
    kept = statistician.profile(found)
    times = []
    for _ in range(15):
        began = time.process_time()
        part = statistician.profile(found)
        profiled = time.process_time()
        kept = statistician.add(kept, part)
        statistician.compare(kept)
        times.append(profiled - began + (time.process_time() - profiled) / 6)
    share = 100 * statistics.median(times) / 10
    how = "processor time in other threads: 512 rows every 10 s, compared each minute"
    return claim("profiling and comparing", share, "% of a core", how, goal="< 1")


def false_alarms(statistician: ServedStatistics, rounds: int) -> Claim:
    """Count comparisons of like with like that alarm."""
    wrong = 0
    for seed in range(rounds):
        rows = (250, 500, 1000, 4000)[seed % 4]
        found = statistician.compare(statistician.profile(messages(rows, 100 + seed)))
        wrong += bool(found.changes) or any(each.alarm for each in found.distances)
    how = f"{rounds} comparisons of 250 to 4,000 rows like those of training"
    return claim("false alarms", wrong, "alarms", how, goal="< 1")


def messages(rows: int, seed: int) -> dict[str, list[object]]:
    """Return invented messages, and a label and a probability for each."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS, count)) for count in draw.integers(1, 25, rows)]
    labels = draw.choice(["ham", "spam"], rows, p=[0.87, 0.13])
    probs = 0.5 + 0.5 * draw.beta(5, 1, rows)
    columns = {"text": texts, "prediction.label": labels, "prediction.prob": probs}
    return {name: list(values) for name, values in columns.items()}


def statistician_of(files: dict[str, bytes]) -> ServedStatistics:
    """Read a bundle's files as a server does."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            (Path(folder) / name).write_bytes(files[f"{PROFILE}/{name}"])
        baseline = Statistics.load(Path(folder))
    return ServedStatistics(Schema.parse(files[SCHEMA].decode()), baseline)


def _nothing(_: object = None) -> None:
    return


if __name__ == "__main__":
    raise SystemExit(main(measure))
