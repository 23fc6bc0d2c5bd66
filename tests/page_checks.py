"""Checks of pages in a real browser: as a screen of some width shows them, contrast, labels, keyboard."""

import time

__all__ = [
    "HIGHEST",
    "TAB",
    "look_at",
    "poor_contrasts",
    "reached_by_no_key",
    "text_of",
    "unlabelled",
    "until",
    "widest",
]

TAB = "\ue004"  # as WebDriver names it
HIGHEST = 800  # pixels of the screen

# Text whose contrast with what is behind it is below 4.5 (3 where it is large), by the formula of WCAG 2.
_CONTRAST = """
const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
const pen = canvas.getContext("2d", { willReadFrequently: true });
const rgba = colour => {
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
};
const over = (top, below) => top.slice(0, 3).map((one, i) => one * top[3] + below[i] * (1 - top[3]));
const luminance = colour => colour.map(one => one / 255)
  .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
  .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
const behind = element => {
  const layers = [];
  for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), rgba("Canvas").slice(0, 3));
};
const opacity = element => {
  let found = 1;
  for (let one = element; one; one = one.parentElement) found *= Number(getComputedStyle(one).opacity);
  return found;
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const text = [...element.childNodes].filter(one => one.nodeType === 3 && one.textContent.trim()).length;
  const style = getComputedStyle(element);
  if (!text || !element.getClientRects().length || element.closest("svg, datalist, option, :disabled, .skip")) continue;
  const below = behind(element), ink = rgba(style.color);
  ink[3] *= opacity(element);
  const [a, b] = [luminance(over(ink, below)), luminance(below)].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < (isLarge ? 3 : 4.5)) poor.push(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
}
return poor;
"""

_UNLABELLED = """
const controls = "input:not([type=hidden]), select, textarea, button, a[href], audio[controls], img, canvas";
const isNamed = one => one.labels?.length || one.getAttribute("aria-label") || one.getAttribute("alt");
return [...document.querySelectorAll(controls)].filter(one => !isNamed(one) && !one.textContent.trim())
  .map(one => one.outerHTML.slice(0, 120));
"""

# What can be operated and seen, and has not had the focus; of radio buttons, the one that is chosen.
_NOT_REACHED = """
if (document.activeElement) document.activeElement.dataset.seen = "";
const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, audio[controls]";
const isOpen = one => !one.disabled && one.getClientRects().length && !(one.type === "radio" && !one.checked);
return [...document.querySelectorAll(controls)].filter(one => isOpen(one) && one.dataset.seen === undefined)
  .map(one => one.outerHTML.slice(0, 120));
"""


def look_at(browser, url, *, width=1440, is_dark=False):
    """Open a page as a screen of some width shows it, and wait until it is complete."""
    screen = {"width": width, "height": HIGHEST, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    browser.get(url)
    until(lambda: browser.execute_script("return document.querySelector('[aria-busy]') === null"))
    if "/sensors/" in url:
        until(lambda: text_of(browser, "#shown") != "")


def until(is_so, seconds=90.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def text_of(browser, selector):
    """Text of the first element of a selector, as it is seen; empty without one."""
    return browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def widest(browser):
    """Width of a page in pixels; beyond that of the screen it has to be moved sideways."""
    return browser.execute_script("return document.documentElement.scrollWidth")


def poor_contrasts(browser):
    """Texts of a page that hardly stand out, with their contrasts."""
    return browser.execute_script(_CONTRAST)


def unlabelled(browser):
    """Controls and pictures of a page without a name."""
    return browser.execute_script(_UNLABELLED)


def reached_by_no_key(browser, n_steps):
    """Controls of a page that do not get the focus within so many steps of the tabulator."""
    from selenium.webdriver import ActionChains  # not everybody has it

    missed = []
    for _ in range(n_steps):
        ActionChains(browser, duration=0).send_keys(TAB).perform()
        missed = browser.execute_script(_NOT_REACHED)
        if not missed:
            break
    return missed
