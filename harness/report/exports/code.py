"""The tables of the code: paper against released code against ours, parity, and the hashes of what it wrote."""

from harness.report.exports.papers import about, one_group
from harness.report.exports.table import Cell, Column, Export, Group, optional, text
from harness.report.fidelity import GROUPS, read_switches, used_here
from harness.report.parity import COMMAND, read_parity
from harness.report.pipeline import read_pipeline
from harness.report.sections import Inputs


def fidelity_export(inputs: Inputs) -> Export:
    """Every switch with its readings and the one that the tables' networks used."""
    rows = []
    for switch in read_switches():
        row = used_here(switch, inputs.params)
        rows.append(
            (
                text(GROUPS[switch.group]),
                text(switch.subject),
                text(", ".join(switch.models)),
                text(switch.paper),
                text(switch.released),
                text(switch.ours),
                text(", ".join(selector.name for selector in switch.select) or "no choice"),
                text("; ".join(row.used)),
                Cell("yes" if row.departs else "no"),
                text(switch.effect.text if switch.effect else "not measured"),
            )
        )
    headings = (
        ("group", "Group"),
        ("switch", "Switch"),
        ("models", "Models"),
        ("paper", "Paper"),
        ("released", "Released code"),
        ("ours", "Ours, by default"),
        ("selected_by", "Selected by"),
        ("used", "Used here"),
        ("departs", "Departs from the released code"),
        ("effect", "Effect"),
    )
    return Export(
        name="fidelity",
        title="Paper, released code, ours",
        caption="Switch by switch; used here is computed from the profile's settings.",
        columns=tuple(Column(name, heading) for name, heading in headings),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def parity_export(inputs: Inputs) -> Export:
    """Every recorded output of the released networks with our error."""
    found, problem = read_parity(inputs.params.report.parity)
    rows = tuple(
        (text(network), text(precision), text(output), Cell(error), Cell(one.limit))
        for network, precisions in (found.networks.items() if found else ())
        for precision, one in precisions.items()
        for output, error in one.errors.items()
    )
    return Export(
        name="parity",
        title="Parity with the released networks",
        caption="Relative L2 error of each output. " + (f"{found.setting}." if found else ""),
        columns=(
            Column("network", "Network"),
            Column("precision", "Precision"),
            Column("output", "Output"),
            Column("error", "Error", "scientific"),
            Column("limit", "Limit", "scientific"),
        ),
        groups=(Group("", "measured", "weights and images by formula", rows),),
        notes=(f"{problem} {COMMAND} records it.",) if problem else (),
        **about(inputs) | {"warning": None},  # these are not the networks of the report
    )


def artefacts_export(inputs: Inputs) -> Export:
    """What the stages wrote, with the hashes that DVC recorded."""
    rows = (
        (text(one.path), text(one.stage), optional(one.size, "not recorded"), text(one.md5))
        for one in read_pipeline(inputs.params).artefacts
    )
    group = one_group(inputs, rows)
    return Export(
        name="artefacts",
        title="Artefacts of the pipeline",
        caption="Hashes as DVC recorded them; one that ends in .dir is of a folder's list of files.",
        columns=(
            Column("artefact", "Artefact"),
            Column("stage", "Stage"),
            Column("bytes", "Bytes", "count"),
            Column("md5", "MD5"),
        ),
        groups=(group,),
        notes=() if group.rows else ("dvc.lock holds no hash; `dvc repro` records them.",),
        **about(inputs),
    )
