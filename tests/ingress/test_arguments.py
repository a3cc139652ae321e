"""`python -m ingress` takes no arguments, and says where its settings are."""

import pytest

from ingress.__main__ import main


def test_an_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks for another port must not get the usual one without a word."""
    with pytest.raises(SystemExit) as ended:
        main(["--port", "9000"])
    assert ended.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_who_asks_for_help_hears_where_the_settings_are(capsys: pytest.CaptureFixture[str]) -> None:
    """And not that some of them are missing."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "docs/settings.md" in capsys.readouterr().out
