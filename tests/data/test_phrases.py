import codecs
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image
from toy import toy_params

from harness.data import Expression, Finding
from harness.data.dataset import ExpressionDataset
from harness.data.phrases import REFSEGRS, RISBENCH
from harness.data.prepare import open_split, prepare
from harness.data.source import record_source
from harness.data.text import load_tokenizer, tokenizer_file
from harness.data.verify import verify
from harness.errors import HarnessError
from harness.registry import DATASETS

SIZE = 32
LISTS = {
    "refsegrs": {
        "train": [("1", "the road in the middle"), ("2", "the car on the road"), ("10", "low vegetation")],
        "val": [("7", "the building on the left")],
        "test": [("1361", "the sidewalk"), ("8", "the tree")],
    },
    "risbench": {
        "train": [
            ("train_0_0", "The plane at the top."),
            ("train_0_1", "The other plane."),
            ("train_1_0", "."),
        ],
        "val": [("val_0_0", "The ship in the harbor")],
        "test": [("test_0_0", "The baseball field"), ("test_12_3", "The bridge over the river")],
    },
}
FOLDERS = {"refsegrs": ("images", "masks", ".tif"), "risbench": ("img_rgb", "mask", ".png")}


@pytest.fixture(params=["refsegrs", "risbench"])
def layout(request):
    return request.param


@pytest.fixture
def root(layout, tmp_path):
    """A small data set as published: TIFFs, every second one compressed with LZW, or PNGs."""
    images, masks, suffix = FOLDERS[layout]
    root = tmp_path / "set"
    (root / images).mkdir(parents=True)
    (root / masks).mkdir()
    rng = np.random.default_rng(5)
    for split, lines in LISTS[layout].items():
        write_list(root, split, *(f"{name} {sentence}" for name, sentence in lines))
        for number, (name, _) in enumerate(lines):
            options = {"compression": "tiff_lzw"} if suffix == ".tif" and number % 2 else {}
            pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / images / (name + suffix), **options)
            Image.fromarray(rectangle(name)).save(root / masks / (name + suffix), **options)
    return root


def rectangle(name):
    """A mask that no other ID has; half of them mark the object by 1, as segmentation maps do, half by 255."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[2 : 5 + len(name), 3 : 6 + sum(map(ord, name)) % 20] = 255 if len(name) % 2 else 1
    return mask


def write_list(root, split, *lines, end="\n"):
    (root / f"output_phrase_{split}.txt").write_bytes("".join(line + end for line in lines).encode())


def read(root, layout):
    return list(DATASETS.load(layout).read(root))


def expressions(root, layout):
    items = read(root, layout)
    assert all(isinstance(item, Expression) for item in items)
    return items


def refusal(root, layout):
    with pytest.raises(HarnessError) as caught:
        read(root, layout)
    return str(caught.value)


def test_both_are_registered():
    assert DATASETS.load("refsegrs") is REFSEGRS
    assert DATASETS.load("risbench") is RISBENCH


def test_every_line_becomes_an_expression_with_its_own_files(root, layout):
    images, masks, suffix = FOLDERS[layout]
    found = expressions(root, layout)
    wanted = [(split, *line) for split, lines in LISTS[layout].items() for line in lines]
    assert [(item.split, item.image.stem, item.sentence) for item in found] == wanted
    for item in found:
        assert item.image == root / images / (item.image.stem + suffix)
        assert item.mask == root / masks / item.image.name
        assert (np.asarray(Image.open(item.mask)) == rectangle(item.image.stem)).all()
        assert (item.category_id, item.category) == (0, "object")


def test_ids_are_the_numbers_of_the_list_or_the_order_of_appearance(root, layout):
    found = expressions(root, layout)
    wanted = {"refsegrs": [1, 2, 10, 7, 1361, 8], "risbench": [0, 1, 2, 3, 4, 5]}[layout]
    assert [item.ref_id for item in found] == wanted
    assert all(item.image_id == item.ann_id == item.ref_id for item in found)
    assert [item.sent_id for item in found] == list(range(6))


@pytest.mark.parametrize("odd", ["007", "12345678901234567890", "-4", "²"])
def test_ids_that_are_no_different_int64s_are_counted(root, layout, odd):
    write_list(root, "train", "7 a", f"{odd} b", "7 c")
    write_list(root, "val", "3 d")
    write_list(root, "test", "7.png e")  # with the file's suffix it is the same ID
    assert [item.ref_id for item in expressions(root, layout)] == [0, 1, 0, 2, 0]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + b"2 the road\n10 the car\n",
        b"2 the road\r\n10 the car\r\n",
        b"2 the road\r10 the car",
        b"\n2\tthe road  \n\n \t\n  10   the car\n\n",
        b"2.tif the road\n10.TIF the car",
    ],
)
def test_ways_to_write_a_list(root, layout, content):
    (root / "output_phrase_train.txt").write_bytes(content)
    found = [item for item in expressions(root, layout) if item.split == "train"]
    assert [(item.image.stem, item.sentence) for item in found] == [("2", "the road"), ("10", "the car")]


def test_characters_that_some_call_line_ends_stay_in_the_sentence(root, layout):
    write_list(root, "train", "1 the caf\u00e9\u2028of the airport\x0b\x85")
    assert expressions(root, layout)[0].sentence == "the caf\u00e9\u2028of the airport"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "output_phrase_val.txt is empty"),
        (codecs.BOM_UTF8 + b"\r\n \n", "output_phrase_val.txt is empty"),
        (b"1 the road\n\n23\n", "output_phrase_val.txt, line 3: '23' has no sentence"),
        (b"1 the road\n24 \t\n", "output_phrase_val.txt, line 2: '24' has no sentence"),
        (b"\0" * 4000, "output_phrase_val.txt, line 1: '\\x00\\x00"),
        (b"1 the road\n2 caf\xe9\n", "output_phrase_val.txt, line 2: byte 5 (0xe9) is not UTF-8"),
        ("1 the road\n".encode("utf-16"), "output_phrase_val.txt, line 1: byte 0 (0xff) is not UTF-8"),
        (
            b"1 a\n../../etc/passwd b\n",
            "output_phrase_val.txt, line 2: '../../etc/passwd' is no ID but a path",
        ),
        (b"a\\b c\n", "is no ID but a path"),
        (b"1\0 c\n", "is no ID but a path"),
    ],
)
def test_lines_that_cannot_be_read_are_refused_by_number(root, layout, content, problem):
    (root / "output_phrase_val.txt").write_bytes(content)
    assert problem in (message := refusal(root, layout))
    assert len(message) < 400


def test_an_id_with_two_sentences_is_one_ref(root, layout):
    first, second = LISTS[layout]["train"][:2]
    write_list(root, "train", " ".join(first), " ".join(second), f"{first[0]} another way to say it")
    found = [item for item in expressions(root, layout) if item.split == "train"]
    assert [item.ref_id for item in found] == [found[0].ref_id, found[1].ref_id, found[0].ref_id]
    assert found[0].image == found[2].image
    assert found[0].sent_id != found[2].sent_id
    assert len({(item.ref_id, item.sentence) for item in found}) == 3


def test_a_line_that_is_there_twice_is_a_finding(root, layout):
    name, sentence = LISTS[layout]["train"][1]
    write_list(root, "val", f"{name} something else", f"{name}\t{sentence} ")
    write_list(root, "test", f"{name} something else")
    items = read(root, layout)
    number = items[1].ref_id
    lost = [item for item in items if isinstance(item, Finding)]
    assert [(item.kind, item.split, item.file, item.id) for item in lost] == [
        ("duplicate_id", "val", "output_phrase_val.txt", number),
        ("duplicate_id", "test", "output_phrase_test.txt", number),
    ]
    assert lost[0].message.startswith("line 2 has the ID")
    assert "line 2 of output_phrase_train.txt" in lost[0].message
    assert "line 1 of output_phrase_val.txt" in lost[1].message
    pairs = [(item.ref_id, item.sentence) for item in items if isinstance(item, Expression)]
    assert len(set(pairs)) == len(pairs) == 4


def test_files_of_another_suffix_are_found(root, layout):
    images, masks, suffix = FOLDERS[layout]
    name = LISTS[layout]["test"][0][0]
    (root / images / (name + suffix)).rename(root / images / f"{name}.JPG")
    (root / masks / (name + suffix)).rename(root / masks / f"{name}.TIFF")
    shutil.copy(root / masks / f"{name}.TIFF", root / masks / f"{name}.npy")
    (root / images / f".{name}.JPG").write_bytes(b"what a file manager leaves")
    item = next(item for item in expressions(root, layout) if item.split == "test")
    assert (item.image.name, item.mask.name) == (f"{name}.JPG", f"{name}.TIFF")


def test_of_two_files_with_one_name_the_published_kind_is_taken(root, layout):
    images, _, suffix = FOLDERS[layout]
    name = LISTS[layout]["test"][0][0]
    for other in (".jpg", ".png", ".tif", ".tiff"):
        (root / images / (name + other)).touch()
    item = next(item for item in expressions(root, layout) if item.split == "test")
    assert item.image.name == name + suffix


@pytest.mark.parametrize(
    ("listed", "file"), [("42", "00042"), ("00042", "42"), ("042", "00042"), ("0", "000")]
)
def test_leading_zeros_do_not_matter(root, layout, listed, file):
    images, masks, suffix = FOLDERS[layout]
    (root / images / (file + suffix)).touch()
    (root / masks / (file + suffix)).touch()
    write_list(root, "test", f"{listed} the road")
    item = expressions(root, layout)[-1]
    assert (item.image, item.mask) == (root / images / (file + suffix), root / masks / (file + suffix))


def test_files_that_are_not_there_are_named_as_published(root, layout):
    images, masks, suffix = FOLDERS[layout]
    write_list(root, "test", "4711 the road")
    item = expressions(root, layout)[-1]
    assert (item.image, item.mask) == (root / images / f"4711{suffix}", root / masks / f"4711{suffix}")


@pytest.mark.parametrize(
    "val", ["output_phrase_valid.txt", "output_phrase_validation.txt", "Output_Phrase_val.TXT"]
)
def test_other_names_of_lists_and_folders(root, layout, val):
    before = expressions(root, layout)
    images, masks, _ = FOLDERS[layout]
    (root / "output_phrase_val.txt").rename(root / val)
    (root / images).rename(root / "Image")
    (root / masks).rename(root / "MASK")
    after = expressions(root, layout)
    assert [item.sentence for item in after] == [item.sentence for item in before]
    assert all(item.image.is_file() and item.mask.is_file() for item in after)
    assert {(item.image.parent.name, item.mask.parent.name) for item in after} == {("Image", "MASK")}


def test_what_is_missing_is_named_with_the_way_out(root, layout):
    images, masks, _ = FOLDERS[layout]
    for name, wanted in (
        (images, "no folder of images"),
        (masks, "no folder of masks"),
        ("output_phrase_test.txt",) * 2,
    ):
        (root / name).rename(root / "elsewhere")
        assert wanted in (message := refusal(root, layout))
        assert str(root) in message
        assert "data.root" in message
        (root / "elsewhere").rename(root / name)
    assert "cannot be read (No such file or directory)" in refusal(root / "nowhere", layout)
    assert f"name {root} as data.root" in refusal(root.parent, layout)


def test_two_lists_of_one_split_are_refused(root, layout):
    write_list(root, "valid", "1 the road")
    assert "output_phrase_val.txt and output_phrase_valid.txt, both lists of val" in refusal(root, layout)


@pytest.mark.parametrize(
    ("name", "refsegrs", "risbench"),
    [
        ("images/1.tif", "images/1.tif", "img_rgb/1.tif"),
        ("RefSegRS/data/Images/1.TIF", "images/1.TIF", "img_rgb/1.TIF"),
        ("RISBench_dataset/img_rgb/test_0_0.png", "images/test_0_0.png", "img_rgb/test_0_0.png"),
        ("RISBench_dataset/mask/test_0_0.png", "masks/test_0_0.png", "mask/test_0_0.png"),
        ("a/b/masks/1.tif", "masks/1.tif", "mask/1.tif"),
        ("output_phrase_train.txt", "output_phrase_train.txt", "output_phrase_train.txt"),
        ("x/Output_phrase_Validation.txt", "output_phrase_val.txt", "output_phrase_val.txt"),
        ("overview.png", None, None),
        ("images/preview/1.tif", None, None),
        ("images/._1.tif", None, None),
        ("__MACOSX/images/1.tif", None, None),
        ("images/readme.txt", None, None),
        ("output_phrase_all.txt", None, None),
    ],
)
def test_where_files_of_an_archive_belong(name, refsegrs, risbench):
    assert REFSEGRS.place(name) == refsegrs
    assert RISBENCH.place(name) == risbench


def test_a_set_put_in_place_file_by_file_reads_as_before(root, layout, tmp_path_factory):
    target = tmp_path_factory.mktemp("placed")
    data_format = DATASETS.load(layout)
    for path in root.rglob("*"):
        if path.is_file() and (name := data_format.place(f"any/{path.relative_to(root)}")):
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copy(path, target / name)
    assert all((target / table).is_file() for table in data_format.tables)
    assert [item.sentence for item in expressions(target, layout)] == [
        item.sentence for item in expressions(root, layout)
    ]


def test_a_format_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(REFSEGRS)).place("a/images/1.tif") == "images/1.tif"


@pytest.fixture
def profile(root, layout, tmp_path):
    return toy_params(
        tmp_path,
        data={"dataset": layout, "reader": layout, "root": str(root), "workers": 1},
        text={"tokenizer": "trained", "vocab_size": 100, "max_tokens": 20},
    )


def test_verify_finds_nothing_wrong(root, layout):
    result = verify(root, DATASETS.load(layout), reader=layout, workers=1)
    assert (result.errors, result.findings) == (0, [])
    assert [facts.area for facts in result.inspection.masks] == [
        np.count_nonzero(rectangle(item.image.stem)) for item in result.expressions
    ]


def test_verify_names_missing_files(root, layout):
    images, masks, suffix = FOLDERS[layout]
    first, second = (name + suffix for name, _ in LISTS[layout]["train"][:2])
    (root / images / first).unlink()
    (root / masks / second).unlink()
    findings = verify(root, DATASETS.load(layout), reader=layout, workers=1).findings
    assert [(item.kind, item.file) for item in findings] == [
        ("missing_image", f"{images}/{first}"),
        ("missing_image", f"{masks}/{second}"),
    ]


def test_prepared_samples_are_the_image_the_mask_and_the_sentence(profile, root, layout):
    images, _, suffix = FOLDERS[layout]
    record_source(profile)
    assert prepare(profile) == {split: len(lines) for split, lines in LISTS[layout].items()}
    rows = [row for split in LISTS[layout] for row in open_split(profile.split_file(split)).to_pylist()]
    assert sorted(row["ref_id"] for row in rows) == sorted(item.ref_id for item in expressions(root, layout))
    data = ExpressionDataset(
        profile.split_file("test"),
        load_tokenizer(tokenizer_file(profile)),
        image_size=2 * SIZE,
        max_tokens=20,
    )
    names = {sentence: name for name, sentence in LISTS[layout]["test"]}
    for row, sample in zip(open_split(profile.split_file("test")).to_pylist(), data, strict=True):
        name = names[row["sentence"]]
        picture = Image.open(root / images / (name + suffix)).resize(
            (2 * SIZE, 2 * SIZE), Image.Resampling.BILINEAR
        )
        assert row["file_name"] == name + suffix
        assert (sample["image"].numpy().transpose(1, 2, 0) == np.asarray(picture)).all()
        assert (sample["mask"].numpy() == (rectangle(name) > 0).repeat(2, axis=0).repeat(2, axis=1)).all()
        assert int(sample["attention_mask"].sum()) > 2


def test_a_picture_under_two_ids_is_one_cluster(profile, root, layout):
    images, _, suffix = FOLDERS[layout]
    first, second = (root / images / (name + suffix) for name, _ in LISTS[layout]["test"])
    shutil.copy(first, second)
    record_source(profile)
    prepare(profile)
    rows = open_split(profile.split_file("test")).to_pylist()
    assert len({row["image_id"] for row in rows}) == 2
    assert len({row["cluster_id"] for row in rows}) == 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGB"])
def test_masks_of_every_mode_are_read_alike(root, layout, mode):
    _, masks, suffix = FOLDERS[layout]
    name = LISTS[layout]["train"][0][0]
    inside = rectangle(name) > 0
    if mode == "I;16":
        picture = Image.fromarray(inside.astype(np.uint16) * 300)
    elif mode == "P":
        picture = Image.fromarray(inside.astype(np.uint8)).convert("P")
    else:
        picture = Image.fromarray(inside.astype(np.uint8) * 255).convert(mode)
    assert picture.mode == mode
    picture.save(root / masks / (name + suffix))
    result = verify(root, DATASETS.load(layout), reader=layout, workers=1)
    assert result.inspection.masks[0].area == inside.sum()
