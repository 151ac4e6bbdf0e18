# SPDX-License-Identifier: Apache-2.0
"""report.html and sweep.html in a real browser, from a file, as a user opens them (`make browser` installs one)."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report import sweep
from harness.report.html import html
from harness.report.recorded_run import read_run

selenium = pytest.importorskip("selenium.webdriver", reason="no selenium; `make browser` installs it and Chromium")

GOLDEN = Path(__file__).parents[1] / "unit/golden/run"
TRIAL = Path(__file__).parents[2] / "docs/results/trial-report.html"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
ATTACK = (
    b"</pre><script>window.name='ran';document.title='ran'</script><img src=x onerror=\"window.name='ran'\">\x1b[2J"
)
TITLE = "modcompat: 8 cells, Linux 6.1.192, 2026-11-23"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, without a profile and without the network."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("no chromium or no chromedriver; `make browser` installs them")
    options = selenium.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the golden run, with hostile text in a console log and in a reason."""
    run = Path(shutil.copytree(GOLDEN, tmp_path_factory.mktemp("run") / "run"))
    matrix = run / "matrix.json"
    matrix.write_text(matrix.read_text().replace("its exit never ran", "<img src=x onerror=window.name=1> \\u202e"))
    for log in run.glob("cells/*/console.log"):
        log.write_bytes(log.read_bytes() + ATTACK + b"\n")
    (run / "report.html").write_text(html(read_run(run)))
    return (run / "report.html").as_uri()


def resize(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_the_matrix_is_the_first_thing_seen(browser: Any, page: str) -> None:
    resize(browser, 1280, 900)
    browser.get(page)
    links = browser.find_elements("css selector", "table.matrix a.v")
    assert len(links) == 8
    assert all(link.is_displayed() and link.rect["y"] < 900 for link in links)
    assert not any(cell.is_displayed() for cell in browser.find_elements("css selector", "article.cell"))


def test_a_cell_opens_with_its_picture_and_its_report(browser: Any, page: str) -> None:
    resize(browser, 1280, 900)
    browser.get(page)
    links = browser.find_elements("css selector", "table.matrix a.INERT")
    next(link for link in links if "spinlock bad magic" in link.get_attribute("title")).click()
    shown = [cell for cell in browser.find_elements("css selector", "article.cell") if cell.is_displayed()]
    assert len(shown) == 1
    boxes = shown[0].find_elements("css selector", "svg.layout .box.focus rect")
    assert len(boxes) == 4, "init and exit, before and after"
    assert all(box.rect["width"] > 80 and box.rect["height"] > 10 for box in boxes)
    marked = shown[0].find_elements("css selector", ".log .hit")
    assert "BUG: spinlock bad magic" in marked[0].text
    colour = "return getComputedStyle(arguments[0]).backgroundColor"
    assert browser.execute_script(colour, marked[0]) != "rgba(0, 0, 0, 0)"


def test_the_trials_report_fits_a_screen_and_its_cells_open(browser: Any) -> None:
    resize(browser, 1280, 900)
    browser.get("about:blank")
    browser.get(TRIAL.as_uri())
    kernels = [head.text.split() for head in browser.find_elements("css selector", "table.matrix thead th")]
    assert kernels[1] == ["production", "kernel"], "what the others are compared with comes first"
    links = browser.find_elements("css selector", "table.matrix a.v")
    assert all(link.rect["x"] >= 0 and link.rect["x"] + link.rect["width"] < 1280 for link in links)
    assert len({link.rect["height"] for link in links}) == 1, "no verdict is broken into two lines"
    broken = next(link for link in links if "INERT" in link.get_attribute("class"))
    broken.click()
    (cell,) = (cell for cell in browser.find_elements("css selector", "article.cell") if cell.is_displayed())
    assert len(cell.find_elements("css selector", "svg.layout .box.focus rect")) == 4


def test_nothing_of_a_console_runs(browser: Any, page: str) -> None:
    browser.get("about:blank")
    browser.execute_script("window.name = 'before'")
    browser.get(f"{page}#every")
    assert ATTACK[:20].decode() in browser.find_element("tag name", "body").text
    assert browser.execute_script("return document.scripts.length + document.images.length") == 0
    assert browser.execute_script("return window.name") in ("before", "")
    assert browser.title == TITLE
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors, "nothing that the page's policy would have had to stop"


def test_the_policy_would_stop_what_got_through(browser: Any, page: str) -> None:
    browser.get(page)
    browser.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", ATTACK.decode())
    policy = "const it = document.createElement('script'); it.text = 'window.name=\"ran\"'; document.body.append(it)"
    browser.execute_script(policy)
    assert browser.execute_script("return window.name") != "ran"
    assert browser.title == TITLE


@pytest.mark.parametrize("place", ["", "#every"], ids=["matrix", "every-cell"])
def test_a_phone_never_scrolls_the_page_sideways(browser: Any, page: str, place: str) -> None:
    resize(browser, 360, 740)
    browser.get("about:blank")
    browser.get(page + place)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    assert browser.find_element("css selector", "table.matrix").rect["y"] < 740


KERNEL = "isolated-hidden"
MODULES = 10_000


@pytest.fixture(scope="module")
def sweep_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a sweep of many modules; every hundredth differs, and one has hostile words."""
    same = {"verdict": "SAME", "reason": "as on production", "seconds": 0.4, "folder": "", "prediction": None}
    differs = {"verdict": "DIFFERS", "reason": f"{ATTACK.decode()} returned -16", "seconds": 0.5, "folder": "cells/a b"}
    modules = [
        {
            "name": f"m{number}",
            "place": f"kernel/drivers/{'net' if number % 2 else 'gpu'}/m{number:05}.ko",
            "cells": {"production": same, KERNEL: {**same, **(differs if number % 100 == 7 else {})}},
        }
        for number in range(MODULES)
    ]
    facts = {
        "production": {"name": "debian:linux", "release": "6.1.0", "version": "6.1.1", "arch": "x86_64"},
        "date": "2026-11-28", "board": "q35", "qemu": "QEMU 7.2", "modules": modules,
        "kernels": [{"name": KERNEL, "source": "linux-source-6.1", "options": {"DEBUG_SPINLOCK": "y"}}],
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "sweep.html").write_text(sweep.page(sweep.Sweep(facts)))
    return (folder / "sweep.html").as_uri()


def places(browser: Any) -> list[str]:
    """The modules that the table shows. One request, because each element would need one of its own."""
    cells = "return [...document.querySelectorAll('#rows tbody code')].map((it) => it.textContent)"
    return list(browser.execute_script(cells))


def shown(browser: Any) -> str:
    return str(browser.find_element("id", "shown").text)


def test_a_sweep_shows_what_differs_first(browser: Any, sweep_page: str) -> None:
    resize(browser, 1280, 900)
    browser.get_log("browser")  # of other tests
    browser.get(sweep_page)
    assert shown(browser) == f"{MODULES // 100} of {MODULES} modules"
    assert places(browser)[:2] == ["kernel/drivers/net/m00007.ko", "kernel/drivers/net/m00107.ko"]
    link = browser.find_element("css selector", "#rows tbody a.DIFFERS")
    assert link.get_attribute("href").endswith("/cells/a%20b/")
    assert browser.execute_script("return window.name") != "ran"
    assert browser.title.startswith("modcompat sweep: 6.1.0")
    assert not browser.get_log("browser")


def test_a_sweep_is_searched_filtered_and_sorted(browser: Any, sweep_page: str) -> None:
    browser.get(sweep_page)
    browser.find_element("css selector", "#filters input[value=SAME]").click()
    assert shown(browser) == f"{MODULES} of {MODULES} modules"
    assert len(places(browser)) == 200
    browser.execute_script("document.getElementById('more').click()")  # it is 6,000 pixels below
    assert len(places(browser)) == 1200
    browser.find_element("id", "search").send_keys("gpu m0000")
    assert places(browser) == [f"kernel/drivers/gpu/m0000{number}.ko" for number in range(0, 10, 2)]
    browser.find_element("id", "search").clear()
    browser.find_element("id", "search").send_keys("m0000")
    by_verdict = browser.find_element("css selector", "#rows th button[data-column='1']")
    by_verdict.click()
    assert places(browser)[0] == "kernel/drivers/net/m00007.ko", "DIFFERS is before SAME"
    by_verdict.click()
    assert places(browser)[-1] == "kernel/drivers/net/m00007.ko"
    browser.find_element("css selector", "#kernel option[value='0']").click()
    assert shown(browser) == f"10 of {MODULES} modules", "on production"
