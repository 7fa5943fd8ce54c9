"""The page in a real browser: what a person sees, hears and can reach with the keyboard."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chromium
from served_fakes import FakeModel, Running
from visus.server.limits import Limits

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.found() is None, reason=chromium.HOW)]

ANSWERED = "results.ariaBusy === 'false'"


@pytest.fixture(scope="module")
def running() -> Running:
    tasks = ("detection", "classification", "instance_segmentation", "segmentation")
    return Running({task: FakeModel(task) for task in tasks}, Limits())


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser]:
    opened = chromium.Browser()
    yield opened
    opened.close()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A bright one and a dark one."""
    made = []
    for name, grey in (("bright", 230), ("dark", 10)):
        made.append(tmp_path / f"{name}.png")
        Image.fromarray(np.full((90, 120, 3), grey, np.uint8)).save(made[-1])
    return made


def at(browser: chromium.Browser, running: Running) -> chromium.Browser:
    """The fresh page, with its models."""
    browser.events.clear()
    browser.size(1280, 900)
    browser.open(running.address)
    browser.wait("document.getElementById('first').options.length > 0")
    return browser


def answered(browser: chromium.Browser, count: int) -> None:
    browser.wait(f"document.querySelectorAll('article').length === {count} && {ANSWERED}")


def select(browser: chromium.Browser, which: str, name: str) -> None:
    browser.run(f"{which}.value = '{name}'; {which}.dispatchEvent(new Event('change'))")


def shown(browser: chromium.Browser, number: int = 0) -> np.ndarray:
    """[H,W,3] the pixels of a canvas."""
    import base64

    text = browser.run(f"document.querySelectorAll('.frame canvas')[{number}].toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB"))


def test_photos_get_boxes_and_the_slider_takes_them_away_at_once(
    browser: chromium.Browser, running: Running, photos: list[Path]
) -> None:
    page = at(browser, running)
    page.choose("#files", *photos)
    answered(page, 2)
    assert page.run("document.querySelector('.says').textContent") == "1 left, 1 right"
    blue, orange = (0, 114, 178), (230, 159, 0)
    assert (shown(page) == blue).all(axis=2).any()
    assert (shown(page) == orange).all(axis=2).any()
    asked = len(page.addresses())
    page.run("score.focus()")
    page.press("End")
    page.wait("document.querySelector('.says').textContent === 'nothing found'")
    assert not (shown(page) == blue).all(axis=2).any()
    page.press("Home")
    page.wait("document.querySelector('.says').textContent === '1 left, 2 right'")
    assert page.run("document.getElementById('shown').textContent") == "0.05"
    assert len(page.addresses()) == asked
    assert {address.split(":")[0] for address in page.addresses()} <= {"http", "blob", "data"}
    assert all(address.startswith((running.address, "blob:", "data:")) for address in page.addresses()), (
        "the page asks nobody else"
    )
    assert page.complaints() == []


def test_masks_maps_and_heat_are_drawn_where_they_are(
    browser: chromium.Browser, running: Running, tmp_path: Path
) -> None:
    half = np.zeros((90, 120, 3), np.uint8)
    half[:, 60:] = 250
    Image.fromarray(half).save(tmp_path / "half.png")
    page = at(browser, running)
    select(page, "first", "segmentation")
    page.choose("#files", tmp_path / "half.png")
    answered(page, 1)
    pixels = shown(page)
    width = pixels.shape[1]
    assert (pixels[:, : width // 2 - 4] == 0).all()  # background is clear
    assert np.ptp(pixels[5:-5, width // 2 + 4 : -4], axis=(0, 1)).max() <= 1
    assert pixels[10, -10].tolist() == pytest.approx([103, 196, 171], abs=3)  # 150/255 of green on bright
    assert page.run("[...document.querySelectorAll('.legend li')].map((e) => e.textContent)") == [
        "background 50.0\u00a0%",
        "bright 50.0\u00a0%",
    ]
    page.run("document.querySelector('figure button').click()")
    page.wait("document.querySelector('figure button').ariaPressed === 'true'")
    heat = shown(page)
    assert heat[40, 10].sum() < 150 < 450 < heat[40, -10].sum()
    select(page, "first", "instance_segmentation")
    page.wait("document.querySelector('.says').textContent === '1 left, 1 right'")
    mask = shown(page)
    y, x = mask.shape[0] * 45 // 90, mask.shape[1] * 30 // 120  # the centre of the first ring: a hole
    assert mask[y, x].tolist() == [0, 0, 0]
    assert mask[y + 3 * mask.shape[0] // 16, x].tolist() == pytest.approx([0, 46, 71], abs=3)  # 0.4 of blue
    assert page.complaints() == []


def test_two_models_side_by_side_and_what_is_saved(
    browser: chromium.Browser, running: Running, photos: list[Path], tmp_path: Path
) -> None:
    page = at(browser, running)
    select(page, "second", "classification")
    page.choose("#files", photos[1])
    answered(page, 1)
    says = page.run("[...document.querySelectorAll('.says')].map((e) => e.textContent)")
    assert says[0] == "detection: 1 left, 1 right"
    assert says[1].startswith("classification: dark ")
    left = page.run("[...document.querySelectorAll('figure')].map((e) => e.getBoundingClientRect().left)")
    assert left[0] < left[1]
    page.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.run("document.querySelector('[data-do=json]').click()")
    page.run("document.querySelector('[data-do=picture]').click()")
    wanted = [tmp_path / name for name in ("dark.json", "dark-detection.png", "dark-classification.png")]
    for path in wanted:
        for _ in range(200):
            if path.exists():
                break
            page.run("new Promise((done) => setTimeout(done, 50))")
    saved = json.loads(wanted[0].read_text())
    assert saved["classification"]["predictions"][0]["label"] == "dark"
    assert [found["label"] for found in saved["detection"]["predictions"][0]["objects"]] == ["left", "right"]
    assert Image.open(wanted[1]).size[0] >= 400
    assert page.complaints() == []


def test_everything_is_reached_by_keyboard_and_has_a_name(
    browser: chromium.Browser, running: Running, photos: list[Path]
) -> None:
    page = at(browser, running)
    page.choose("#files", photos[0])
    answered(page, 1)
    page.run("document.body.focus()")
    reached = []
    for _ in range(12):
        page.press("Tab")
        reached.append(
            page.run("document.activeElement.id || document.activeElement.dataset.do || document.activeElement.tagName")
        )
        assert page.run(
            "getComputedStyle(document.activeElement).outlineStyle !== 'none' || document.activeElement.type === 'file'"
        )
    for name in ("files", "camera", "first", "second", "score", "json", "picture", "remove", "why", "SUMMARY"):
        assert name in reached, reached
    told = page.names()
    used = ("button", "combobox", "slider", "image", "img", "canvas")
    assert all(name for role, name in told if role in used), [entry for entry in told if entry[0] in used]
    assert any(role in used and name.startswith("bright.png. 1 left, 1 right") for role, name in told)
    assert any(role == "combobox" and name == "Model" for role, name in told)
    assert page.run("document.getElementById('status').textContent") == "bright.png: 1 left, 1 right"
    page.run("document.querySelector('[data-do=remove]').focus()")
    page.press("Enter")
    page.wait("document.querySelectorAll('article').length === 0")
    assert page.run("document.activeElement.id") == "files"


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling_and_the_text_can_be_read(
    browser: chromium.Browser, running: Running, photos: list[Path], dark: bool
) -> None:
    page = at(browser, running)
    page.size(360, 740, phone=True, dark=dark)
    select(page, "second", "segmentation")
    page.choose("#files", *photos)
    answered(page, 2)
    assert page.run("document.documentElement.scrollWidth") == 360
    small = page.run(
        "[...document.querySelectorAll('button, select, .button')].filter((e) => e.offsetParent)"
        ".map((e) => e.getBoundingClientRect().height)"
    )
    assert min(small) >= 44
    for one, other in (("body", "body"), (".says", "article"), ("#status", "body"), (".primary", ".primary")):
        contrast = page.run(CONTRAST % (one, other))
        assert contrast >= 4.5, (one, other, contrast)


CONTRAST = """(() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const [a, b] = [light(getComputedStyle(document.querySelector('%s')).color),
    light(getComputedStyle(document.querySelector('%s')).backgroundColor)];
  return Math.max(a, b) / Math.min(a, b);
})()"""


def test_the_camera_takes_a_photo(browser: chromium.Browser, running: Running) -> None:
    page = at(browser, running)
    page.run("document.getElementById('camera').click()")
    page.wait("document.getElementById('video').videoWidth > 0")
    page.run("document.getElementById('shoot').click()")
    answered(page, 1)
    assert page.run("document.querySelector('h2').textContent").startswith("camera-")
    assert page.run("document.getElementById('finder').hidden")


def test_dropped_files_and_what_is_no_image(browser: chromium.Browser, running: Running) -> None:
    page = at(browser, running)
    page.run(
        "(() => { const carried = new DataTransfer();"
        "carried.items.add(new File(['no image'], '<b>notes</b>.txt'));"
        "document.dispatchEvent(new DragEvent('drop', {dataTransfer: carried, bubbles: true, cancelable: true})); })()"
    )
    answered(page, 1)
    assert "cannot be read as an image" in page.run("document.querySelector('.says').textContent")
    assert page.run("document.querySelector('h2').textContent") == "<b>notes</b>.txt"
    assert page.run("document.querySelectorAll('b').length") == 0


def test_a_token_is_asked_for_and_used(browser: chromium.Browser, photos: list[Path]) -> None:
    page = browser
    guarded = Running({"grey": FakeModel()}, Limits(), token="secret")
    page.open(guarded.address)
    page.wait("!document.getElementById('secret').hidden")
    page.run("token.value = 'secret'; token.dispatchEvent(new Event('change'))")
    page.wait("document.getElementById('first').options.length > 0")
    page.choose("#files", photos[0])
    answered(page, 1)
    assert page.run("document.querySelector('.says').textContent").startswith("bright ")
