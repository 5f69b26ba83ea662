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

from harness.errors import HarnessError, shown, suggestion
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
    """A part of params.yaml: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Synthetic(Section):
    """The drawn data set (`harness data synth`)."""

    refs: Annotated[int, Field(ge=10)]
    size: Annotated[int, Field(ge=48)]  # pixels a side
    seed: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=0)] = 0  # 0: as many as there are cores


class Source(Section):
    """A place to fetch a data set from: exactly one of these."""

    path: UserPath | None = None  # a folder or an archive on this machine
    url: str | None = None  # of one archive or file
    huggingface: str | None = None  # repository of a data set, owner/name
    google_drive: str | None = None  # id of a folder

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a source is one of {', '.join(type(self).model_fields)}")
        return self


class Data(Section):
    """Which data set, in which layout, where."""

    dataset: str
    reader: str = "rrsis-d"
    root: UserPath
    synthetic: Synthetic | None = None
    sources: tuple[Source, ...] = ()  # fetched from where `root` is missing; tried in this order
    sha256: dict[str, str] = {}  # of files to fetch, where known
    drop: tuple[Defect, ...] = ()  # defects whose expressions are left out; the others stay, as released
    workers: Annotated[int, Field(ge=0)] = 0  # processes that read images; 0: as many as there are cores

    @model_validator(mode="after")
    def _drawn_or_fetched(self) -> "Data":
        if self.synthetic is not None and self.sources:
            raise ValueError("the set is either drawn (synthetic) or fetched (sources); remove one of them")
        return self


class Text(Section):
    """The sentences' tokenizer."""

    tokenizer: str = "bert-base-uncased"  # "trained", or what transformers' AutoTokenizer takes
    vocab_size: Positive = 30522
    max_tokens: Annotated[int, Field(ge=3)] = 20


class Variant(Section):
    """A network: the registered model and the options of its factory."""

    model: str
    options: dict[str, JsonValue] = {}


class Run(Section):
    """A trained network: a variant and a seed."""

    variant: str
    seed: Annotated[int, Field(ge=0)]
    weights: str | None = (
        None  # the file that `harness evaluate --weights` took; such a run is not trained here
    )


class BlackBoxes(Section):
    """Black squares painted on a share of the train images, at native size, before resizing."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.2
    count: tuple[int, int] = (20, 60)  # squares an image, both ends included
    size: Positive = 32  # pixels a side


class Pretrained(Section):
    """Where the networks start from: hub repositories, or files and folders here."""

    swin: str = "timm/swin_base_patch4_window12_384.ms_in22k"  # on ImageNet-22k
    bert: str = "bert-base-uncased"


class Training(Section):
    """What the recipe leaves open, and what departs from it."""

    recipe: Literal["released", "common", "paper"] = "released"
    pretrained: Pretrained | None = Pretrained()  # `false`: from scratch, every layer of text trained
    epochs: Positive | None = None  # None, here and below: the recipe's
    batch_size: Positive | None = None  # samples a step, over all processes
    micro_batch: Positive | None = (
        None  # samples that a process takes at once; the rest of its share accumulates
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    black_boxes: BlackBoxes = BlackBoxes()
    validate_every: Positive = 1
    workers: Annotated[int, Field(ge=0)] = 0
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = (
        "fp32"  # 16 bits: autocast; weights and loss stay in float32
    )
    deterministic: bool = False  # the same bits on the same machine, also on a GPU; slower there
    clip_norm: Annotated[float, Field(gt=0)] | None = None  # of the gradient; None: no clipping, as released
    activation_checkpointing: bool = False  # recompute in the backward pass: less memory, more time
    channels_last: bool = False  # memory layout of the convolutions' weights
    compile: bool = False  # torch.compile: minutes at the start, faster steps
    checkpoint_every: Positive = 200  # steps; also at every epoch's end
    curve_every: Positive = 10  # steps a point of the training curves
    tensorboard: bool = False  # write the curves for TensorBoard, too
    timeout: Annotated[float, Field(gt=0)] = 600  # seconds that a process waits for the others

    @field_validator("pretrained", mode="before")
    @classmethod
    def _default_sources(cls, value: Any) -> Any:
        return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


class Evaluation(Section):
    """How trained networks are evaluated."""

    batch_size: Positive = 16
    protocols: tuple[Protocol, ...] = ("resized", "native")


class Statistics(Section):
    """Resampling: numbers and seed; and how far off a reproduction may be."""

    resamples: Positive = 10_000
    permutations: Positive = 10_000
    seed: Annotated[int, Field(ge=0)] = 0
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    margin: Annotated[float, Field(gt=0)] = 1.0  # points within which a value reproduces a published one
    splits: Annotated[tuple[EvaluatedSplit, ...], Field(min_length=1)] = ("val", "test")  # that are looked at


class Table(Section):
    """A table of the paper: its splits, and its rows with the variants that we measure for them."""

    splits: tuple[Split, ...]
    rows: dict[str, str]


class Encoders(Section):
    """What Table I calls the encoders of a network."""

    visual: str
    text: str


class Table1(Table):
    """Table I."""

    encoders: dict[str, Encoders] = {}  # by row, of networks from other packages

    @model_validator(mode="after")
    def _of_rows(self) -> "Table1":
        for row in self.encoders:
            if row not in self.rows:
                raise ValueError(f"encoders: {row!r} is no row.{suggestion(row, list(self.rows))}")
        return self


class Tables(Section):
    """Tables I, II and III."""

    table1: Table1
    table2: Table
    table3: Table


class Report(Section):
    """The HTML report."""

    html: Path
    published: Path = Path("reports/published.yaml")
    gallery: Annotated[int, Field(ge=0, le=300)] = 150  # samples; more would not fit in a page of 5 MB
    parity: Path = Path("reports/parity.json")  # errors against the released networks' recorded outputs
    features: Annotated[int, Field(ge=0)] = 3  # test samples whose feature maps are kept


class Params(Section):
    """params.yaml as a whole. Paths are relative to the project's folder, where every stage runs."""

    profile: str
    root: Path
    params: Path
    out: Path
    data: Data
    text: Text = Text()
    image_size: Annotated[int, Field(ge=32)] = 480
    preset: str
    variants: dict[str, Variant]
    runs: dict[str, Run]
    training: Training
    evaluation: Evaluation = Evaluation()
    statistics: Statistics = Statistics()
    tables: Tables
    report: Report

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
        raise HarnessError(f"{path} is not valid:\n" + "\n".join(_complaints(error))) from None


EXPECTED = {  # in the terms of YAML
    "tuple_type": "expected a list, [first, second]",
    "model_type": "expected a mapping, {key: value}",
}


def _complaints(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            fields = _fields_at(problem["loc"][:-1])
            key = str(problem["loc"][-1])
            lines.append(f"  {where}: unknown key.{suggestion(key, fields)} Known: {', '.join(fields)}")
        elif problem["type"] == "missing":
            lines.append(f"  {where}: missing")
        else:
            message = EXPECTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            given = "" if isinstance(problem["input"], dict) else f" (given: {shown(problem['input'])})"
            lines.append(f"  {where + ': ' if where else ''}{message}{given}")
    return lines


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    section: Any = Params
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else section
        found = [
            candidate
            for candidate in (annotation, *getattr(annotation, "__args__", ()))
            if isinstance(candidate, type) and issubclass(candidate, Section)
        ]
        section = found[0] if found else section
    return list(section.model_fields)
