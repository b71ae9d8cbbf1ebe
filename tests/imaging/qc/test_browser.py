"""The page in a browser, from a disk and without a network: leafing, filters, decisions, ten thousand scans."""

import shutil
import time

import pytest

from tests.imaging.qc.page_study import HOSTILE, SITES, make_page, make_table
from workflow_scripts.lib.study.tables import read_table

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser here: apt-get install chromium chromium-driver"
)
MANY = 10_000


class Page:
    """The page in a headless browser."""

    def __init__(self, driver, folder):
        self.driver, self.folder = driver, folder

    def open(self, fragment=""):
        self.driver.get("about:blank")
        self.driver.get(f"file://{self.folder}/index.html{fragment}")
        self.driver.execute_script("localStorage.clear()")
        self.driver.get("about:blank")
        self.driver.get(f"file://{self.folder}/index.html{fragment}")
        return self

    def get(self, name):
        return self.driver.find_element(By.ID, name)

    def text(self, name):
        return self.get(name).text

    def press(self, *keys):
        self.driver.find_element(By.TAG_NAME, "body").send_keys(*keys)

    def choose(self, name, words):
        Select(self.get(name)).select_by_visible_text(words)

    def run(self, script):
        return self.driver.execute_script(script)

    def rows(self):
        return [row.text.split("\n")[0] for row in self.driver.find_elements(By.CSS_SELECTOR, ".row")]

    def saved(self, folder):
        """Press the button and return the path of the file that arrives."""
        self.get("download").click()
        path = folder / "overrides.tsv"
        for _ in range(100):
            if path.exists() and path.stat().st_size:  # the name may come before the content
                return path
            time.sleep(0.1)
        raise AssertionError("no file arrived")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    switches = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800")
    for switch in (*switches, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_page(tmp_path_factory.mktemp("page"), 40)


@pytest.fixture
def page(browser, folder):
    browser.set_window_size(1280, 800)
    browser.get_log("browser"), browser.get_log("performance")
    return Page(browser, folder).open()


def test_the_page_opens_from_a_disk_without_an_error_or_a_request_elsewhere(page):
    page.press("jjj")
    assert page.text("title") == "Quality & <control>" == page.driver.title
    assert page.text("summary").startswith("38 of 40 scans go on, 2 are set aside, 2 of those")
    assert page.driver.get_log("browser") == []
    log = [entry["message"] for entry in page.driver.get_log("performance")]
    sent = [message for message in log if 'requestWillBeSent"' in message]
    assert any("page.js" in message for message in sent)  # the log does see requests
    assert not [message for message in sent if '"url":"http' in message or '"url":"ws' in message]


def test_leafing_by_key_and_by_button(page):
    assert page.text("position") == "1 of 40"
    page.press("j", Keys.ARROW_RIGHT)
    assert (page.text("position"), page.text("name")) == ("3 of 40", "sub-00002_1")
    page.press("k", Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert page.text("position") == "1 of 40"
    page.get("next").click()
    assert page.text("position") == "2 of 40"
    assert not page.get("picture").is_displayed() and "no registered volume" in page.text("caption")
    page.get("next").click()
    assert page.run("return document.getElementById('picture').naturalWidth") == 71
    page.get("list").send_keys(Keys.END)
    assert page.text("position") == "40 of 40" and not page.get("next").is_enabled()
    page.get("list").send_keys(Keys.HOME, Keys.ARROW_DOWN)
    assert page.text("position") == "2 of 40"


def test_the_address_names_the_scan_and_leads_to_it(page):
    page.press("jj")
    assert page.run("return location.hash") == "#sub-00002_1"
    page.open("#sub-00017_1")
    assert (page.text("name"), page.text("position")) == ("sub-00017_1", "18 of 40")
    page.choose("status", "set aside")
    page.run("location.hash = '#sub-00020_1'")
    assert page.text("name") == "sub-00020_1" and page.text("found") == "40 of 40 scans"  # the filter gave way
    page.open("#no-such-scan")
    assert page.text("name") == "sub-00000_1"


def test_filters_and_search(page):
    page.choose("site", "Oslo (10)")
    assert page.text("found") == "10 of 40 scans"
    assert page.rows() == [f"sub-{number:05d}_1" for number in range(0, 40, 4)]
    page.choose("flag", "overlap (2)")
    assert page.rows() == ["sub-00004_1"]
    page.choose("site", "all")
    assert page.rows() == ["sub-00002_1", "sub-00004_1"]
    page.choose("status", "set aside")
    assert page.rows() == ["sub-00002_1"] and page.text("position") == "1 of 1"
    page.choose("flag", "any or none")
    assert page.rows() == ["sub-00001_1", "sub-00002_1"]
    page.choose("status", "decided by hand")
    assert page.rows() == ["sub-00004_1"]
    page.choose("status", "flagged")
    assert page.rows() == ["sub-00002_1", "sub-00003_1", "sub-00004_1"]
    page.choose("status", "all")
    page.get("search").send_keys("Sub-0003")
    assert page.text("found") == "10 of 40 scans"
    page.get("search").send_keys("x")
    assert page.text("nothing") == "No scan fits the filters." and page.text("position") == "0 of 0"


def test_a_site_named_like_a_choice_of_the_page_is_a_site(page):
    page.choose("site", "all (10)")
    assert page.text("found") == "10 of 40 scans"


def test_sorting_by_a_number_puts_scans_without_it_last(page):
    table = make_table(40).set_index("scan_id")
    page.choose("sort", "overlap with the template")
    expected = table["overlap"].sort_values(na_position="last", kind="stable").index.tolist()
    assert page.text("position") == f"{expected.index('sub-00000_1') + 1} of 40"
    page.get("list").send_keys(Keys.HOME)
    assert page.rows()[:3] == expected[:3]
    page.get("descending").click()
    page.get("list").send_keys(Keys.HOME)
    assert page.rows()[0] == table["overlap"].idxmax()
    page.get("list").send_keys(Keys.END)
    assert page.text("name") == "sub-00001_1"  # it has no overlap


def test_numbers_show_their_limits_and_what_is_wrong_in_words(page):
    page.open("#sub-00003_1")
    rows = page.get("numbers").find_elements(By.CSS_SELECTOR, "tbody tr")
    cells = [[cell.text for cell in row.find_elements(By.XPATH, "./*")] for row in rows]
    assert cells[0][0] == "overlap with the template" and cells[0][2:] == ["at least 0.85", "✓ inside"]
    assert cells[1] == ["noise in percent of white matter", "15", "at most 10", "⚑ outside: flags"]
    assert cells[2][2:] == ["", ""]
    page.open("#sub-00002_1")
    assert "✕ outside: excludes" in page.text("numbers") and page.text("reason") == "qc: overlap is 0.50"
    assert "✕ set aside" in page.text("state")
    page.open("#sub-00004_1")
    assert page.text("reason") == "kept by hand: looked at it"


def test_text_from_tables_stays_text(page):
    page.open("#sub-00001_1")
    assert page.run("return document.getElementById('reason').textContent") == "preprocess: " + HOSTILE
    assert SITES[2][:9] in page.run("return document.getElementById('site').textContent")
    page.open("#sub-00002_1")
    assert page.run("return window.hacked") is None
    assert page.run("return document.querySelectorAll('img').length") == 1


def test_decisions_are_saved_as_a_table_that_the_study_reads(page, tmp_path):
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.press("x")  # scan 0, without a note
    page.press("jj")
    page.press("i")
    page.press("n")
    page.get("note").send_keys('"fine" by eye, é', Keys.ENTER)
    page.press("jjj", "x", "n")
    page.get("note").send_keys("NA", Keys.ESCAPE)
    page.press("j", "x", "u")
    assert page.text("download") == "Save decisions (4)"
    assert page.rows()[1] == "sub-00001_1"
    table = read_table(page.saved(tmp_path), "qc_overrides")
    assert table.values.tolist() == [
        ["sub-00000_1", "exclude", "seen on the page"],
        ["sub-00002_1", "include", '"fine" by eye, é'],
        ["sub-00004_1", "include", "looked at it"],  # an earlier decision stays
        ["sub-00005_1", "exclude", "note: NA"],
    ]
    page.choose("status", "decided on this page")
    assert page.rows() == ["sub-00000_1", "sub-00002_1", "sub-00005_1", "sub-00006_1"]


def test_an_earlier_decision_can_be_taken_back(page):
    page.open("#sub-00004_1")
    assert page.get("include").get_attribute("aria-pressed") == "true"
    page.press("u")
    assert page.text("download") == "Save decisions (0)" and not page.get("download").is_enabled()


def test_a_scan_without_data_cannot_be_kept(page):
    page.open("#sub-00001_1")
    assert not page.get("include").is_enabled() and "left nothing to use" in page.text("decided")
    page.press("i")
    assert page.run("return Scans.decision(1)") is None


def test_decisions_outlive_the_page(page):
    page.press("x")
    page.driver.refresh()
    assert page.text("download") == "Save decisions (2)"


def test_keys_typed_into_a_field_are_text(page):
    page.press("/")
    page.get("search").send_keys("jx")
    assert page.get("search").get_attribute("value") == "jx"
    page.get("search").send_keys(Keys.BACKSPACE, Keys.BACKSPACE, Keys.ENTER)
    assert page.text("download") == "Save decisions (1)" and page.text("position") == "1 of 40"
    page.get("search").send_keys(Keys.ESCAPE)
    page.press("j")
    assert page.text("position") == "2 of 40"


def test_everything_has_a_name_that_can_be_read_out(page):
    nameless = page.run(
        "return [...document.querySelectorAll('button, input, select, [role=listbox]')]"
        ".filter(element => !(element.labels && element.labels.length) && !element.getAttribute('aria-label'))"
        ".filter(element => !element.textContent.trim()).map(element => element.outerHTML)"
    )
    assert nameless == []
    assert page.get("picture").get_attribute("alt").startswith("Six slices of sub-00000_1")
    chosen = page.get("list").get_attribute("aria-activedescendant")
    assert page.get(chosen).get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("size", [(1280, 800), (390, 800)])
def test_nothing_sticks_out_sideways(page, size):
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.open("#sub-00001_1")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    assert page.get("next").is_displayed()
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_ten_thousand_scans_stay_few_rows(browser, tmp_path_factory):
    page = Page(browser, make_page(tmp_path_factory.mktemp("many"), MANY)).open()
    count = "return document.querySelectorAll('.row').length"
    assert page.text("found") == f"{MANY} of {MANY} scans" and page.run(count) < 60
    page.get("list").send_keys(Keys.END)
    assert page.text("position") == f"{MANY} of {MANY}" and page.rows()[-1] == "sub-09999_1" and page.run(count) < 60
    page.run("document.getElementById('list').scrollTop = 44 * 5000")
    page.run("document.getElementById('list').dispatchEvent(new Event('scroll'))")
    assert "sub-05003_1" in page.rows() and page.run(count) < 60
    page.choose("sort", "white snr")
    page.get("search").send_keys("0987")
    expected = make_table(MANY).set_index("scan_id")["white_snr"]
    expected = expected[expected.index.str.contains("0987")].sort_values().index.tolist()
    assert page.rows() == expected and page.text("found") == f"{len(expected)} of {MANY} scans"
