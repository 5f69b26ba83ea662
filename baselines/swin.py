"""Swin transformer in the arrangement of the released LAVT family.

Liu et al., Swin Transformer: hierarchical vision transformer using shifted windows (2021). Maps are
channels-last, (B, H, W, C). Two things differ from timm's version and decide whether published weights work:
padding to whole windows happens before the cyclic shift, on the normalised map; and every second block shifts,
even where one window covers the whole grid.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import DropPath, Mlp, Recomputable, linear

# Added to attention logits between regions that only the cyclic shift made neighbours.
REGION_PENALTY = -100.0


def padding_to_windows(height: int, width: int, window: int) -> tuple[int, int]:
    """Rows at the bottom and columns at the right that complete a grid to whole windows."""
    return -height % window, -width % window


def window_partition(x: Tensor, window: int) -> Tensor:
    """Cut a map (B, H, W, C) of whole windows into (B, windows, window*window, C)."""
    B, H, W, C = x.shape
    x = x.view(B, H // window, window, W // window, window, C)
    return x.transpose(2, 3).reshape(B, -1, window * window, C)


def window_merge(x: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put windows (B, windows, window*window, C) together to the map (B, height, width, C)."""
    B, _, _, C = x.shape
    x = x.view(B, height // window, width // window, window, window, C)
    return x.transpose(2, 3).reshape(B, height, width, C)


def shifted_window_mask(height: int, width: int, window: int, like: Tensor) -> Tensor:
    """Return the additive mask (windows, N, N), N = window^2, of a padded grid shifted by half a window.

    After the shift a border window holds pieces from opposite sides of the image; they must not see each other.
    """
    shift = window // 2

    def strip(size: int) -> Tensor:
        position = torch.arange(size, device=like.device)
        return (position >= size - window).long() + (position >= size - shift).long()

    region = strip(height)[:, None] * 3 + strip(width)[None, :]
    region = window_partition(region[None, :, :, None], window).squeeze(-1).squeeze(0)
    different = region[:, :, None] != region[:, None, :]
    return torch.zeros(different.shape, dtype=like.dtype, device=like.device).masked_fill(
        different, REGION_PENALTY
    )


def relative_position_index(window: int) -> Tensor:
    """Return (N, N) rows of the bias table: the offset between two of a window's N = window^2 positions."""
    position = torch.arange(window)
    rows, columns = torch.meshgrid(position, position, indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    row_offset = rows[:, None] - rows[None, :] + window - 1
    column_offset = columns[:, None] - columns[None, :] + window - 1
    return row_offset * (2 * window - 1) + column_offset


class WindowAttention(nn.Module):
    """Multi-head attention within windows, cyclically shifted by half a window or not."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.qkv = linear(dim, 3 * dim)
        self.proj = linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within windows.

        Args:
            x: Normalised map (B, H, W, C).
            mask: `shifted_window_mask` of the padded grid; used by shifted blocks only.
        """
        _, H, W, _ = x.shape
        bottom, right = padding_to_windows(H, W, self.window)
        projected = self.project(x, bottom, right)
        if self.shift:
            projected = projected.roll((-self.shift, -self.shift), dims=(1, 2))
        out = self.attend(window_partition(projected, self.window), mask if self.shift else None)
        out = window_merge(out, self.window, H + bottom, W + right)
        if self.shift:
            out = out.roll((self.shift, self.shift), dims=(1, 2))
        return self.proj(out[:, :H, :W])

    def project(self, x: Tensor, bottom: int, right: int) -> Tensor:
        """Return queries, keys and values (B, H + bottom, W + right, 3C) of the map, padded with zero tokens."""
        if not (bottom or right):
            return self.qkv(x)
        # A padding token is a zero vector, hence its q, k and v are the bias alone: project the true tokens
        # only, pad, and add the bias to all.
        return F.pad(F.linear(x, self.qkv.weight), (0, 0, 0, right, 0, bottom)) + self.qkv.bias

    def attend(self, projected: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within each window of (B, windows, N, 3C) and return (B, windows, N, C)."""
        q, k, v = projected.chunk(3, dim=-1)
        return self.attention(q, k, v, self.position_bias(), mask)

    def position_bias(self) -> Tensor:
        """Return the learnt bias (heads, N, N) of every query and key of a window."""
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        return bias.view(self.window**2, self.window**2, self.heads).permute(2, 0, 1)

    def attention(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
        """Return softmax(q k^T / sqrt(C / heads) + bias + mask) v, head by head.

        Args:
            q: (B, windows, N, C).
            k: (B, windows, M, C).
            v: The same shape as k.
            bias: (heads, N, M).
            mask: (windows, N, M) or None.

        Returns:
            (B, windows, N, C).
        """
        B, windows, N, _ = q.shape
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(2, 3) for x in (q, k, v))
        # Fused attention takes four dimensions and a mask that broadcasts along the first: without a mask
        # windows join the batch, with one (it differs from window to window) they join the heads.
        if mask is None:
            q, k, v = (x.flatten(0, 1) for x in (q, k, v))
            bias = bias[None]
        else:
            q, k, v = (x.flatten(1, 2) for x in (q, k, v))
            bias = (bias + mask[:, None]).flatten(0, 1)[None]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return out.view(B, windows, self.heads, N, -1).transpose(2, 3).reshape(B, windows, N, -1)


class SwinBlock(Recomputable):
    """x + DropPath(A(LN1 x)), then x + DropPath(MLP(LN2 x)).

    A is the window attention, followed by `token_attention` where there is one (MAFN's adaptive noise).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        window: int,
        *,
        mlp_ratio: int,
        shifted: bool,
        drop_path: float,
        window_attention: Callable[..., WindowAttention],
        token_attention: nn.Module | None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = window_attention(dim, heads, window, shifted=shifted)
        self.token_attention = token_attention
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, dim * mlp_ratio, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (B, H, W, C) to the same shape; `mask` as in `WindowAttention`."""
        y = self.attn(self.norm1(x), mask)
        if self.token_attention is not None:
            y = self.token_attention(y)
        x = x + self.drop_path(y)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class SwinBlocks(nn.ModuleList):
    """The blocks of one stage; every second one shifts its windows."""

    def __init__(
        self,
        dim: int,
        heads: int,
        window: int,
        *,
        mlp_ratio: int,
        drop_paths: list[float],
        window_attention: Callable[..., WindowAttention] = WindowAttention,
        token_attention: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__(
            SwinBlock(
                dim,
                heads,
                window,
                mlp_ratio=mlp_ratio,
                shifted=index % 2 == 1,
                drop_path=drop_path,
                window_attention=window_attention,
                token_attention=token_attention(dim) if token_attention else None,
            )
            for index, drop_path in enumerate(drop_paths)
        )
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        _, H, W, _ = x.shape
        bottom, right = padding_to_windows(H, W, self.window)
        mask = shifted_window_mask(H + bottom, W + right, self.window, like=x) if len(self) > 1 else None
        for block in self:
            x = block(x, mask)
        return x


class PatchEmbedding(nn.Module):
    """Non-overlapping patches to normalised tokens."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, S/patch, S/patch, dim)."""
        return self.norm(self.proj(image).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Halve the grid and double the channels: 2x2 neighbours concatenated, normalised, projected."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H/2, W/2, 2C)."""
        # Column by column, as the published weights expect: (h0 w0, h1 w0, h0 w1, h1 w1).
        B, H, W, C = x.shape
        x = x.view(B, H // 2, 2, W // 2, 2, C).permute(0, 1, 3, 4, 2, 5).reshape(B, H // 2, W // 2, 4 * C)
        return self.reduction(self.norm(x))
