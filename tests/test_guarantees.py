"""The page of guarantees speaks of tests that exist, and of every promise."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_PAGE = (_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
_NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+::\w+)`", _PAGE)))
_SECTIONS = re.findall(r"^## (\d+)\. .+?\n(.*?)(?=^## |\Z)", _PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("named", _NAMED)
def test_a_test_that_is_named_exists(named: str) -> None:
    """A guarantee whose test was renamed or removed is not defended as the page says."""
    file, name = named.split("::")
    assert (_ROOT / file).is_file(), f"docs/guarantees.md names {file}, which does not exist"
    functions = {
        node.name
        for node in ast.walk(ast.parse((_ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions, f"{file} has no {name}: correct docs/guarantees.md"


def test_every_promise_names_a_test() -> None:
    """All twelve are there, each with a test at least."""
    assert [int(number) for number, _ in _SECTIONS] == list(range(1, 13))
    assert all("`tests/" in text for _, text in _SECTIONS)


def test_every_mention_of_a_test_is_checked() -> None:
    """A name in another form than `tests/...::name` would escape the check above."""
    assert _PAGE.count("::") == len(re.findall(r"`tests/[\w/.]+::\w+`", _PAGE))
