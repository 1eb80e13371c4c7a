"""Secrets: used by name, and their value nowhere but where the step sends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gristmill.core import redaction
from gristmill.core.errors import UsageError
from gristmill.pipeline.secrets import Secret, secret

VALUE = "s3cr3t/Value+with=signs"
PIPELINE = """
import sys
from gristmill import step
from gristmill.pipeline import Secret, secret, say, workdir

TOKEN = secret("OTHER_TOKEN")

@step
def fetch(token: Secret = secret("API_TOKEN"), rows: int = 2):
    assert token.value.startswith("s3cr3t"), "not the secret"
    print("sent", token.value, token)
    print("sent", token.value, file=sys.stderr, flush=True)
    say(f"said {token.value}")
    return list(range(rows))

@step(retries=1, backoff=0.01)
def failing(fetch):
    value = secret("API_TOKEN").value
    try:
        raise ConnectionError(f"GET https://x/?token={value}")
    except ConnectionError as error:
        raise RuntimeError({"sent": value}, value) from error

@step
def leaking(fetch, token: Secret = secret("API_TOKEN")):
    return {"request": [f"token={token.value}"]}

@step(each=[1, 2])
def parts(number: int, token: Secret = secret("API_TOKEN")):
    print("a part sent", token.value)
    if number == 2:
        raise ValueError(f"refused {token.value}")
    return number

@step
def elsewhere(fetch):
    return TOKEN.name
"""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", {})
    monkeypatch.setenv("API_TOKEN", VALUE)


@pytest.mark.parametrize("options", [["--json"], ["--jobs", "2"]])
def test_no_byte_of_a_secret_is_kept_or_told(user: Any, options: list[str]) -> None:
    user.write(pipeline=PIPELINE)
    done = subprocess.run(
        [sys.executable, "-m", "gristmill", "--debug", "run", *options],
        cwd=user.root,
        env=os.environ | {"API_TOKEN": VALUE},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 6
    assert "Traceback" in done.stderr
    assert "RuntimeError: ({'sent': " in done.stdout
    # What the steps print themselves is shown as ever; nothing else has it.
    shown = [line for line in (done.stdout + done.stderr).splitlines() if "sent s3" not in line]
    assert not [line for line in shown if "s3cr3t" in line]
    assert "its result holds the secret API_TOKEN, which must not be stored" in done.stdout
    files = [path for path in user.root.rglob("*") if path.is_file()]
    kept = {path: path.read_bytes() for path in files}
    assert not [path for path, data in kept.items() if b"s3cr3t/" in data]
    logs = [data.decode() for path, data in kept.items() if path.name == "log.txt"]
    assert any("sent <secret API_TOKEN> Secret(name='API_TOKEN')" in log for log in logs)


def test_the_name_is_part_of_the_key_and_the_value_is_not(
    user: Any, statuses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write(pipeline=PIPELINE)
    assert statuses(user.run(targets=["elsewhere"])) == {"fetch": "done", "elsewhere": "done"}
    monkeypatch.setenv("API_TOKEN", "s3cr3t of today")
    assert set(statuses(user.run(targets=["elsewhere"])).values()) == {"cached"}
    monkeypatch.setenv("NEW_TOKEN", "s3cr3t of today")
    user.edit(
        "pipeline", 'def fetch(token: Secret = secret("API', 'def fetch(token: Secret = secret("NEW'
    )
    result = user.run(targets=["elsewhere"])
    assert result.executions["fetch"].why == (
        "setting token: Secret(name='API_TOKEN') -> Secret(name='NEW_TOKEN')"
    )
    user.edit("pipeline", 'TOKEN = secret("OTHER', 'TOKEN = secret("THIRD')
    why = user.run(targets=["elsewhere"]).executions["elsewhere"].why
    assert why == "Secret THIRD_TOKEN added, Secret OTHER_TOKEN removed"


def test_a_secret_is_read_from_the_environment_or_from_the_file_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret("API_TOKEN").value == VALUE
    monkeypatch.delenv("API_TOKEN")
    monkeypatch.setenv("API_TOKEN_FILE", str(tmp_path / "token"))
    (tmp_path / "token").write_text("from a file\n")
    assert secret("API_TOKEN").value == "from a file"
    assert repr(secret("API_TOKEN")) == "Secret(name='API_TOKEN')"


def test_what_is_missing_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = (
        "set the environment variable NOT_SET, or NOT_SET_FILE to the path of a file that holds it"
    )
    with pytest.raises(UsageError, match="the secret 'NOT_SET' is not set") as caught:
        _ = secret("NOT_SET").value
    assert caught.value.fix == advice
    monkeypatch.setenv("NOT_SET", "")
    with pytest.raises(UsageError, match="the secret 'NOT_SET' is empty"):
        _ = Secret("NOT_SET").value
    monkeypatch.delenv("NOT_SET")
    monkeypatch.setenv("NOT_SET_FILE", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        _ = Secret("NOT_SET").value
    with pytest.raises(UsageError) as caught:
        secret(VALUE)
    assert VALUE not in str(caught.value)


def test_a_secret_is_not_given_on_the_command_line(user: Any) -> None:
    user.write(pipeline=PIPELINE)
    for options in ({"settings": {"fetch": {"token": VALUE}}}, {"parameters": {"token": VALUE}}):
        with pytest.raises(UsageError, match="is the secret 'API_TOKEN'") as caught:
            user.run(**options)
        assert VALUE not in str(caught.value)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_secret_that_was_pasted_into_the_code_is_not_kept_with_the_run(user: Any) -> None:
    user.write(pipeline=f"{PIPELINE}\n# it was {VALUE} once\n")
    for words in (["init", "-q"], ["add", "pipeline.py"], ["commit", "-q", "-m", "x"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=user.root, check=True)
    user.edit("pipeline", "once", f"and is {VALUE} now")
    user.run()
    kept = [path for path in (user.root / ".gristmill").rglob("*") if path.is_file()]
    assert any(b"and is <secret API_TOKEN> now" in path.read_bytes() for path in kept)
    assert any(path.name == "changes.patch" for path in kept)
    assert not [path for path in kept if VALUE.encode() in path.read_bytes()]
