"""One browser for all tests on pictures: it takes longer to start than to draw."""

from collections.abc import Iterator

import pytest
from browser import Tab, browser


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(opened: Tab) -> Tab:
    """Empty, and without the errors of other pages."""
    opened.call("Page.navigate", url="about:blank")
    opened.wait_for("location.href === 'about:blank'")
    opened.errors.clear()
    return opened
