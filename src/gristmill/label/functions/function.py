"""Labelling functions: rules that vote for a class, or abstain."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast, overload

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.functions.preprocess import Preprocessor, importable_name

Kind: TypeAlias = Literal["row", "batch", "expression"]
OnError: TypeAlias = Literal["raise", "abstain"]

KINDS: tuple[Kind, ...] = ("row", "batch", "expression")
POLICIES: tuple[OnError, ...] = ("raise", "abstain")
_HELPERS = "gristmill.label.functions.expressions"


class LabelingFunction:
    """A rule with a name, made by `@labeling_function` or by `keywords`, `pattern` and the like.

    Attributes:
        name: unique among the functions applied together.
        kind: "row" (called with one `Row`), "batch" (called with a Polars frame, returns one vote
            per row) or "expression" (called once without a row, returns a Polars expression).
        on_error: what happens when it raises on a row: "raise" stops, "abstain" counts and goes on.
        resources: keyword arguments of every call.
        pre: preprocessors whose fields the row has.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., object],
        *,
        kind: Kind | None = None,
        on_error: OnError = "raise",
        resources: Mapping[str, object] | None = None,
        pre: Sequence[Preprocessor] = (),
        version: str | None = None,
    ) -> None:
        self.name = name
        self.function = function
        self.on_error = on_error
        self.resources = dict(resources or {})
        self.pre = tuple(pre)
        self.version = version
        self.kind: Kind = kind or _guess_kind(function, self.resources)
        _check(self)

    def __call__(self, *args: object) -> Any:
        """Call the function itself, with its resources."""
        return self.function(*args, **self.resources)

    def __fingerprint__(self) -> str:
        from gristmill.core.code import fingerprint_callable

        ours = getattr(self.function, "__module__", None) == _HELPERS
        code = (_helper_code if ours else fingerprint_callable)(self.function)
        resources = self.version or {
            name: fingerprint_callable(value) if inspect.isroutine(value) else value
            for name, value in self.resources.items()
        }
        try:
            return fingerprint([self.kind, code, resources, list(self.pre)])
        except TypeError as error:
            raise _nameless(self.name, self.resources) from error

    def __repr__(self) -> str:
        return f"LabelingFunction({self.name!r}, kind={self.kind!r})"

    def __reduce__(self) -> str | tuple[object, ...]:
        if name := importable_name(self):
            return name
        options: dict[str, Any] = {
            "kind": self.kind,
            "on_error": self.on_error,
            "resources": self.resources,
            "pre": self.pre,
            "version": self.version,
        }
        return functools.partial(LabelingFunction, **options), (self.name, self.function)


@overload
def labeling_function(function: Callable[..., object]) -> LabelingFunction: ...


@overload
def labeling_function(
    *,
    name: str | None = None,
    kind: Kind | None = None,
    on_error: OnError = "raise",
    resources: Mapping[str, object] | None = None,
    pre: Sequence[Preprocessor] = (),
    version: str | None = None,
) -> Callable[[Callable[..., object]], LabelingFunction]: ...


def labeling_function(
    function: Callable[..., object] | None = None,
    *,
    name: str | None = None,
    kind: Kind | None = None,
    on_error: OnError = "raise",
    resources: Mapping[str, object] | None = None,
    pre: Sequence[Preprocessor] = (),
    version: str | None = None,
) -> LabelingFunction | Callable[[Callable[..., object]], LabelingFunction]:
    """Make a labelling function of a Python function; use bare or with arguments.

    ```
    @labeling_function
    def shouts(row):
        return "spam" if row.text.isupper() else None

    @labeling_function
    def long():
        return pl.when(pl.col("text").str.len_chars() > 300).then(pl.lit("ham"))

    @labeling_function(kind="batch", resources={"model": model}, version="2024-05")
    def scored(frame, model):
        return [1 if score > 0.9 else None for score in model(frame["text"])]
    ```

    A language model, or any other, is a resource of a function of a batch. It has no fingerprint
    of its own, so it needs `version=`; with a cache it is then asked once about each row, also
    when other functions change or rows are added:

    ```
    def complete(prompts: list[str]) -> list[str]: ...  # one call of your client for all of them

    @labeling_function(kind="batch", resources={"complete": complete}, version="model-7, prompt 3")
    def asked(frame, complete):
        question = "Is this message spam? Answer yes or no.\n\n{}"
        answers = complete([question.format(text) for text in frame["text"]])
        return [{"yes": "spam", "no": "ham"}.get(answer.strip().lower()) for answer in answers]
    ```

    A vote is a class index, a class name or None. It must depend on the row alone (an expression
    may look at other rows; it is then computed on the whole table).

    Args:
        function: what is decorated.
        name: default is the function's own name.
        kind: default is "expression" where the function takes nothing but its resources, else
            "row"; "batch" must be said.
        on_error: "raise" or "abstain", for rows on which the function raises.
        resources: keyword arguments handed to every call; they count in the fingerprint.
        pre: preprocessors whose fields a row function needs.
        version: stands for the resources in the fingerprint where they have none of their own,
            as a loaded model.

    Raises:
        LabelError: an argument is of a kind that does not exist, or does not fit the function.
    """

    def decorate(wrapped: Callable[..., object]) -> LabelingFunction:
        made = LabelingFunction(
            name or wrapped.__name__,
            wrapped,
            kind=kind,
            on_error=on_error,
            resources=resources,
            pre=pre,
            version=version,
        )
        functools.update_wrapper(cast("Any", made), wrapped)
        return made

    return decorate if function is None else decorate(function)


def _guess_kind(function: Callable[..., object], resources: Mapping[str, object]) -> Kind:
    names = set(inspect.signature(function).parameters)
    return "row" if names - resources.keys() else "expression"


def _check(function: LabelingFunction) -> None:
    where = f"labelling function {function.name!r}"
    if not function.name.strip() or function.name == "<lambda>":
        raise LabelError("a labelling function needs a name", where=where, fix="pass name=")
    if function.kind not in KINDS:
        raise LabelError(
            f"expected a kind out of {', '.join(KINDS)}, found {function.kind!r}", where=where
        )
    if function.on_error not in POLICIES:
        raise LabelError(
            f"expected on_error 'raise' or 'abstain', found {function.on_error!r}", where=where
        )
    if function.pre and function.kind != "row":
        raise LabelError(
            f"preprocessors are for functions of a row, this is one of kind {function.kind!r}",
            where=where,
        )
    pre: tuple[object, ...] = function.pre
    strangers = [type(each).__name__ for each in pre if not isinstance(each, Preprocessor)]
    if strangers:
        raise LabelError(
            f"expected preprocessors in pre, found {strangers[0]}",
            where=where,
            fix="decorate it with @preprocessor",
        )


@functools.cache
def _helper_code(function: Callable[..., object]) -> str:
    """Fingerprint the code behind `keywords` and the like once for all that they make."""
    from gristmill.core.code import fingerprint_callable

    return fingerprint_callable(function)


def _nameless(owner: str, resources: Mapping[str, object]) -> LabelError:
    """Return the error for the resource that has no fingerprint."""
    name, value = next(pair for pair in resources.items() if _is_nameless(pair[1]))
    return LabelError(
        f"resource {name!r} is a {type(value).__qualname__}, which has no fingerprint",
        where=f"labelling function {owner!r}",
        fix="say version='...' in the decorator, and change it when the resource changes",
    )


def _is_nameless(value: object) -> bool:
    if inspect.isroutine(value):
        return False
    try:
        fingerprint(value)
    except TypeError:
        return True
    return False
