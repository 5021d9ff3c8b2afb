"""facexlib's nets for photographs, from a folder of weights: parsing, matting and quality.

facexlib's own `init_*_model` functions download; here the same nets are built and their files are only read. Pictures
are prepared as facexlib's inference scripts prepare them (inference/inference_{parsing,matting,hyperiqa}.py).
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from pipelines import torchvision_mend  # noqa: F401
from pipelines.errors import ModelMissing

__all__ = [
    "MATTING",
    "PARSING",
    "QUALITY",
    "are_facexlib_nets",
    "load_matting",
    "load_parsing",
    "load_quality",
    "matte_picture",
    "parse_crops",
    "rate_faces",
]

PARSING, MATTING, QUALITY = "parsing_bisenet.pth", "matting_modnet_portrait.pth", "assessment_hyperIQA.pth"
_CLASSES = 19  # CelebAMask-HQ
_PARSED_PX, _MATTE_PX, _RATED_PX = 512, 512, 224
_MATTE_UNIT = 32
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Picture = npt.NDArray[np.uint8]


def are_facexlib_nets(folder: Path) -> bool:
    """Whether the folder is one of weights for photographs."""
    return (folder / PARSING).is_file()


def load_parsing(folder: Path, device: torch.device) -> nn.Module:
    """BiSeNet with 19 classes. Raises ModelMissing."""
    from facexlib.parsing.bisenet import BiSeNet

    return _load(BiSeNet(num_class=_CLASSES), folder / PARSING, device)


def load_matting(folder: Path, device: torch.device) -> nn.Module:
    """MODNet. Raises ModelMissing."""
    from facexlib.matting.modnet import MODNet

    return _load(MODNet(backbone_pretrained=False), folder / MATTING, device)


def load_quality(folder: Path, device: torch.device) -> nn.Module:
    """hyperIQA; the file holds its hyper-network only. Raises ModelMissing."""
    from facexlib.assessment.hyperiqa_net import HyperIQA

    net = HyperIQA(16, 112, 224, 112, 56, 28, 14, 7)
    _load(net.hypernet, folder / QUALITY, device)
    return net.eval()


@torch.no_grad()
def parse_crops(net: nn.Module, crops: list[Picture]) -> npt.NDArray[np.uint8]:
    """Classes uint8 [n, 512, 512] of square RGB crops of any sizes with a face in the middle, in one batch."""
    x = torch.cat([_tensor(crop, (_PARSED_PX, _PARSED_PX), _MEAN, _STD) for crop in crops])
    return np.asarray(net(x.to(_device(net)))[0].argmax(1).to(torch.uint8).cpu().numpy())


@torch.no_grad()
def matte_picture(net: nn.Module, picture: Picture) -> npt.NDArray[np.float32]:
    """How much of each pixel belongs to people, float32 [h, w] in [0, 1]."""
    height, width = picture.shape[:2]
    scale = _MATTE_PX / min(height, width)
    size = tuple(max(_MATTE_UNIT, int(side * scale) // _MATTE_UNIT * _MATTE_UNIT) for side in (height, width))
    x = _tensor(picture, (size[0], size[1]), (0.5,) * 3, (0.5,) * 3)
    matte = net(x.to(_device(net)), True)[2].float()
    return np.asarray(F.interpolate(matte, (height, width), mode="area")[0, 0].cpu().numpy(), np.float32)


@torch.no_grad()
def rate_faces(net: nn.Module, crops: list[Picture]) -> list[float]:
    """Quality in [0, 1] of RGB face crops of any sizes.

    The script averages ten random 224-pixel windows of the face at 512 × 384; five fixed ones (corners and middle) give
    the same crop the same number every time.
    """
    high, wide = 512 - _RATED_PX, 384 - _RATED_PX
    starts = ((0, 0), (0, wide), (high, 0), (high, wide), (high // 2, wide // 2))
    ratings = []
    for crop in crops:  # one by one: hyperIQA's target net is another for every picture
        x = _tensor(crop, (512, 384), _MEAN, _STD)
        windows = torch.cat([x[:, :, y : y + _RATED_PX, z : z + _RATED_PX] for y, z in starts])
        ratings.append(float(net(windows.to(_device(net))).mean().clamp(0, 100)) / 100)
    return ratings


def _load(net: nn.Module, path: Path, device: torch.device) -> nn.Module:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # tensors only: a pickle could run code
        net.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    except FileNotFoundError:
        raise ModelMissing("measure_weights_missing", path=str(path), file=path.name) from None
    except (OSError, RuntimeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelMissing(
            "measure_weights_unreadable", path=str(path), file=path.name, reason=str(error).splitlines()[0]
        ) from error
    return net.eval().requires_grad_(False).to(device)


def _device(net: nn.Module) -> torch.device:
    return next(net.parameters()).device


def _tensor(picture: Picture, size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """[1, 3, *size], normalised."""
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    x = F.interpolate(x, size, mode="bilinear", antialias=True)
    return (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
