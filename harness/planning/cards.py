"""GPUs as their vendor's data sheets have them."""

from dataclasses import dataclass

from harness.config import Training
from harness.errors import HarnessError, suggestion


@dataclass(frozen=True)
class Card:
    """A GPU.

    Args:
        title: its name in full.
        memory: bytes.
        fp32: peak of float32 without tensor cores, FLOP/s.
        tf32: peak of its tensor cores in TF32, dense; None: it has none, and computes in float32.
        half: the same in 16 bits with sums in float32.
        bf16: whether these 16 bits may be bfloat16.
        source: where the figures stand.
    """

    title: str
    memory: float
    fp32: float
    tf32: float | None
    half: float
    bf16: bool
    source: str

    def peak(self, precision: str) -> float:
        """FLOP/s at most in a precision of `training.precision`.

        Raises:
            HarnessError: the card does not have it.
        """
        if precision == "bf16" and not self.bf16:
            raise HarnessError(f"{self.title} has no bfloat16; set training.precision to fp16 or fp32")
        if precision in ("bf16", "fp16"):
            return self.half
        return (self.tf32 or self.fp32) if precision == "tf32" else self.fp32


# No sparsity: a data sheet's figure "with sparsity" is twice that.
_FIGURES = {  # name: title, GB, TFLOP/s in fp32, tf32, 16 bits; source
    "h200": ("H200 SXM", 141, 67, 494.5, 989.5, "NVIDIA H200 data sheet"),
    "h100": ("H100 SXM", 80, 67, 494.5, 989.5, "NVIDIA H100 data sheet"),
    "h100-pcie": ("H100 PCIe", 80, 51, 378, 756, "NVIDIA H100 data sheet, PCIe"),
    "a100": ("A100 80 GB", 80, 19.5, 156, 312, "NVIDIA A100 data sheet"),
    "a100-40gb": ("A100 40 GB", 40, 19.5, 156, 312, "NVIDIA A100 data sheet"),
    "l40s": ("L40S", 48, 91.6, 183, 362, "NVIDIA L40S data sheet"),
    "l40": ("L40", 48, 90.5, 90.5, 181, "NVIDIA L40 data sheet"),
    "l4": ("L4", 24, 30.3, 60, 121, "NVIDIA L4 data sheet"),
    "a40": ("A40", 48, 37.4, 74.8, 149.7, "NVIDIA A40 data sheet"),
    "a10": ("A10", 24, 31.2, 62.5, 125, "NVIDIA A10 data sheet"),
    "a6000": ("RTX A6000", 48, 38.7, 77.4, 154.8, "NVIDIA RTX A6000 data sheet"),
    "rtx4090": ("GeForce RTX 4090", 24, 82.6, 82.6, 165.2, "NVIDIA Ada architecture whitepaper"),
    "rtx3090": ("GeForce RTX 3090", 24, 35.6, 35.6, 71, "NVIDIA GA102 architecture whitepaper"),
    "v100": ("V100 SXM2 32 GB", 32, 15.7, None, 125, "NVIDIA V100 data sheet"),
    "v100-16gb": ("V100 SXM2 16 GB", 16, 15.7, None, 125, "NVIDIA V100 data sheet"),
    "t4": ("T4", 16, 8.1, None, 65, "NVIDIA T4 data sheet"),
}
CARDS = {
    name: Card(
        title,
        memory * 1e9,
        fp32 * 1e12,
        None if tf32 is None else tf32 * 1e12,
        half * 1e12,
        tf32 is not None,  # tensor cores learned both with Ampere
        source,
    )
    for name, (title, memory, fp32, tf32, half, source) in _FIGURES.items()
}


def find_card(name: str) -> Card:
    """The card of that name, whatever its case and with or without blanks.

    Raises:
        HarnessError: there is none, with the closest one.
    """
    short = name.lower().replace(" ", "").replace("_", "-")
    if short not in CARDS:
        known = list(CARDS)
        raise HarnessError(
            f"--gpu {name!r} is no card of the table.{suggestion(short, known)} Known: {', '.join(known)}. For another "
            "one run `harness plan --measure` on it"
        )
    return CARDS[short]


def evaluation_precision(options: Training) -> str:
    """The precision of a network that is evaluated: there is no autocast then."""
    return "tf32" if options.precision == "tf32" else "fp32"
