import base64
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from harness.config import SPLITS
from harness.data import Finding
from harness.data.card import numbers, write_card
from harness.data.card.figures import length_histogram, position_maps
from harness.data.card.wording import percent, share_text, splits_text, verdict
from harness.data.drawing.synthetic import write_dataset
from harness.data.duplicates import find_clusters
from harness.data.findings import KINDS
from harness.data.inspection import Inspection, MaskFacts
from harness.data.refer import IMAGES, INSTANCES, REFS
from harness.data.source import find_format
from harness.data.verify import Known, Manifest, verify
from harness.errors import HarnessError

SIZE = 64
VOID = {"meta", "img", "wbr", "br", "link", "hr", "input", "col"}
LONG = "The <b>grey</b> & small one " + "to the left of the other one " * 4


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def check(root, expect="none", **options):
    return verify(root, find_format("rrsis-d"), reader="rrsis-d", expect=str(expect), workers=1, **options)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A drawn set as it is."""
    root = tmp_path_factory.mktemp("card") / "sound-set"
    write_dataset(root, refs=40, size=SIZE, seed=3, workers=1)
    return check(root)


@pytest.fixture(scope="module")
def planted(tmp_path_factory, sound):
    """The same set with every kind of defect, and where each is."""
    root = tmp_path_factory.mktemp("card") / "planted-set"
    shutil.copytree(sound.root, root)
    refs, tables = pickle.loads((root / REFS).read_bytes()), json.loads((root / INSTANCES).read_text())
    annotations = {record["id"]: record["segmentation"][0] for record in tables["annotations"]}
    of = {split: [r["ref_id"] for r in refs if r["split"] == split and r["ref_id"] > 12] for split in SPLITS}
    by_id = {ref["ref_id"]: ref for ref in refs}

    def file(number):
        return root / IMAGES / f"{number:05d}.jpg"

    file(1).unlink()
    file(2).write_bytes(file(2).read_bytes()[:700])
    annotations[3]["counts"] = annotations[3]["counts"][:-2]
    annotations[4]["counts"] = encode(np.zeros((SIZE, SIZE)))
    annotations[5]["counts"] = encode(np.ones((SIZE, SIZE)))
    Image.open(file(6)).resize((2 * SIZE, SIZE)).save(file(6))
    box = np.zeros((SIZE, SIZE))
    box[8:24, 32:56] = 1
    annotations[7]["counts"] = encode(box)
    by_id[7]["sentences"][0]["raw"] = LONG
    by_id[8]["ann_id"] = 999
    tables["annotations"][8]["categories_id"] = 77  # annotation 9
    tables["images"].append(dict(tables["images"][0]))
    train, test = of["train"], of["test"]
    shutil.copy(file(train[0]), file(train[1]))
    shutil.copy(file(train[2]), file(test[0]))
    Image.open(file(train[3])).save(file(test[1]), quality=50)
    (root / REFS).write_bytes(pickle.dumps(refs))
    (root / INSTANCES).write_text(json.dumps(tables))
    manifest = root.parent / "planted.yaml"
    manifest.write_text(
        "dataset: drawn\nexpressions: {train: 28, val: 5, test: 8}\nknown:\n"
        "  image_size: {count: 1, note: wide}\n  mask_size: {count: 1}\n"
    )
    return check(root, manifest)


class Page(HTMLParser):
    """Elements of a page with their attributes and text; tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.elements = text, [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        element["inside"] = [one.get("id") for one in self.open if one.get("id")]
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append({"tag": tag, "text": "", **dict(attributes)})

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


def words(text):
    return " ".join(text.split())


def render(verification, folder):
    write_card(verification, folder / "card.html")
    return (folder / "card.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(planted, tmp_path_factory):
    return render(planted, tmp_path_factory.mktemp("page"))


def group(page, kind):
    """The examples of a kind."""
    start = page.index(f'<h3 class="kind-title"><code>{kind}</code>')
    end = page.find('<h3 class="kind-title">', start + 1)
    return page[start : end if end > 0 else page.index('<section id="categories"')]


def pictures(part):
    """The pictures in a part of the page."""
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', part)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGB"), float) for code in found
    ]


def rows(page, label):
    """The body of the table in the box of that label, cell by cell."""
    part = page[page.index(f'aria-label="{label}"') :]
    part = part[part.index("<tbody>") : part.index("</table>")]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in part.split("<tr")[1:]]
    return [[words(re.sub(r"<[^>]+>", " ", cell)) for cell in row] for row in cells]


# the page as a page ---------------------------------------------------------------------------------------------------


def test_every_kind_is_planted(planted):
    assert set(planted.counts()) == set(KINDS)


def test_page_is_whole_self_contained_and_accessible(page):
    parsed = Page(page)
    assert not parsed.all("script")
    assert not [e for e in parsed.elements if e["tag"] in ("link", "iframe", "object")]
    outside = [e.get("src") or e.get("href") or "#" for e in parsed.elements]
    assert all(target.startswith(("#", "data:image/webp;base64,")) for target in outside)
    ids = [e["id"] for e in parsed.elements if "id" in e]
    assert len(ids) == len(set(ids))
    labels = " ".join(e["aria-labelledby"] for e in parsed.elements if "aria-labelledby" in e).split()
    targets = [target[1:] for target in outside if len(target) > 1 and target.startswith("#")]
    assert set(labels) | set(targets) <= set(ids)
    assert re.findall(r"url\((?!#)", page) == []
    assert len(parsed.all("img")) > 20
    assert all(image["alt"] for image in parsed.all("img"))
    assert len(parsed.all("table")) == len(parsed.all("caption")) == 9
    assert all(words(caption["text"]) for caption in parsed.all("caption"))
    charts = [e for e in parsed.all("svg") if e.get("role") == "img"]
    assert len(charts) == 7
    for word in ("None", "nan", "inf", "{{", "{%"):
        assert not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", parsed.all("body")[0]["text"])
    assert len(page.encode()) < 1_500_000


def test_same_data_gives_the_same_bytes_in_another_process(planted, page, tmp_path):
    script = tmp_path / "again.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom harness.data.card import write_card\n"
        "from harness.data.source import find_format\nfrom harness.data.verify import verify\n"
        "root, manifest, out = sys.argv[1:]\n"
        "found = verify(Path(root), find_format('rrsis-d'), reader='rrsis-d', expect=manifest, workers=1)\n"
        "write_card(found, Path(out))\n"
    )
    manifest = planted.root.parent / "planted.yaml"
    command = [sys.executable, script, planted.root, manifest, tmp_path / "again.html"]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "7"}, timeout=120)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_sentences_are_text_and_not_markup(page):
    assert "The &lt;b&gt;grey&lt;/b&gt; &amp; small one" in group(page, "long_sentence")
    assert "<b>grey" not in page


def test_a_page_that_cannot_be_written_is_one_clear_message(sound, tmp_path):
    (tmp_path / "none").write_text("a file")
    with pytest.raises(HarnessError, match=r"none/card\.html"):
        write_card(sound, tmp_path / "none" / "card.html")


# findings -------------------------------------------------------------------------------------------------------------


def test_every_kind_stands_in_one_table_row_or_among_the_absent(page, sound, planted, tmp_path):
    assert {row[0].split()[0]: int(row[1]) for row in rows(page, "Findings by kind")} == planted.counts()
    assert "Looked for and not found" not in page
    clean = render(replace(sound, findings=[]), tmp_path)
    absent = re.findall(r"<li><code>(\w+)</code>", clean)
    assert absent == [kind for kind in KINDS if kind != "split_count"]  # nothing to compare with
    assert "There is nothing to show" in clean


def test_rows_say_what_is_known_how_severe_it_is_and_what_prepare_does(page):
    table = {row[0].split()[0]: row[1:] for row in rows(page, "Findings by kind")}
    assert table["image_size"] == [
        "1",
        "1",
        "warning",
        "test: 1",
        f"{KINDS['image_size'].treatment} Known: wide.",
    ]
    assert table["missing_image"][1:3] == ["0", "error"]
    assert table["full_mask"][1:3] == ["0", "warning"]
    assert [row[3] for row in rows(page, "Findings by kind")] == ["error"] * 8 + ["warning"] * 7


def test_a_known_kind_that_is_not_there_is_listed(sound, tmp_path):
    manifest = Manifest(dataset="it", expressions={}, known={"empty_mask": Known(count=3, note="published")})
    page = render(replace(sound, manifest=manifest), tmp_path)
    assert ["0", "3", "not found"] in [row[1:4] for row in rows(page, "Findings by kind")]


def test_splits_stand_beside_what_the_manifest_expects(page):
    scores = re.findall(r'<div class="score">(.*?)</div>', page, re.DOTALL)
    told = [words(re.sub(r"<[^>]+>", " ", score)) for score in scores]
    # one of train and one of val: the refs 8 and 9, whose annotation or category is not there
    assert told[0] == "train 27 expressions, drawn has 28 ; 1 more could not be read"
    assert told[1] == "val 3 expressions, drawn has 5 ; 1 more could not be read"
    assert told[2] == "test 8 expressions, as many as drawn has"


@pytest.mark.parametrize(
    ("found", "known", "expected"),
    [
        ({}, {}, "Sound: no errors and no warnings."),
        ({"full_mask": 1}, {}, "Sound: no errors; the one warning is a fact worth knowing, not a fault of the files."),
        ({"empty_mask": 3, "image_size": 17}, {"empty_mask": 3, "image_size": 17}, "20 warnings, all known of it."),
        ({"empty_mask": 3, "full_mask": 2}, {"empty_mask": 3}, "5 warnings: 3 faults known of it, 2 facts worth"),
        ({"empty_mask": 4}, {"empty_mask": 3}, "4 errors (empty_mask 4)."),
        ({"bad_rle": 1, "full_mask": 1}, {}, "1 error (bad_rle 1) and 1 warning."),
        (dict.fromkeys(list(KINDS)[:6], 2), {}, "12 errors (missing_image 2, unreadable_image 2, image_size 2, "
         "mask_size 2 and 2 more kinds)."),
    ],
)  # fmt: skip
def test_verdict(sound, found, known, expected):
    findings = [Finding(kind, "train", "", 1, "") for kind, many in found.items() for _ in range(many)]
    manifest = Manifest(dataset="it", expressions={}, known={k: Known(count=n) for k, n in known.items()})
    severities = {
        kind: "warning" if KINDS[kind].harmless or found.get(kind, 0) <= known.get(kind, 0) else "error"
        for kind in KINDS
    }
    assert expected in verdict(replace(sound, findings=findings, manifest=manifest, severities=severities))


# examples -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("missing_image", "00001.jpg", "it does not exist"),
        ("unreadable_image", "00002.jpg", "image file is truncated"),
        ("bad_rle", "00003.jpg", "no mask to outline"),
        ("empty_mask", "00004.jpg", "the mask is empty"),
        ("full_mask", "00005.jpg", "covers the whole image"),
        ("mask_size", "00006.jpg", "its image 128 x 64"),
        ("image_size", "00006.jpg", "not 64 x 64"),
        ("long_sentence", "00007.jpg", "tokens, 20 are read"),
        ("missing_annotation", "00008.jpg", "annotation 999, which is not there"),
        ("unknown_category", "instances.json", "categories_id 77"),
        ("duplicate_id", "instances.json", "has the id 1 once more"),
        ("split_count", "", "4 expressions, drawn has 5"),
    ],
)
def test_examples_show_file_and_reason(page, kind, name, reason):
    part = group(page, kind)
    assert name in part
    assert reason in part


def test_truncated_image_is_a_placeholder_and_an_undecodable_mask_leaves_the_image(page, planted):
    assert not pictures(group(page, "unreadable_image"))
    assert 'class="no-tile">image file is truncated' in group(page, "unreadable_image")
    (shown,) = pictures(group(page, "bad_rle"))
    original = np.asarray(Image.open(planted.root / IMAGES / "00003.jpg"), float)
    assert np.abs(shown - original).mean() < 6  # WebP's loss


def test_mask_is_outlined_and_the_rest_darkened(page, planted):
    examples = group(page, "long_sentence").split('<li class="example">')
    (shown,) = pictures(next(example for example in examples if "The &lt;b&gt;grey" in example))
    original = np.asarray(Image.open(planted.root / IMAGES / "00007.jpg"), float)
    inside, outside = (slice(10, 22), slice(34, 54)), (slice(34, 60), slice(2, 60))
    assert np.abs(shown[inside] - original[inside]).mean() < 12
    assert 0.3 < shown[outside].mean() / original[outside].mean() < 0.6
    edge = shown[7, 34:54].mean()
    assert edge > 200 > original[7, 34:54].mean()  # the white line just above the mask


def test_image_of_another_shape_keeps_it(page):
    (shown,) = pictures(group(page, "mask_size"))
    assert shown.shape[1] == 2 * shown.shape[0]


def test_duplicates_stand_side_by_side(page, planted):
    first, second, *others = pictures(group(page, "duplicate_image"))
    assert len(others) == 2  # two pairs
    assert np.array_equal(first, second)
    near = pictures(group(page, "near_duplicate_image"))
    assert len(near) == 2
    assert 0 < np.abs(near[0] - near[1]).mean() < 12
    across = group(page, "cross_split_duplicate")
    assert len(pictures(across)) == 4
    assert [c.split(" · ")[1] for c in re.findall(r"<figcaption>(.*?)</figcaption>", across)] == [
        "train",
        "test",
    ] * 2


def test_duplicates_of_different_clusters_come_first(sound, tmp_path):
    root = tmp_path / "copies"
    shutil.copytree(sound.root, root)
    for number in range(2, 10):
        shutil.copy(root / IMAGES / "00001.jpg", root / IMAGES / f"{number:05d}.jpg")
    shutil.copy(root / IMAGES / "00020.jpg", root / IMAGES / "00030.jpg")
    found = check(root)
    part = group(render(found, tmp_path), "duplicate_image")
    names = re.findall(r"(\d{5})\.jpg has the bytes of", part)
    assert names == ["00002", "00030", "00003", "00004", "00005", "00006"]
    assert "And 3 more: see" in part


def test_thousands_of_findings_stay_small(planted, tmp_path):
    many = replace(planted, findings=[finding for finding in planted.findings for _ in range(1000)])
    page = render(many, tmp_path)
    assert len(page.encode()) < 1_500_000
    assert group(page, "empty_mask").count('<li class="example">') == 6
    assert "And 994 more" in group(page, "empty_mask")


def test_images_that_went_away_since_are_placeholders(sound, tmp_path):
    shutil.copytree(sound.root, tmp_path / "set")
    found = check(tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / IMAGES)
    page = render(found, tmp_path)
    assert not pictures(page)
    assert page.count("it does not exist") >= 12  # the smallest and largest masks


# numbers --------------------------------------------------------------------------------------------------------------


def test_categories_are_counted_by_split(page, planted):
    expected = Counter((e.category, e.split) for e in planted.expressions)
    names = {name for name, _ in expected}
    table = {
        row[0]: [int(cell) for cell in row[2:6]] for row in rows(page, "Expressions by category and split")
    }
    assert table == {
        n: [sum(expected[n, s] for s in SPLITS), *(expected[n, s] for s in SPLITS)] for n in names
    }
    totals = [row[0] for row in table.values()]
    assert totals == sorted(totals, reverse=True)


def test_categories_beyond_the_most_are_summed(sound, tmp_path):
    expressions = [replace(e, category=f"c{i:03d}") for i, e in enumerate(sound.expressions * 2)]
    table = replace(
        sound, expressions=expressions, tokens=sound.tokens * 2,
        inspection=Inspection(sound.inspection.images, sound.inspection.masks * 2),
    )  # fmt: skip
    last = rows(render(table, tmp_path), "Expressions by category and split")[-1]
    assert last[:3] == ["20 more", "", "20"]
    assert sum(map(int, last[3:6])) == 20


def test_sizes_are_the_masks(page, planted):
    tables = json.loads((planted.root / INSTANCES).read_text())
    area = {}
    for record in tables["annotations"]:
        if record["id"] not in (3, 4, 8, 9):  # damaged, empty, not reached
            (coded,) = record["segmentation"]
            area[record["id"]] = coco_mask.decode(coded | {"counts": coded["counts"].encode()}).mean()
    whole = rows(page, "Mask sizes by split")[-1]
    shares = 100 * np.array(list(area.values()))
    assert whole[:2] == ["all", str(len(shares))]
    assert whole[2:7] == [f"{value:.3f}" for value in np.quantile(shares, [0, 0.05, 0.5, 0.95, 1])]
    assert whole[7] == f"{100 * (shares < 1).mean():.1f}%"
    smallest, largest = re.findall(r'<div class="strip">(.*?)</div>', page, re.DOTALL)
    assert [float(value) for value in re.findall(r"<figcaption>([\d.]+)%", smallest)] == pytest.approx(
        np.sort(shares)[:6], rel=0.05
    )
    assert [float(value) for value in re.findall(r"<figcaption>([\d.]+)%", largest)] == pytest.approx(
        np.sort(shares)[:-7:-1], rel=0.05
    )


def test_sentences_and_words(page, planted):
    whole = rows(page, "Sentences by split")[-1]
    sentences = [e.sentence for e in planted.expressions]
    cut = sum(tokens > 20 for tokens in planted.tokens)
    assert whole == [
        "all", str(len(sentences)), str(len(set(sentences))), f"{np.median(planted.tokens):g}",
        str(max(planted.tokens)), str(cut), f"{100 * cut / len(sentences):.1f}%",
    ]  # fmt: skip
    counted = Counter(re.findall(r"[a-z]+", " ".join(sentences).lower()))
    assert rows(page, "Most frequent words")[0][0] == "the"
    assert all(int(row[2]) == counted[row[0]] for row in rows(page, "Most frequent words"))
    assert "are lower bounds" in page


def test_exact_tokens_are_called_exact(sound, tmp_path):
    page = render(replace(sound, exact_tokens=True), tmp_path)
    assert "lower bounds" not in page
    assert "own tokenizer" in page


def test_ninths(planted):
    table = numbers.expression_table(planted)
    only = table[[e.ref_id == 7 for e in planted.expressions]]  # a box at the top, right of the middle
    assert numbers.ninths(only).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert numbers.ninths(table).sum() == pytest.approx(1)


def test_position_map_is_upright_and_not_mirrored():
    table = pd.DataFrame({"split": "val", "x": [0.9], "y": [0.1]})  # at the top right
    ((split, svg),) = position_maps(table, ["val"])
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    (cell,) = re.findall(r'<path d="([^"]+)"[^>]*style="[^"]*fill: var\(--accent\)', svg)
    x, y = np.array([float(number) for number in re.findall(r"[\d.]+", cell)]).reshape(-1, 2).T
    assert split == "val"
    assert x.min() > width / 2
    assert y.max() < height / 2


def test_bars_beyond_what_is_read_are_hollow():
    svg = length_histogram(np.array([5, 5, 6, 20, 21, 22, 22, 300]), 20)
    assert len(re.findall(r'style="fill: var\(--accent\); opacity', svg)) == 3  # 5, 6 and 20
    assert (
        len(re.findall(r'style="fill: var\(--paper\); stroke: var\(--accent\)', svg)) == 3
    )  # 21, 22, 60 and more
    assert "(the last bar: 60 and more)" in svg
    assert "4 of 8 sentences have more than 20 tokens" in svg


def test_images_clusters_and_leakage(page, planted):
    assert rows(page, "Image sizes") == [["64 × 64", "35", "97.2%"], ["128 × 64", "1", "2.8%"]]
    assert rows(page, "Clusters of duplicates") == [["2", "3", "6"]]
    assert rows(page, "Expressions that share a picture with train") == [
        ["val", "3", "0", "0.0%"],
        ["test", "8", "2", "25.0%"],
    ]
    assert "Leakage.</strong> 2 of 8 test expressions (25.0%) are on a picture that train has" in page


# sets that lack something ---------------------------------------------------------------------------------------------


def test_without_a_manifest(sound, tmp_path):
    page = render(sound, tmp_path)
    assert "no manifest" in page
    assert "Known" not in page[page.index("<body>") :]
    assert "<h1>sound-set</h1>" in page


def test_one_category_in_one_split(sound, tmp_path):
    expressions = [replace(e, category="object", split="test") for e in sound.expressions]
    page = render(replace(sound, expressions=expressions), tmp_path)
    assert "All 40 expressions are of the one category object." in page
    assert [row[0] for row in rows(page, "Mask sizes by split")] == ["test"]
    assert "Leakage" not in page


def test_no_mask_can_be_decoded(sound, tmp_path):
    masks = [MaskFacts(None, problem="no") for _ in sound.expressions]
    page = render(replace(sound, inspection=Inspection(sound.inspection.images, masks)), tmp_path)
    assert page.count("No mask with a pixel could be decoded.") == 2
    Page(page)


def test_no_expression_can_be_read(planted, tmp_path):
    lost = [finding for finding in planted.findings if finding.file.startswith("rrsisd/")]
    empty = replace(
        planted, expressions=[], tokens=[], inspection=Inspection({}, []), clusters=find_clusters([]), findings=lost
    )  # fmt: skip
    page = render(empty, tmp_path)
    Page(page)
    assert "No expression could be read." in page
    assert "annotation 999, which is not there" in page


def test_masks_in_files(tmp_path):
    """A layout whose images and masks are TIFF files, one mask gone."""
    root = tmp_path / "phrases"
    generator = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(1, 7):
        noise = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{number}.tif")
        Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), 15)).save(root / "masks" / f"{number}.tif")
    (root / "masks" / "2.tif").unlink()
    for split, numbers_of in {"train": (1, 2), "val": (3, 4), "test": (5, 6)}.items():
        lines = "".join(f"{number} the road number {number}\n" for number in numbers_of)
        (root / f"output_phrase_{split}.txt").write_text(lines)
    found = verify(root, find_format("refsegrs"), reader="refsegrs", workers=1)
    page = render(found, tmp_path)
    part = group(page, "missing_image")
    assert "masks/<wbr>2.tif" in part
    assert "the road number 2" in part
    assert len(pictures(part)) == 1  # the image is there
    assert [row[1] for row in rows(page, "Mask sizes by split")] == ["1", "2", "2", "5"]


# wording --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (1, "100%"), (0.4567, "46%"), (0.0134, "1.3%"), (0.0000016, "0.00016%")]
)
def test_share_text(share, text):
    assert share_text(share) == text


def test_percent_never_calls_few_none():
    assert [percent(share) for share in (0, 0.0001, 0.0005, 1)] == ["0.0%", "under 0.1%", "0.1%", "100.0%"]


def test_splits_text():
    assert [splits_text(split) for split in ("", "val", "test, train, val")] == [
        "no split", "val", "train + val + test",
    ]  # fmt: skip


def test_heavy_libraries_wait_until_the_page_is_written():
    code = "import sys, harness.data.card; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert told.stdout.split() == ["False", "False"]
