"""params.yaml: one class a section; unknown keys are refused."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from harness.complaints import complaints
from harness.errors import HarnessError, suggestion
from harness.plain_yaml import read_yaml

VARIANT_ID = re.compile(r"[a-z0-9_]+-[a-z0-9_]+")  # <model>-<variant>; a hyphen separates, so none inside
SPLITS = ("train", "val", "test")
Protocol = Literal["resized", "native"]
Split = Literal["train", "val", "test"]
EvaluatedSplit = Literal["val", "test"]
Defect = Literal[
    "missing_image", "unreadable_image", "image_size", "mask_size", "bad_rle", "empty_mask", "full_mask",
    "missing_annotation", "unknown_category", "long_sentence",
]  # fmt: skip
Positive = Annotated[int, Field(gt=0)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]  # ~ is the home folder


class Section(BaseModel):
    """A part of params.yaml: frozen, strict about its keys; the string below a key is its meaning (`description`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Synthetic(Section):
    """The drawn data set (`harness data synth`)."""

    refs: Annotated[int, Field(ge=10)]
    """Expressions to draw, one an image."""
    size: Annotated[int, Field(ge=48)]
    """Side of an image in pixels."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed draws other images."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that draw; 0: one a core."""


class Source(Section):
    """A place to fetch a data set from: exactly one of these."""

    path: UserPath | None = None
    """A folder or an archive on this machine."""
    url: str | None = None
    """Address of one archive or file."""
    huggingface: str | None = None
    """Repository of a data set on the hub, owner/name."""
    google_drive: str | None = None
    """Id of a folder."""

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a source is one of {', '.join(type(self).model_fields)}")
        return self


class Data(Section):
    """Which data set, in which layout, where."""

    dataset: str
    """The name that is written into every table, and that `harness data fetch` knows the set by."""
    reader: str = "rrsis-d"
    """The layout on disk, a registered data set: rrsis-d, refsegrs, risbench, or one of another package."""
    root: UserPath
    """The folder of the data set; ~ is the home folder."""
    synthetic: Synthetic | None = None
    """Draw the set into `root`; without it the set has to be there or is fetched."""
    sources: tuple[Source, ...] = ()
    """Places to fetch the set from where `root` is missing, tried in this order."""
    sha256: dict[str, str] = {}
    """Checksums of files to fetch, by name, where they are known."""
    drop: tuple[Defect, ...] = ()
    """Defects whose expressions are left out; the others stay, as released."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that read images; 0: one a core."""

    @model_validator(mode="after")
    def _drawn_or_fetched(self) -> "Data":
        if self.synthetic is not None and self.sources:
            raise ValueError("the set is either drawn (synthetic) or fetched (sources); remove one of them")
        return self


class Text(Section):
    """The sentences' tokenizer."""

    tokenizer: str = "bert-base-uncased"
    """`trained`: WordPiece trained on the train split; or a name or folder that transformers' AutoTokenizer takes."""
    vocab_size: Positive = 30522
    """Tokens, at most where the tokenizer is trained."""
    max_tokens: Annotated[int, Field(ge=3)] = 20
    """Tokens of a sentence, [CLS] and [SEP] included; what is longer is cut, as released."""


class Variant(Section):
    """A network: the registered model and the options of its factory."""

    model: str
    """A registered network: lavt, rmsin, mafn, or one of another package."""
    options: dict[str, JsonValue] = {}
    """Arguments of its factory."""


class Run(Section):
    """A trained network: a variant and a seed."""

    variant: str
    """A name under `variants`."""
    seed: Annotated[int, Field(ge=0)]
    """Of the weights at the start, the order of the samples, dropout and black boxes."""
    weights: str | None = None
    """The file that `harness evaluate --weights` took; such a run is not trained here."""


class BlackBoxes(Section):
    """Black squares painted on a share of the train images, at native size, before resizing."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Of the train images."""
    count: tuple[int, int] = (20, 60)
    """Squares an image, from and to, both included."""
    size: Positive = 32
    """Pixels a side."""


class Pretrained(Section):
    """Where the networks start from: hub repositories, or files and folders here."""

    swin: str = "timm/swin_base_patch4_window12_384.ms_in22k"
    """Swin-B, on ImageNet-22k: a repository of timm's hub, or a file."""
    bert: str = "bert-base-uncased"
    """BERT: a repository of the hub, or a folder."""


class Training(Section):
    """What the recipe leaves open, and what departs from it."""

    recipe: Literal["released", "common", "paper"] = "released"
    """Losses, schedule and batch: each network's own script, MAFN's for every network, or MAFN's letter."""
    pretrained: Pretrained | None = Pretrained()
    """Where the networks start from; `true`: the defaults below, `false`: from scratch, every layer of text trained."""
    epochs: Positive | None = None
    """Passes over the train split; null: the recipe's."""
    batch_size: Positive | None = None
    """Samples a step, over all processes; null: the recipe's."""
    micro_batch: Positive | None = None
    """Samples that a process takes at once, the rest of its share accumulates; null: all of them."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """At the start of the schedule; null: the recipe's."""
    black_boxes: BlackBoxes = BlackBoxes()
    """Black squares painted on train images."""
    validate_every: Positive = 1
    """Epochs between two evaluations on val."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Loader processes of each training process."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Of the forward pass; with 16 bits autocast, weights and loss stay in float32."""
    deterministic: bool = False
    """The same bits on the same machine, also on a GPU; slower there."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient; null: no clipping, as released."""
    activation_checkpointing: bool = False
    """Recompute in the backward pass: less memory, more time."""
    channels_last: bool = False
    """Memory layout of the convolutions' weights."""
    compile: bool = False
    """torch.compile: minutes at the start, faster steps."""
    checkpoint_every: Positive = 200
    """Steps between two checkpoints; there is one at every epoch's end, too."""
    curve_every: Positive = 10
    """Steps a point of the training curves."""
    tensorboard: bool = False
    """Write the curves for TensorBoard, too."""
    timeout: Annotated[float, Field(gt=0)] = 600
    """Seconds that a process waits for the others."""

    @field_validator("pretrained", mode="before")
    @classmethod
    def _default_sources(cls, value: Any) -> Any:
        return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


class Evaluation(Section):
    """How trained networks are evaluated."""

    batch_size: Positive = 16
    """Samples a forward pass."""
    protocols: tuple[Protocol, ...] = ("resized", "native")
    """`resized`: at the network's input size, as released; `native`: at the mask's own size."""


class Statistics(Section):
    """Resampling: numbers and seed; and how far off a reproduction may be."""

    resamples: Positive = 10_000
    """Of the bootstrap."""
    permutations: Positive = 10_000
    """Of the permutation test."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of both."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of the intervals."""
    margin: Annotated[float, Field(gt=0)] = 1.0
    """Points within which a value reproduces a published one."""
    splits: Annotated[tuple[EvaluatedSplit, ...], Field(min_length=1)] = ("val", "test")
    """Those that are looked at."""


class Table(Section):
    """A table of the paper: its splits, and its rows with the variants that we measure for them."""

    splits: tuple[Split, ...]
    """The table's splits, in its order."""
    rows: dict[str, str]
    """The paper's rows, named as in `report.published`, and for each the variant that is measured for it."""


class Encoders(Section):
    """What Table I calls the encoders of a network."""

    visual: str
    """Of the image."""
    text: str
    """Of the sentence."""


class Table1(Table):
    """Table I."""

    encoders: dict[str, Encoders] = {}
    """By row, of networks from other packages."""

    @model_validator(mode="after")
    def _of_rows(self) -> "Table1":
        for row in self.encoders:
            if row not in self.rows:
                raise ValueError(f"encoders: {row!r} is no row.{suggestion(row, list(self.rows))}")
        return self


class Tables(Section):
    """Tables I, II and III."""

    table1: Table1
    """The models."""
    table2: Table
    """The parts of MAFN."""
    table3: Table
    """The kernels of MSRC."""


class Report(Section):
    """The HTML report."""

    html: Path
    """The folder of the pages."""
    published: Path = Path("reports/published.yaml")
    """The paper's numbers."""
    gallery: Annotated[int, Field(ge=0, le=300)] = 150
    """Test samples in the gallery of predictions, at most; more would not fit in a page of 5 MB."""
    parity: Path = Path("reports/parity.json")
    """Errors against the released networks' recorded outputs."""
    features: Annotated[int, Field(ge=0)] = 3
    """Test samples whose feature maps the `features` stage keeps; 0: none."""


class Params(Section):
    """params.yaml as a whole. Paths are relative to the project's folder, where every stage runs."""

    profile: str
    """Name of the profile."""
    root: Path
    """From this file's folder to the project's folder; dvc.yaml runs every stage there."""
    params: Path
    """This file, seen from the project's folder."""
    out: Path
    """The folder of what the pipeline makes, except the report."""
    data: Data
    """The data set."""
    text: Text = Text()
    """The tokenizer."""
    image_size: Annotated[int, Field(ge=32)] = 480
    """Side of the networks' input in pixels, and of the `resized` protocol."""
    preset: str
    """Sizes of the networks: mini or swin-b."""
    variants: dict[str, Variant]
    """Networks by the name `<model>-<variant>`."""
    runs: dict[str, Run]
    """Trained networks by the name `<model>-<variant>-s<seed>`; one `train` and one `evaluate` stage each."""
    training: Training
    """Training."""
    evaluation: Evaluation = Evaluation()
    """Evaluation."""
    statistics: Statistics = Statistics()
    """Resampling."""
    tables: Tables
    """The paper's tables."""
    report: Report
    """The report."""

    @model_validator(mode="after")
    def _names_agree(self) -> "Params":
        for name, variant in self.variants.items():
            model = re.sub(r"[^a-z0-9_]", "_", variant.model.lower())
            if not VARIANT_ID.fullmatch(name) or name.split("-")[0] != model:
                raise ValueError(
                    f"variants.{name}: a variant is named <model>-<variant> in lower case, here {model}-..."
                )
        known = list(self.variants)
        for name, run in self.runs.items():
            if run.variant not in self.variants:
                raise ValueError(
                    f"runs.{name}: variant {run.variant!r} is not under variants.{suggestion(run.variant, known)}"
                )
            if name != (expected := f"{run.variant}-s{run.seed}"):
                raise ValueError(f"runs.{name}: with this variant and seed the run is named {expected!r}")
        for number, table in enumerate((self.tables.table1, self.tables.table2, self.tables.table3), 1):
            for row, variant_id in table.rows.items():
                if variant_id not in self.variants:
                    raise ValueError(
                        f"tables.table{number}.rows: {row!r} names the variant {variant_id!r}, which is not under "
                        f"variants.{suggestion(variant_id, known)}"
                    )
        return self

    def run_dir(self, run: str) -> Path:
        """The folder of a run's files."""
        return self.out / "runs" / run

    def split_file(self, split: str) -> Path:
        """The prepared Arrow file of a split."""
        return self.out / "data" / f"{split}.arrow"

    def training_dir(self, run: str) -> Path:
        """The folder of a run in training: its checkpoints, until it is done."""
        return self.out / "training" / run

    @property
    def trains(self) -> bool:
        """Whether a run is trained here; otherwise all are weights files, evaluated."""
        return not self.runs or any(run.weights is None for run in self.runs.values())

    @property
    def statistics_file(self) -> Path:
        """What the `statistics` stage writes."""
        return self.out / "statistics" / "statistics.json"

    @property
    def features_file(self) -> Path:
        """What the `features` stage writes."""
        return self.out / "features" / "features.parquet"

    @property
    def pipeline(self) -> str:
        """The dvc.yaml of this profile, as `dvc repro` takes it."""
        return self.params.with_name("dvc.yaml").as_posix()

    def run_name(self, name: str) -> str:
        """The full name of a run; `mafn-s0` is short for `mafn-full-s0`.

        Raises:
            HarnessError: there is no such run; names the closest one and all there are.
        """
        model, _, seed = name.partition("-s")
        for candidate in (name, f"{model}-full-s{seed}"):
            if candidate in self.runs:
                return candidate
        variants = (model, f"{model}-full")
        same = [run for run, options in self.runs.items() if options.variant in variants]
        if same:
            raise HarnessError(f"{self.params} has no run {name!r}; of {model} it has {', '.join(same)}")
        hint = suggestion(name, list(self.runs))
        raise HarnessError(f"{self.params} has no run {name!r}.{hint} Runs: {', '.join(self.runs)}")


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and validate a params file.

    Raises:
        HarnessError: missing, no YAML, or a wrong key or value; names the file, the key and the value.
    """
    path = Path(path)
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise HarnessError(
            f"{path} does not exist here ({Path.cwd()}); run from the project's folder or name the file with --params"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise HarnessError(f"{path} holds no mapping of sections; see the params.yaml of the project")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise HarnessError(f"{path} is not valid:\n" + "\n".join(complaints(error, Params))) from None
