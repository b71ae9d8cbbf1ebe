"""The page of genetics: every number of the tables, what it means, what is absent; offline, narrow, dark, sortable."""

import base64
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.figures.genetics_tables import HOSTILE, make_tables
from workflow_scripts.genetics import genetics_page
from workflow_scripts.lib.figures import genetics_parts as parts
from workflow_scripts.lib.figures import genetics_text as text
from workflow_scripts.lib.figures.genetics_report import TABLES, WRITERS, Found, write_page
from workflow_scripts.lib.study import tables

OPTIONS = {"build": "hg19", "tool": "plink2", "threshold": 5e-8, "titles": {}, "handoffs": "results/handoffs"}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
VOID = {"meta", "link", "img", "circle", "rect", "br"}


class Page(HTMLParser):
    """Reads a page, insists that tags close in order, and keeps the text and rows of tables of each section."""

    def __init__(self, path):
        super().__init__()
        self.open, self.words, self.rows, self.addresses = [], {}, {}, []
        self.section = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag == "section":
            self.section = given["id"]
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open or "script" in self.open:
            return
        self.words[self.section] = self.words.get(self.section, "") + data
        if ("td" in self.open or "th" in self.open) and self.section in self.rows:
            self.rows[self.section][-1][-1] += data

    def row(self, section, *first):
        """Give the first row that starts with these cells."""
        return next(row for row in self.rows[section] if tuple(row[: len(first)]) == first)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("manhattan", "locus_plots", "my_own_figure"):
        (folder / f"{name}.png").write_bytes(PNG)
    return sorted(folder.glob("*.png"))


@pytest.fixture(scope="module")
def path(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(Found(make_tables(), pictures, OPTIONS), path, "Genes & <gaps>")
    return path


@pytest.fixture(scope="module")
def page(path):
    return Page(path)


def written(tmp_path, **changed):
    """Write a page with some tables changed, None for one that is absent, and read it."""
    full = make_tables()
    full |= {"components": full["components"].head(100)} | changed
    given = {name: table for name, table in full.items() if table is not None}
    write_page(Found(given, [], OPTIONS), tmp_path / "report.html")
    return Page(tmp_path / "report.html")


def test_every_section_and_table_has_words():
    assert list(WRITERS) == list(text.TITLES)
    assert set(text.ABSENT) == set(WRITERS)
    assert set(make_tables()) == set(TABLES)


def test_the_page_needs_nothing_else(path, page):
    outside = [address for address in page.addresses if not address.startswith(("data:", "#"))]
    assert outside == [] and page.addresses.count("data:,") == 1
    source = path.read_text()
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|<iframe|<object", source)


def test_equal_tables_give_equal_bytes(path, pictures, tmp_path):
    write_page(Found(make_tables(), pictures, OPTIONS), tmp_path / "again.html", "Genes & <gaps>")
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()


def test_counts_of_filters_stand_with_reasons(page):
    row = page.row("quality", "relatives")
    assert row[1:] == ["one of two people with kinship above 0.0884", "421", "2\u202f376", "0", "62\u202f110"]
    assert page.row("people", "a value of") == ["a value of", "icv", "2\u202f351", "9", "9"]


def test_covariates_that_were_asked_for_and_did_not_enter_are_named(page, tmp_path):
    assert "Asked for and not in the model: array_2 (SimCLR)" in page.words["people"]
    assert "17 for Regional features, R-NCE: age, age2" in page.words["people"]
    whole = make_tables()["entered"].assign(entered=True)
    found = written(tmp_path, entered=whole)
    assert "17 for all traits" in found.words["people"] and "Asked for" not in found.words["people"]


def test_lambda_stands_beside_the_intercept_and_is_judged(page):
    row = page.row("association", "Regional features")
    assert row[3:6] == ["1.420", "0.970 ± 0.020", "−0.05"]
    words = page.words["association"]
    assert "Regional features: λ 1.42, intercept 0.97 ± 0.02, compatible with 1" in words
    assert "R-NCE: λ 1.39, intercept 1.09 ± 0.02, above 1" in words
    assert "SimCLR: λ 1.01, intercept 1.00 ± 0.01: no inflation" in words


def test_without_an_intercept_nobody_is_accused(tmp_path):
    words = written(tmp_path, ldsc=None).words["association"]
    assert "without an LDSC intercept nobody can say why" in words and "SimCLR: λ 1.01, no more than chance" in words


def test_p_values_below_any_number_are_written(page):
    assert page.row("association", "R-NCE")[-1] == "3 × 10−310"
    assert page.row("loci", "R-NCE", "1")[4] == "≤ 10−307"


def test_loci_name_genes_and_novelty(page):
    row = page.row("loci", "Regional features", "2")
    assert row[2:4] == ["17: 43.70–44.35", "rs56072903"] and row[5] == "0.520 ± 0.037" and row[6] == "A, 0.23"
    assert row[7:9] == ["MAPT", "GENE0, GENE1, GENE2, GENE3, GENE4, GENE5 and 8 more"]
    assert row[9:11] == ["known", "brain age, Parkinson disease"]
    assert page.row("loci", "R-NCE", "2")[8:10] == ["–", "new"]
    assert "4loci over all traits, 2 of them new to the catalogue" in page.words["glance"]


def test_no_locus_is_said_in_words(tmp_path):
    found = written(tmp_path, loci=make_tables()["loci"].iloc[:0], leads=None, genes=None)
    assert "No variant of any trait is below 5 × 10−8, hence no locus" in found.words["loci"]
    assert "Not part of this run" not in found.words["loci"]


def test_loci_that_nobody_looked_for_are_not_none(tmp_path):
    found = written(tmp_path, loci=None, leads=None, genes=None)
    assert "Not part of this run: loci" in found.words["loci"] and "loci" not in found.words["glance"]


def test_without_a_catalogue_nothing_is_new(tmp_path):
    found = written(tmp_path, loci=make_tables()["loci"].assign(novel=np.nan))
    assert "new" not in found.row("loci", "R-NCE", "2") and "new" not in found.words["glance"]


def test_heritability_is_judged_by_its_interval(page):
    words = page.words["heritability"]
    assert "SimCLR (GREML): compatible with 0." in words and "SimCLR (LDSC): an interval 1.56 wide" in words
    assert "R-NCE (GREML)" not in words
    assert page.row("heritability", "R-NCE", "GREML")[4:8] == ["0.502", "0.037", "0.430", "0.575"]


def test_correlations_of_unsure_heritabilities_carry_a_warning(page):
    words = page.words["correlation"]
    assert "less than 4 standard errors from 0 for SimCLR (GREML), SimCLR (LDSC)" in words
    assert page.row("correlation", "R-NCE")[1:] == ["0.94 [0.91, 0.97]", "", "−0.20 [−0.26, −0.14]"]
    assert any(row[3:] == ["–"] and row[0] == "Regional features" for row in page.rows["correlation"])


def test_cell_types_come_by_strength_and_the_significant_are_marked(page):
    first = page.rows["cells"][1]
    assert first == ["Oligodendrocytes", *["● 4 × 10−4 (0.002)"] * 3]
    assert sum("●" in cell for row in page.rows["cells"] for cell in row) == 6
    assert page.row("peaks", "Oligodendrocytes")[3:] == ["4\u202f000", "0.090", "627", "0.124", "1.37", "3"]


def test_two_expression_tables_are_two_tables(tmp_path):
    table = make_tables()["expression"]
    both = pd.concat([table.assign(data_set="cortex"), table.assign(data_set="cord", p=0.5, q=0.9)])
    found = written(tmp_path, cells=None, partitioned=None, expression=both)
    heads = [row[0] for row in found.rows["cells"] if row[1:2] == ["Regional features"] and row[0][0] == "c"]
    assert heads == ["cortex", "cord"]


def test_individual_data_and_verdicts_are_marked(page):
    assert page.row("handoffs", "regenie") == ["regenie", "3", "2.7 MB", "data of individuals"]
    assert page.row("handoffs", "fuma")[3] == "summary statistics"
    assert page.row("handoffs", "R-NCE")[3:5] == ["not valid", "no: fewer than 100,000"]


def test_commands_of_the_same_kind_are_shown_once(page):
    words = page.words["programs"]
    assert words.count("--geno") == 1 and "# and 21 of the kind for other parts" in words
    assert "PLINK v2.00a3.5" in words and "PLINK v1.90b6.26" in words


def test_few_people_are_no_evidence(tmp_path, page):
    assert "too few for genetics" not in page.words["glance"]
    summary = make_tables()["summary"].assign(people=82)
    words = written(tmp_path, summary=summary).words["glance"]
    assert "82 people are too few for genetics" in words and "36% of the trait's variance" in words
    assert "over 1, more than all that h² can be" in words
    assert not text.few_people(26_000)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_any_table_may_be_absent(name, tmp_path):
    assert "glance" in written(tmp_path, **{name: None}).words


def test_an_empty_run_says_what_is_missing(tmp_path):
    write_page(Found({}), tmp_path / "report.html")
    found = Page(tmp_path / "report.html")
    for section, words in text.ABSENT.items():
        assert f"Not part of this run: {words}" in found.words[section]


def test_pictures_stand_in_their_sections(page, path):
    assert "along the genome" in page.words["association"] and "coloured by linkage" in page.words["loci"]
    assert "my own figure" in page.words["figures"]
    assert path.read_text().count(base64.b64encode(PNG).decode()) == 3


def test_no_id_of_a_person_is_on_the_page(path):
    assert "person-0" not in path.read_text()


def test_text_from_tables_stays_text(path, page):
    assert HOSTILE not in path.read_text() and HOSTILE in page.words["association"]
    assert "<title>Genes &amp; &lt;gaps&gt;</title>" in path.read_text()


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0499, "0.050"), (0.00099, "9.9 × 10<sup>−4</sup>"), (1e-8, "10<sup>−8</sup>"), (5e-8, "5 × 10<sup>−8</sup>"),
     (9.99e-9, "10<sup>−8</sup>"), (np.nan, "–"), (0.0, "≤ 10<sup>−307</sup>")],
)  # fmt: skip
def test_p_values_in_print(value, words):
    assert parts.p_value(value) == words


def test_many_people_are_thinned_and_no_dot_leaves_the_box():
    values = np.random.default_rng(0).normal(size=(30_000, 2))
    drawn = parts.scatter(pd.DataFrame(values, columns=["PC1", "PC2"]), "PC1", "PC2", "people")
    places = np.array(re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn), float)
    assert len(places) == 2000
    assert (places.min(axis=0) >= [22, 7]).all() and (places.max(axis=0) <= [258, 223]).all()


def test_the_script_reads_what_there_is(tmp_path, pictures):
    tables.write_table(make_tables()["steps"], tmp_path / "steps.tsv", "genotype_qc_steps")
    tables.write_table(make_tables()["components"], tmp_path / "components.tsv", "genetic_pcs")
    page = tmp_path / "report.html"
    genetics_page.main(
        SimpleNamespace(
            input=SimpleNamespace(
                steps=tmp_path / "steps.tsv", components=tmp_path / "components.tsv", pictures=[pictures[0].parent]
            ),
            output=SimpleNamespace(page=page),
            params=SimpleNamespace(logs=tmp_path / "logs", rules=["gwas"], **OPTIONS),
        )
    )
    found = Page(page)
    assert found.row("quality", "relatives")[2] == "421" and "along the genome" in found.words["association"]
    assert "Not part of this run" in found.words["programs"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    binary, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no browser here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("profile")
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(service=webdriver.ChromeService(driver), options=options)
    yield opened
    opened.quit()


def test_in_a_browser(browser, path):
    """No error, no request elsewhere, nothing sticks out at three widths, dark is dark, tables sort."""
    run = browser.execute_script
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(f"file://{path}")
    for width in (1280, 800, 390):
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        run("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert run("return document.documentElement.scrollWidth <= innerWidth"), width
    ground = "return getComputedStyle(document.body).backgroundColor"
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        assert run(ground) == colour
    shown = (
        "const table = document.querySelector('#heritability table'); const place = arguments[0];"
        "table.querySelectorAll('thead button')[place].click();"
        "return [...table.tBodies[0].rows].map(row => row.cells[place].textContent)"
    )
    assert run(shown, 4) == ["−0.030", "0.120", "0.466", "0.502", "0.509", "0.548"]
    assert run(shown, 4) == ["0.548", "0.509", "0.502", "0.466", "0.120", "−0.030"]
    assert run("return document.querySelector('#heritability th[aria-sort]').ariaSort") == "descending"
    assert run(shown, 1) == ["GREML"] * 3 + ["LDSC"] * 3
    assert run("return window.hacked") is None
    assert browser.get_log("browser") == []
    sent = [entry["message"] for entry in browser.get_log("performance") if 'requestWillBeSent"' in entry["message"]]
    assert any("report.html" in message for message in sent)  # the log does see requests
    assert not [message for message in sent if re.search(r'"url":"(http|ws)', message)]
