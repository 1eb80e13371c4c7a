"""The documentation shows what is there: excerpts of the example, commands, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gristmill.cli.main import COMMANDS
from gristmill.core import errors

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PROSE = [*DOCS, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
SOURCE = re.compile(r"`((?:src/gristmill|examples|tests)/[\w/.]+\.py)`")


def test_the_tutorial_quotes_the_example_as_it_is() -> None:
    example = "".join(path.read_text() for path in (ROOT / "examples/sms_spam").glob("*.py"))
    quoted = PYTHON.findall((ROOT / "docs/tutorial.md").read_text())
    assert quoted
    assert [block for block in quoted if block not in example] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_tour_names_ten_files_that_are_there() -> None:
    named = SOURCE.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) == 10
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_command_has_its_section() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    assert re.findall(r"^## ([a-z]+)$", page, re.MULTILINE) == list(COMMANDS)


def test_every_exit_code_is_in_the_table() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.GristmillError)
    }
    assert listed == raised | {0, 130}


# The tutorial's blocks are parts of functions, compared with the example above.
@pytest.mark.parametrize("page", [p for p in DOCS if p.name != "tutorial.md"], ids=lambda p: p.name)
def test_python_blocks_parse(page: Path) -> None:
    for block in PYTHON.findall(page.read_text()):
        compile(block, page.name, "exec")


def test_every_finding_code_is_in_the_table_with_its_severity() -> None:
    from gristmill.validate.checks.findings import SEVERITIES

    page = (ROOT / "docs/validate.md").read_text()
    told = {
        code: severity
        for codes, severity in re.findall(r"^\| (`.+?) \| ([^|]+) \|", page, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert sorted(code for code in SEVERITIES if code not in told) == []
    wrong = [code for code in SEVERITIES if SEVERITIES[code] not in told[code]]
    assert wrong == ["rule_broken", "invalid_rule"]  # these have the severity of their rule


@pytest.mark.parametrize("struct", ["FeatureSpec", "TableSpec", "RuleSpec", "Comparator"])
def test_every_key_of_a_schema_is_in_a_table(struct: str) -> None:
    from gristmill import validate

    page = (ROOT / "docs/validate.md").read_text()
    keys = [key for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
            for key in re.findall(r"`(\w+)`", row)]  # fmt: skip
    fields = getattr(validate, struct).__struct_fields__
    assert [name for name in fields if name not in keys] == []


def test_every_command_of_validate_is_told() -> None:
    from gristmill.cli.validate import SUBCOMMANDS

    page = (ROOT / "docs/cli.md").read_text()
    told = re.findall(r"^### validate ([a-z]+)$", page, re.MULTILINE)
    assert told == list(SUBCOMMANDS)
