"""What the steps call: one of each kind of code that an edit may touch."""

from collections.abc import Callable
from functools import partial

import deeper

SCALE = 2


def clean(value: int) -> int:
    return value + 1


class Base:
    def offset(self) -> int:
        return 5


class Model(Base):
    power = 3

    def predict(self, value: int) -> int:
        return value * self.power + self.offset()


def shifted(value: int, by: int = 0) -> int:
    return value + by


def power(exponent: int, value: int) -> int:
    return value**exponent


def adder(amount: int) -> Callable[[int], int]:
    def add(value: int) -> int:
        return value + amount

    return add


def late(value: int) -> int:
    from late import bonus

    return value + bonus()


@deeper.raised
def plain(value: int) -> int:
    return value


TABLE = {"seven": lambda value: value + 7}
ADD = adder(3)
RAISE = partial(power, 2)


def fit(values: list[int]) -> list[int]:
    model = Model()
    steps = [clean, model.predict, shifted, deeper.lower, TABLE["seven"], plain, ADD, RAISE, late]
    return [SCALE * deeper.chain(steps, value) for value in values]
