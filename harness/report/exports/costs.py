"""The tables of what the networks cost, of their feature maps, and of the trainings' phases."""

from harness.report.exports.papers import about, one_group
from harness.report.exports.table import Cell, Column, Export, missing, optional, text
from harness.report.provenance import phase_rows
from harness.report.sections import Inputs

SEVERAL = "timed under several conditions"


def efficiency_export(inputs: Inputs) -> Export:
    """What each variant costs beside what it scores."""
    found = inputs.efficiency

    def timed(value: float | None, conditions: tuple[str, ...]) -> Cell:
        return optional(value, SEVERAL if len(conditions) > 1 else "not recorded")

    rows = (
        (
            text(row.variant),
            Cell(row.runs),
            optional(row.parameters, "not recorded"),
            optional(row.gflop, "not recorded"),
            timed(row.evaluation_rate, row.evaluated_on),
            timed(row.network_rate, row.evaluated_on),
            timed(row.evaluation_memory, row.evaluated_on),
            timed(row.training_rate, row.trained_on),
            timed(row.training_memory, row.trained_on),
            missing("not evaluated") if row.miou is None else Cell(row.miou.value, row.miou.interval),
            text(" ".join(row.evaluated_on) or "not recorded"),
            text(" ".join(row.trained_on) or "not recorded"),
        )
        for row in found.rows
    )
    conditions = [
        f"{what} under {one.letter}: {one.text} ({', '.join(one.runs)})."
        for what, letters in (("Evaluated", found.evaluation), ("Trained", found.training))
        for one in letters
    ]
    return Export(
        name="efficiency",
        title="Cost beside quality",
        caption=(
            "Operations of one forward pass on one image, a multiplication and an addition counted as two. Images a "
            "second and memory hold for the machine that they were taken on."
        ),
        columns=(
            Column("variant", "Variant"),
            Column("runs", "Runs", "count"),
            Column("parameters", "Parameters", "count"),
            Column("gflop_an_image", "GFLOP an image", "real", decimals=3),
            Column("evaluation_images_per_second", "Evaluation, whole: images/s", "real", decimals=1),
            Column("forward_images_per_second", "Evaluation, forward: images/s", "real", decimals=1),
            Column("evaluation_peak_gb", "Evaluation: peak GB", "real"),
            Column("training_images_per_second", "Training: images/s", "real", decimals=1),
            Column("training_peak_gb", "Training: peak GB", "real"),
            Column("test_mIoU", "Test mIoU", "percent", interval="below"),
            Column("evaluated_under", "Evaluated under"),
            Column("trained_under", "Trained under"),
        ),
        groups=(one_group(inputs, rows),),
        notes=(*conditions, *(f"{gap}." for gap in found.gaps)),
        **about(inputs),
    )


def features_export(inputs: Inputs) -> Export:
    """How much of each feature map lies inside the true mask."""
    found = inputs.features
    rows = []
    for sample in found.samples:
        for step in sample.steps:
            names = (Cell(sample.ref_id), text(sample.sentence), text(step.name), text(step.run or "no run"))
            inside = (
                [missing(step.gap)] * len(sample.scales)
                if step.gap
                else [optional(picture.inside, "zero everywhere") for picture in step.pictures]
            )
            rows.append((*names, Cell(sample.covered), *inside))
    stages = max((len(sample.scales) for sample in found.samples), default=4)
    return Export(
        name="features",
        title="Feature maps inside the true mask",
        caption=(
            "Share of the sum of a map, the L2 norm over channels of what the decoder is given from a stage, that lies "
            "inside the true mask, beside the share of the image that the mask covers. Descriptive, no test."
        ),
        columns=(
            Column("ref_id", "Ref", "count"),
            Column("sentence", "Sentence"),
            Column("step", "Step"),
            Column("run", "Run"),
            Column("mask", "Mask", "percent", decimals=1),
            *(Column(f"stage_{n}", f"Stage {n}", "percent", decimals=1) for n in range(1, stages + 1)),
        ),
        groups=(one_group(inputs, rows),),
        notes=tuple(f"{gap}." for gap in found.gaps),
        **about(inputs),
    )


def durations_export(inputs: Inputs) -> Export:
    """Seconds of each phase of the trainings."""
    phases, found = phase_rows(inputs.runs)
    rows = (
        (
            text(row.run),
            *(optional(value, "not recorded") for value in row.seconds),
            optional(row.total, "not recorded"),
            optional(row.sessions, "not recorded"),
            text(row.finished or "not recorded"),
        )
        for row in found
    )
    return Export(
        name="durations",
        title="Durations of the trainings",
        caption="Wall-clock seconds of each phase; exactly one phase runs at any time, so they add up.",
        columns=(
            Column("run", "Run"),
            *(Column(phase.replace(" ", "_"), phase, "real", decimals=1) for phase in phases),
            Column("all", "All", "real", decimals=1),
            Column("sessions", "Sessions", "count"),
            Column("finished", "Finished"),
        ),
        groups=(one_group(inputs, rows),),
        notes=() if found else ("No run has recorded how long its phases took.",),
        **about(inputs),
    )
