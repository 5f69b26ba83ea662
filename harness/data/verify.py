"""`harness data verify`: what a data set holds, compared with what it should hold."""

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from harness.config import SPLITS
from harness.data import DatasetFormat, Expression, Finding
from harness.data.duplicates import Clusters, find_clusters
from harness.data.findings import KINDS, find_defects, find_duplicates
from harness.data.inspection import Inspection, inspect
from harness.errors import HarnessError, suggestion
from harness.plain_yaml import read_yaml

SCHEMA_VERSION = 1
MANIFESTS = Path(__file__).with_name("manifests")


class Known(BaseModel):
    """A defect of the published files."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    count: int
    note: str = ""


class Manifest(BaseModel):
    """What a published data set holds, its defects included."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    dataset: str
    expressions: dict[str, int]
    image_size: tuple[int, int] | None = None  # height, width
    categories: dict[int, str] = {}
    known: dict[str, Known] = {}


@dataclass(frozen=True, slots=True)
class Verification:
    """A data set as it was found."""

    root: Path
    reader: str
    manifest: Manifest | None
    max_tokens: int
    exact_tokens: bool  # False: words were counted, a WordPiece tokenizer may make more
    expressions: list[Expression]
    tokens: list[int]  # of each expression, [CLS] and [SEP] included
    inspection: Inspection
    clusters: Clusters  # of `findings.decoded_images(inspection)`
    findings: list[Finding]  # by kind, in the order of KINDS
    severities: Mapping[str, str] = field(default_factory=dict)  # "error" or "warning", by kind

    @property
    def errors(self) -> int:
        """Findings that are errors."""
        return sum(self.severities[finding.kind] == "error" for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Findings by kind, in the order of KINDS, without kinds that do not occur."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def to_dict(self) -> dict[str, Any]:
        """The content of `--json`."""
        per_split = Counter(expression.split for expression in self.expressions)
        return {
            "schema_version": SCHEMA_VERSION,
            "root": str(self.root),
            "reader": self.reader,
            "expect": self.manifest.dataset if self.manifest else "none",
            "expressions": {split: per_split[split] for split in SPLITS},
            "images": len(self.inspection.images),
            "clusters": len(set(self.clusters.label.tolist())),
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "findings": [
                {"kind": finding.kind, "severity": self.severities[finding.kind]}
                | {key: value for key, value in asdict(finding).items() if key != "kind"}
                for finding in self.findings
            ],
        }


def verify(
    root: Path,
    data_format: DatasetFormat,
    *,
    reader: str,
    expect: str = "none",
    tokenizer: Tokenizer | None = None,
    max_tokens: int = 20,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Read a whole data set and list everything that is wrong with it or worth knowing.

    Args:
        root: the data root.
        data_format: its layout.
        reader: the layout's registered name.
        expect: a manifest: the name of one that the package has, a YAML file, or "none".
        tokenizer: of the networks; without it words and punctuation marks are counted, which is a lower bound.
        max_tokens: what a network reads of a sentence, [CLS] and [SEP] included.
        workers: processes; 0 means one a core.
        progress: called with the expressions done since the last call and their number in all.

    Raises:
        HarnessError: the root is not of this layout, or a record of its tables is broken.
    """
    if not root.is_dir():
        raise HarnessError(
            f"{root} is no folder; name the data root, the folder that holds {data_format.tables[0]}"
        )
    manifest = read_manifest(expect)
    expressions: list[Expression] = []
    lost: list[Finding] = []  # what the reader yields in place of an expression
    for item in data_format.read(root):
        if isinstance(item, Expression):
            expressions.append(item)
        else:
            lost.append(item)
    total = len(expressions)
    inspection = inspect(expressions, workers, (lambda done: progress(done, total)) if progress else None)
    count = _token_counter(tokenizer)
    tokens = [count(expression.sentence) for expression in expressions]
    defects = find_defects(
        root, expressions, inspection, tokens,
        max_tokens=max_tokens, image_size=manifest.image_size if manifest else None,
    )  # fmt: skip
    findings = lost + [finding for _, finding in defects]
    if manifest is not None:
        findings += _compare(manifest, expressions, lost)
    clusters = find_clusters([facts.hash for facts in inspection.images.values() if facts.hash is not None])
    findings += find_duplicates(root, expressions, inspection, clusters)
    order = {kind: position for position, kind in enumerate(KINDS)}
    findings.sort(key=lambda finding: order[finding.kind])
    return Verification(
        root, reader, manifest, max_tokens, tokenizer is not None, expressions, tokens, inspection, clusters,
        findings, _severities(findings, manifest),
    )  # fmt: skip


def summary(verification: Verification, shown: int) -> list[str]:
    """The verification as lines of at most 80 columns.

    Args:
        verification: what `verify` returned.
        shown: errors of a kind to list; of a kind that is a warning, three.
    """
    per_split = Counter(expression.split for expression in verification.expressions)
    manifest, counts = verification.manifest, verification.counts()
    categories = len({expression.category_id for expression in verification.expressions})
    clusters = len(set(verification.clusters.label.tolist()))
    lines = [
        f"{verification.root}",
        f"{len(verification.expressions):,} expressions: "
        + ", ".join(f"{split} {per_split[split]:,}" for split in SPLITS),
        f"{len(verification.inspection.images):,} images, {clusters:,} without near duplicates; "
        f"{categories} {'category' if categories == 1 else 'categories'}",
        "",
    ]
    if counts:
        lines.append(f"{'':<23}{'found':>8}{'known':>8}  severity")
    for kind, found in counts.items():
        known = manifest.known[kind].count if manifest and kind in manifest.known else 0
        lines.append(f"{kind:<23}{found:>8,}{known or '-':>8}  {verification.severities[kind]}")
    for kind, found in counts.items():
        most = shown if verification.severities[kind] == "error" else min(shown, 3)
        lines += ["", f"{kind}: {KINDS[kind].meaning}"]
        messages = [finding.message for finding in verification.findings if finding.kind == kind]
        for message in messages[:most]:
            lines += textwrap.wrap(message, 78, initial_indent="  ", subsequent_indent="    ")
        if found > most:
            lines.append(f"  and {found - most:,} more; --json FILE lists them all")
    warnings = len(verification.findings) - verification.errors
    expected = f" against {manifest.dataset}" if manifest else ""
    verdict = f"{_number(verification.errors, 'error')}, {_number(warnings, 'warning')}{expected}"
    return [*lines, "", verdict]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def read_manifest(expect: str) -> Manifest | None:
    """A manifest by name or file; None for "none".

    Raises:
        HarnessError: there is none of that name, or the file is no manifest.
    """
    if expect == "none":
        return None
    names = manifest_names()
    path = MANIFESTS / f"{expect}.yaml" if expect in names else Path(expect)
    try:
        return Manifest.model_validate(read_yaml(path))
    except FileNotFoundError:
        raise HarnessError(
            f"--expect {expect}: there is no such manifest.{suggestion(expect, [*names, 'none'])} Known: "
            f"{', '.join(names)}, a YAML file, or none"
        ) from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise HarnessError(
            f"{path} is no manifest: {wrong}. Known keys: {', '.join(Manifest.model_fields)}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None


def manifest_names() -> list[str]:
    """The data sets whose manifest the package has."""
    return sorted(path.stem for path in MANIFESTS.glob("*.yaml"))


def _token_counter(tokenizer: Tokenizer | None) -> Callable[[str], int]:
    """Tokens of a sentence, [CLS] and [SEP] included."""
    if tokenizer is not None:
        return lambda sentence: len(tokenizer.encode(sentence).ids)
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    return lambda sentence: len(splitter.pre_tokenize_str(normalizer.normalize_str(sentence))) + 2


def _compare(manifest: Manifest, expressions: list[Expression], lost: list[Finding]) -> list[Finding]:
    """Splits and categories against the manifest."""
    found: list[Finding] = []
    counts = Counter(expression.split for expression in expressions)
    counts.update(finding.split for finding in lost)
    for split, wanted in manifest.expressions.items():
        if counts[split] != wanted:
            message = f"{split} has {counts[split]:,} expressions, {manifest.dataset} has {wanted:,}"
            found.append(Finding("split_count", split, "", None, message))
    for expression in expressions:
        name, number = expression.category, expression.category_id
        known = manifest.categories.get(number, "no such id")
        if manifest.categories and name != known:
            message = (
                f"ref {expression.ref_id}: category {number} is {name!r}, in {manifest.dataset} {known!r}"
            )
            found.append(Finding("unknown_category", expression.split, "", expression.ref_id, message))
    return found


def _severities(findings: list[Finding], manifest: Manifest | None) -> dict[str, str]:
    """A kind is an error unless it is harmless or the manifest knows as many."""
    counts = Counter(finding.kind for finding in findings)
    known = manifest.known if manifest else {}

    def severity(kind: str) -> str:
        expected = known[kind].count if kind in known else 0
        return "warning" if KINDS[kind].harmless or counts[kind] <= expected else "error"

    return {kind: severity(kind) for kind in KINDS}
