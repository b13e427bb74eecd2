"""Pictures of every view, light and dark, for docs/images: python -m tests.browser.pictures [FOLDER].

What is on them is made up, tables and sentences alike.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, ROOT, serving
from tests.browser.tables import made_up, without

COLUMNS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
LEVEL, SPREAD = [8, 2, 5, 1, 3, 0.9, 17], [4, 1.5, 4, 1.2, 0.8, 0.4, 5]
# a gap and two lone values of the history, and two hours of what is held back
GONE = [(60, 1), (61, 1), (62, 1), (40, 4), (80, 7), (105, 1), (106, 1)]
TABLE = without(made_up(COLUMNS, 130, seed=11, level=LEVEL, spread=SPREAD), *GONE)
WIDTH, HEIGHT = 1180, 1010


def forecast(page):
    page.wait_for_selector("#forecast-panels:not([aria-busy]) .chart")
    page.select_option("#forecast-model", "etth1-mlp")
    page.wait_for_selector("#forecast-summary:has-text('etth1-mlp')")
    page.fill("#forecast-table", TABLE)
    page.locator("#forecast-origin").fill("104")
    page.wait_for_selector("#forecast-panels:not([aria-busy]) .error")
    page.evaluate("document.querySelector('#forecast-table').scrollTop = 0")
    page.evaluate("document.activeElement.blur()")
    box = page.locator(".chart .u-over").first.bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 40)


def attention(page):
    page.wait_for_selector("#attention-result:not([aria-busy]) canvas.heat")
    page.click("nav a[data-view=forecast]")
    page.wait_for_selector("#forecast-panels:not([aria-busy])", state="attached")
    page.fill("#forecast-table", TABLE)
    page.click("nav a[data-view=attention]")
    page.wait_for_selector("#attention-row:text-is('130 of 130')")
    page.wait_for_selector("#attention-result:not([aria-busy]) canvas.heat")
    page.select_option("#attention-column", "OT")
    page.locator("#attention-heads input").nth(1).check(force=True)
    box = page.locator("#attention-chart .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.93 * box["width"], box["y"] + 40)


def translate(page):
    page.wait_for_selector("#translate-results:not([aria-busy]) canvas.heat")
    page.fill("#translate-alternatives", "1")
    page.fill("#translate-text", "The old man was reading a book in the garden.")
    page.wait_for_selector(".translated:has-text('libro')")
    page.wait_for_selector("#translate-results:not([aria-busy]) canvas.heat >> nth=1")
    page.locator(".head input").nth(5).check(force=True)
    for canvas, row in zip(page.locator("canvas.heat").all(), (5, 4), strict=True):
        for key in ["ArrowDown"] * (row + 1) + ["ArrowRight"] * 5:
            canvas.press(key)
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")


def names(page):
    page.wait_for_selector("#names-result:not([aria-busy]) tbody tr")
    for field, value in {"prompt": "ma", "temperature": "0.8", "seed": "4", "count": "12"}.items():
        page.fill(f"#names-{field}", value)
    page.wait_for_selector("#names-summary:has-text('seed 4')")
    page.wait_for_selector("#names-words tr >> nth=11")
    page.evaluate("document.activeElement.blur()")


def service(page):
    page.wait_for_selector("#service-latency canvas")
    sample = page.evaluate("fetch('models/etth1-informer/sample').then(answer => answer.text())")
    for _ in range(6):
        page.evaluate("body => Promise.all([1, 2, 3].map(() => fetch('forecast', { method: 'POST', body })))", sample)
        page.wait_for_timeout(1500)
    page.mouse.move(5, 5)


VIEWS = {view.__name__: view for view in (forecast, attention, translate, names, service)}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    with serving(ROOT / "bundles") as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, prepare in VIEWS.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
                page.goto(f"{url}/#{name}")
                prepare(page)
                page.wait_for_timeout(400)  # transitions
                picture = Image.open(io.BytesIO(page.screenshot()))
                # a palette is a third of the size; this method keeps colours that few points have
                picture = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
                picture.save(folder / f"playground-{name}-{scheme}.png", optimize=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
