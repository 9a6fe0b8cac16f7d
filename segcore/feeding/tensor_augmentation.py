"""Light and strong augmentation as tensors: one call changes a whole batch, on a GPU or the CPU.

What happens to each sample is drawn in `changes`; the library's pipelines, image by image, live in `augmentation`.
Everything is arithmetic on the batch's own numbers: no device's random generator is used, so that devices agree up to
the rounding of their arithmetic.
"""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.data.classes import PADDING_GREY, VOID
from segcore.feeding.batch import Batch
from segcore.feeding.changes import Changes

_LUMA: Final = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""

_SUNLIGHT: Final = (255.0, 240.0, 205.0)
"""RGB of a low sun's light."""

_BLUR_TAPS: Final = 9
"""Reaches from -4 to 4 pixels: 2.7 standard deviations of the widest blur."""

_HASH_STEPS: Final = ((16, 0x21F0AAAD), (15, 0x735A2D97))
"""Shifts and factors of a 32-bit hash (lowbias32, https://github.com/skeeto/hash-prospector); factors below 2^31."""


@torch.no_grad()
def change_batch(batch: Batch, room: int, device: str) -> Batch:
    """Change what the loader left to the device, and cut off the room around samples.

    Args:
        batch: samples as the loader gives them; it stays as it is.
        room: rows and columns on each side that are there for a turn alone, see `count_room`.
        device: torch device.

    Returns:
        A batch of uint8 on the device, grey and void outside the samples; the batch itself where nothing was left.
    """
    if batch.changes_NP is None:
        return batch
    images_NHW3 = batch.images_NHW3.to(device, non_blocking=True)
    target_NHW = batch.target_NHW.to(device, non_blocking=True)
    size = (target_NHW.shape[1] - 2 * room, target_NHW.shape[2] - 2 * room)
    # What is done to which sample is asked of numbers on the CPU: a GPU would have to be waited for.
    known = Changes.from_rows(batch.changes_NP)
    changes_NP = batch.changes_NP.to(device, non_blocking=True)
    changes = Changes.from_rows(changes_NP)
    images_N3HW, target_NHW = _turn(images_NHW3, target_NHW, changes, size)
    images_N3HW = _change_some(images_N3HW, known.gamma != 1, changes_NP, _apply_gamma)
    images_N3HW = _mix_colours(images_N3HW, known)
    images_N3HW = _change_some(images_N3HW, (known.fog_top != 0) | (known.fog_bottom != 0), changes_NP, _add_fog)
    images_N3HW = _change_some(images_N3HW, known.glare != 0, changes_NP, _add_glare)
    images_N3HW = _change_some(images_N3HW, (known.blur != 0) | (known.motion > 1), changes_NP, _blur)
    images_N3HW = _change_some(images_N3HW, known.noise != 0, changes_NP, _add_noise)
    bytes_N3HW = images_N3HW.round_().clamp_(0, 255).to(torch.uint8)
    return Batch(images_NHW3=bytes_N3HW.permute(0, 2, 3, 1).contiguous(), target_NHW=target_NHW)


def _change_some(
    images_N3HW: Tensor, some_N: Tensor, changes_NP: Tensor, change: Callable[[Tensor, Changes], Tensor]
) -> Tensor:
    """Change some samples in place, all of them at once."""
    samples_M = some_N.nonzero()[:, 0].to(images_N3HW.device, non_blocking=True)
    if len(samples_M):
        images_N3HW[samples_M] = change(images_N3HW[samples_M], Changes.from_rows(changes_NP[samples_M]))
    return images_N3HW


def _turn(images_NHW3: Tensor, target_NHW: Tensor, changes: Changes, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the middle of each sample, mirrored and turned, as floats, and its target."""
    grid_NHW2 = _look_up(changes, size, (target_NHW.shape[1], target_NHW.shape[2]))
    # Outside a sample grid_sample finds 0: so grey and void are moved there and back.
    images_N3HW = images_NHW3.permute(0, 3, 1, 2).float() - PADDING_GREY
    target_N1HW = target_NHW[:, None].float() - VOID
    images_N3HW = F.grid_sample(images_N3HW, grid_NHW2, mode="bilinear", align_corners=False) + PADDING_GREY
    target_N1HW = F.grid_sample(target_N1HW, grid_NHW2, mode="nearest", align_corners=False) + VOID
    return images_N3HW, target_N1HW[:, 0].to(torch.uint8)


def _look_up(changes: Changes, size: tuple[int, int], cut_size: tuple[int, int]) -> Tensor:
    """Return where in a sample each pixel of the result lies, in units of half its sides from its centre.

    Not by `affine_grid`: it multiplies matrices, which a GPU may do at a precision of some pixels.
    """
    (height, width), (cut_height, cut_width) = size, cut_size
    angle_N11 = torch.deg2rad(changes.degrees)[:, None, None]
    cosine_N11, sine_N11 = torch.cos(angle_N11), torch.sin(angle_N11)
    across_N1W = changes.mirror[:, None, None] * _from_centre(width, angle_N11)
    down_NH1 = _from_centre(height, angle_N11)[:, None]
    across_NHW = cosine_N11 * across_N1W - sine_N11 * down_NH1
    down_NHW = sine_N11 * across_N1W + cosine_N11 * down_NH1
    return torch.stack([across_NHW * (2 / cut_width), down_NHW * (2 / cut_height)], -1)


def _from_centre(side: int, like: Tensor) -> Tensor:
    return torch.arange(side, device=like.device) - (side - 1) / 2


def _apply_gamma(images_M3HW: Tensor, changes: Changes) -> Tensor:
    return 255 * (images_M3HW / 255).clamp(0, 1) ** changes.gamma[:, None, None, None]


def _mix_colours(images_N3HW: Tensor, known: Changes) -> Tensor:
    """Apply saturation, hue, exposure, contrast and brightness, which are one matrix for each sample."""
    saturation_N11, hue_N11 = known.saturation[:, None, None], torch.deg2rad(known.hue)[:, None, None]
    unit_33 = torch.eye(3)
    saturate_N33 = saturation_N11 * unit_33 + (1 - saturation_N11) * torch.tensor(_LUMA).expand(3, 3)
    # A turn around the axis of greys (Rodrigues).
    axis_33 = torch.full((3, 3), 1 / 3)
    cross_33 = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    turn_N33 = axis_33 + torch.cos(hue_N11) * (unit_33 - axis_33) + torch.sin(hue_N11) * cross_33
    factor_N = known.exposure * known.contrast
    offset_N = 127.5 * (1 - known.contrast) + 255 * known.brightness
    # Small products are made on the CPU, and go over without the device being waited for.
    matrix_N33 = (factor_N[:, None, None] * (turn_N33 @ saturate_N33)).to(images_N3HW.device, non_blocking=True)
    offset_N31 = offset_N[:, None, None].expand(-1, 3, 1).to(images_N3HW.device, non_blocking=True)
    mixed_N3P = torch.baddbmm(offset_N31, matrix_N33, images_N3HW.flatten(2))
    return mixed_N3P.view_as(images_N3HW).clamp_(0, 255)


def _add_fog(images_M3HW: Tensor, changes: Changes) -> Tensor:
    """Mix with airlight that thickens towards one edge. (Koschmieder, 1924.)"""
    rows_H = torch.linspace(0, 1, images_M3HW.shape[2], device=images_M3HW.device)
    share_MH = torch.lerp(changes.fog_top[:, None], changes.fog_bottom[:, None], rows_H)
    return torch.lerp(images_M3HW, changes.airlight[:, None, None, None], share_MH[:, None, :, None])


def _add_glare(images_M3HW: Tensor, changes: Changes) -> Tensor:
    """Add the light of a low sun around a place."""
    height, width = images_M3HW.shape[2:]
    sigma_M1 = (changes.glare_radius * max(height, width))[:, None]
    down_MH = _fall(height, changes.glare_down[:, None], sigma_M1)
    across_MW = _fall(width, changes.glare_across[:, None], sigma_M1)
    light_MHW = changes.glare[:, None, None] * down_MH[:, :, None] * across_MW[:, None]
    light_M3HW = torch.stack([level * light_MHW for level in _SUNLIGHT], 1)
    return (images_M3HW + light_M3HW).clamp_(max=255)


def _fall(side: int, place_M1: Tensor, sigma_M1: Tensor) -> Tensor:
    pixels_S = torch.arange(side, device=sigma_M1.device)
    return torch.exp(-0.5 * ((pixels_S - place_M1 * side) / sigma_M1) ** 2)


def _blur(images_M3HW: Tensor, changes: Changes) -> Tensor:
    """Blur by a Gaussian, and along rows by motion; edges are repeated outwards."""
    samples, _, height, width = images_M3HW.shape
    reach = _BLUR_TAPS // 2
    offsets_T = torch.arange(-reach, reach + 1, device=images_M3HW.device)
    # A sample has one of the two; the taps of the other are a single one.
    gaussian_MT = torch.exp(-0.5 * (offsets_T / changes.blur.clamp(min=1e-3)[:, None]) ** 2)
    motion_MT = (offsets_T.abs() <= changes.motion[:, None] / 2).float()
    along_rows_MT = torch.maximum(gaussian_MT, motion_MT)
    flat_1CHW = F.pad(images_M3HW, (reach, reach, reach, reach), mode="replicate").flatten(0, 1)[None]
    for taps_MT, form in ((gaussian_MT, (-1, 1, _BLUR_TAPS, 1)), (along_rows_MT, (-1, 1, 1, _BLUR_TAPS))):
        kernel_CT = (taps_MT / taps_MT.sum(1, keepdim=True)).repeat_interleave(3, 0)
        flat_1CHW = F.conv2d(flat_1CHW, kernel_CT.view(form), groups=3 * samples)
    return flat_1CHW.view(samples, 3, height, width)


def _add_noise(images_M3HW: Tensor, changes: Changes) -> Tensor:
    """Add nearly normal noise, alike in all colours: the sum of the four bytes of a hash of place and seed."""
    height, width = images_M3HW.shape[2:]
    places_P = torch.arange(height * width, device=images_M3HW.device)
    hash_MP = (changes.noise_seed.long()[:, None] * 0x9E3779B1 + places_P) & 0xFFFFFFFF
    for shift, factor in _HASH_STEPS:
        hash_MP = ((hash_MP ^ (hash_MP >> shift)) * factor) & 0xFFFFFFFF
    hash_MP ^= hash_MP >> 15
    total_MP = torch.stack([(hash_MP >> shift) & 0xFF for shift in (0, 8, 16, 24)]).sum(0)
    # Four bytes: mean 4 * 127.5, variance 4 * (256^2 - 1) / 12.
    normal_MP = (total_MP - 510) / (65535 / 3) ** 0.5
    noise_MHW = (255 * changes.noise[:, None] * normal_MP).view(-1, height, width)
    noisy_M3HW: Tensor = images_M3HW + noise_MHW[:, None]
    return noisy_M3HW
