"""What the console's tests share: users of each group, pressed buttons, awaited outcomes."""

from __future__ import annotations

from pathlib import Path

from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.window import Window
from tests.harness import Deployment

PASSWORD = "a-password-for-a-test"
GROUPS = {"viewer": "BC viewers", "operator": "BC operators", "administrator": "BC administrators"}
USERS = f"""
from django.contrib.auth.models import Group, User
for name, group in {GROUPS}.items():
    user, made = User.objects.get_or_create(username=name, defaults=dict(is_staff=True))
    if made:
        user.set_password("{PASSWORD}")
        user.save()
        user.groups.add(Group.objects.get(name=group))
"""
SCREENSHOTS = Path(__file__).resolve().parents[2] / "var/screenshots"
"""Kept for people to look at; three of them are copied into docs/images by hand."""
OUTCOME = "[data-refresh]"


def make_users(deployment: Deployment) -> None:
    """Make a viewer, an operator and an administrator, unless the deployment has them."""
    deployment.manage("shell", "-c", USERS)


def log_in(window: Window, deployment: Deployment, name: str, language: str = "en") -> None:
    """Log in by the login page, as somebody whose browser speaks this language."""
    window.driver.execute_cdp_cmd("Network.enable", {})
    window.driver.execute_cdp_cmd(
        "Network.setExtraHTTPHeaders", {"headers": {"Accept-Language": language}}
    )
    window.open(f"{deployment.base_url}/orders/")
    window.one("#id_username").send_keys(name)
    window.one("#id_password").send_keys(PASSWORD)
    window.one("[type=submit]").click()
    window.wait(lambda: window.one(".sections").is_displayed(), what="the list of orders")


def button(window: Window, text: str) -> WebElement:
    """Return the visible button, or what looks like one, with this text."""
    for one in window.all("main button, main summary.button, main a.button"):
        if one.is_displayed() and text in one.text:
            return one
    raise NoSuchElementException(f"there is no button «{text}»")


def press(window: Window, text: str) -> None:
    """Press a button, as soon as it is there.

    A page takes its parts anew once an action has ended: a button may be replaced between the look
    and the press, which then did not happen.
    """

    def pressed() -> bool:
        button(window, text).click()
        return True

    window.wait(pressed, what=f"the button «{text}»")


def outcome(window: Window, wanted: str, seconds: float = 40.0) -> str:
    """Wait until the page tells the outcome of what was asked for; return all that it tells."""

    def told() -> str:
        text = window.text(OUTCOME)
        unfinished = window.all(f"{OUTCOME} .unfinished")
        return text if wanted in text and not unfinished else ""

    return window.wait(told, seconds, what=f"the outcome «{wanted}»")


def keep_screenshot(window: Window, name: str) -> None:
    """Keep a picture of the window."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    window.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))
