"""The gallery in a real browser: order, filters, keys, the enlarged view."""

import pytest

pytestmark = pytest.mark.big
CARDS = "#gallery-samples article.sample"


@pytest.fixture
def gallery(reader):
    return reader(viewport={"width": 1280, "height": 900}).read("gallery.html")


def shown(page, attribute):
    return [card.get_attribute(attribute) for card in page.locator(f"{CARDS}:visible").all()]


def order_by(page, order):
    page.locator("#gallery-order").select_option(order)
    return page


@pytest.mark.parametrize(
    ("order", "attribute", "falling"),
    [
        ("spread-down", "data-spread", True),
        ("mean-down", "data-mean", True),
        ("mean-up", "data-mean", False),
        ("share-down", "data-share", True),
        ("share-up", "data-share", False),
    ],
)
def test_samples_are_ordered(gallery, order, attribute, falling):
    values = [float(value) for value in shown(order_by(gallery, order), attribute)]
    assert len(values) == 12
    assert values == sorted(values, reverse=falling)
    assert len(set(values)) > 6, "an order that means something"


def test_the_first_order_is_disagreement(gallery):
    values = [float(value) for value in shown(gallery, "data-spread")]
    assert values == sorted(values, reverse=True)
    assert gallery.locator("#gallery-order").input_value() == "spread-down"


@pytest.mark.parametrize(
    ("control", "attribute"),
    [("#gallery-size", "data-size"), ("#gallery-winner", "data-winner"), ("#gallery-half", "data-half")],
)
def test_a_filter_leaves_what_it_names_and_counts_it(gallery, control, attribute):
    wanted = shown(gallery, attribute)[0]
    matching = shown(gallery, attribute).count(wanted)
    gallery.locator(control).select_option(wanted)
    assert shown(gallery, attribute) == [wanted] * matching
    assert f"{matching} of 12" in gallery.locator("#gallery-count").inner_text()
    gallery.locator("#gallery-reset").click()
    assert len(shown(gallery, attribute)) == 12


def test_a_category_a_word_and_a_range_of_iou(gallery):
    categories = shown(gallery, "data-category")
    gallery.locator("#gallery-category").select_option(index=1)
    assert len(set(shown(gallery, "data-category"))) == 1
    assert 0 < len(shown(gallery, "data-category")) < len(categories)
    gallery.locator("#gallery-reset").click()
    gallery.locator("#gallery-iou-from").fill("50")
    means = [float(value) for value in shown(gallery, "data-mean")]
    assert means
    assert min(means) >= 50
    gallery.locator("#gallery-text").fill("no such words")
    assert shown(gallery, "data-mean") == []
    assert "0 of 12 samples shown" in gallery.locator("#gallery-count").inner_text()


def test_keys_move_between_samples_and_open_one(gallery):
    first, second = shown(gallery, "id")[:2]
    gallery.locator(f"#{first} .sample-open").focus()
    gallery.keyboard.press("j")
    assert gallery.evaluate("document.activeElement.closest('article').id") == second
    gallery.keyboard.press("k")
    assert gallery.evaluate("document.activeElement.closest('article').id") == first
    gallery.keyboard.press("Enter")
    dialog = gallery.locator("#gallery-dialog")
    assert dialog.is_visible()
    assert "1" in gallery.locator("#gallery-place").inner_text()
    one = gallery.locator("#gallery-dialog-notes").inner_text()
    gallery.keyboard.press("ArrowRight")
    assert gallery.locator("#gallery-dialog-notes").inner_text() != one
    gallery.keyboard.press("ArrowLeft")
    assert gallery.locator("#gallery-dialog-notes").inner_text() == one
    gallery.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert gallery.evaluate("document.activeElement.closest('article').id") == first


def test_without_script_all_samples_are_there_with_their_pictures(reader):
    page = reader(java_script_enabled=False).read("gallery.html")
    assert page.locator(f"{CARDS}:visible").count() == 12
    assert page.locator("#gallery-controls").is_hidden()
    assert page.locator(f"{CARDS} .picture:visible").count() >= 12 * 4
