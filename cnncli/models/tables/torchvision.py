"""Every pretrained classifier of torchvision 0.29, as text: no torch is imported to list them.

A row of the table is one file of weights. Its columns: the model's name; the weights' name without
``IMAGENET1K_``, with ``*`` for the default; the file's name without ``.pth``; the number of
parameters at 1000 classes (auxiliary heads as in torchvision's metadata); multiply-accumulates for
one image, in 10⁹; side of the image in pixels; length in pixels to which the shorter side was
resized before the centre was cut out; top-1 accuracy on ImageNet-1K in percent, ``-`` where there
is none; ``cubic`` where that resize was bicubic and not bilinear.

Source: ``Weights.meta`` and ``Weights.transforms`` of torchvision; a test compares every field.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_URL = "https://download.pytorch.org/models/"

_TABLE = """
alexnet            V1*            alexnet-owt-7be5be79                61100840    0.714 224 256 56.522
convnext_base      V1*            convnext_base-6075fbad              88591464   15.355 224 232 84.062
convnext_large     V1*            convnext_large-ea097f82            197767336   34.361 224 232 84.414
convnext_small     V1*            convnext_small-0c510722             50223688    8.684 224 230 83.616
convnext_tiny      V1*            convnext_tiny-983f1562              28589128    4.456 224 236 82.520
densenet121        V1*            densenet121-a639ec97                 7978856    2.834 224 256 74.434
densenet161        V1*            densenet161-8d451a50                28681000    7.728 224 256 77.138
densenet169        V1*            densenet169-b2777c0a                14149480     3.36 224 256 75.600
densenet201        V1*            densenet201-c1103571                20013928    4.291 224 256 76.896
efficientnet_b0    V1*            efficientnet_b0_rwightman-7f5810bc   5288548    0.386 224 256 77.692 cubic
efficientnet_b1    V1             efficientnet_b1_rwightman-bac287d4   7794184    0.687 240 256 78.642 cubic
efficientnet_b1    V2*            efficientnet_b1-c27df63c             7794184    0.687 240 255 79.838
efficientnet_b2    V1*            efficientnet_b2_rwightman-c35c1473   9109994    1.088 288 288 80.608 cubic
efficientnet_b3    V1*            efficientnet_b3_rwightman-b3899882  12233232    1.827 300 320 82.008 cubic
efficientnet_b4    V1*            efficientnet_b4_rwightman-23ab8bcd  19341616    4.394 380 384 83.384 cubic
efficientnet_b5    V1*            efficientnet_b5_lukemelas-1a07897c  30389784   10.266 456 456 83.444 cubic
efficientnet_b6    V1*            efficientnet_b6_lukemelas-24a108a5  43040704   19.068 528 528 84.008 cubic
efficientnet_b7    V1*            efficientnet_b7_lukemelas-c5b4e57e  66347960   37.746 600 600 84.122 cubic
efficientnet_v2_l  V1*            efficientnet_v2_l-59c71312         118515272    56.08 480 480 85.808 cubic
efficientnet_v2_m  V1*            efficientnet_v2_m-dc08266a          54139356   24.582 480 480 85.112
efficientnet_v2_s  V1*            efficientnet_v2_s-dd5fe13b          21458488    8.366 384 384 84.228
googlenet          V1*            googlenet-1378be20                   6624904    1.498 224 256 69.778
inception_v3       V1*            inception_v3_google-0cc3c7bd        27161264    5.713 299 342 77.294
maxvit_t           V1*            maxvit_t-bc5ab103                   30919624    5.558 224 224 83.700 cubic
mnasnet0_5         V1*            mnasnet0.5_top1_67.823-3ffadce67e    2218512    0.104 224 256 67.734
mnasnet0_75        V1*            mnasnet0_75-7090bc5f                 3170208    0.215 224 232 71.180
mnasnet1_0         V1*            mnasnet1.0_top1_73.512-f206786ef8    4383312    0.314 224 256 73.456
mnasnet1_3         V1*            mnasnet1_3-a4c69d6f                  6282256    0.526 224 232 76.506
mobilenet_v2       V1             mobilenet_v2-b0353104                3504872    0.301 224 256 71.878
mobilenet_v2       V2*            mobilenet_v2-7ebf99e0                3504872    0.301 224 232 72.154
mobilenet_v3_large V1             mobilenet_v3_large-8738ca79          5483032    0.217 224 256 74.042
mobilenet_v3_large V2*            mobilenet_v3_large-5c1a4163          5483032    0.217 224 232 75.274
mobilenet_v3_small V1*            mobilenet_v3_small-047dcff4          2542856    0.057 224 256 67.668
regnet_x_16gf      V1             regnet_x_16gf-2007eb11              54278536   15.941 224 256 80.058
regnet_x_16gf      V2*            regnet_x_16gf-ba3796d7              54278536   15.941 224 232 82.716
regnet_x_1_6gf     V1             regnet_x_1_6gf-e3633e7f              9190136    1.603 224 256 77.040
regnet_x_1_6gf     V2*            regnet_x_1_6gf-a12f2b72              9190136    1.603 224 232 79.668
regnet_x_32gf      V1             regnet_x_32gf-9d47f8d0             107811560   31.736 224 256 80.622
regnet_x_32gf      V2*            regnet_x_32gf-6eb8fdc6             107811560   31.736 224 232 83.014
regnet_x_3_2gf     V1             regnet_x_3_2gf-f342aeae             15296552    3.177 224 256 78.364
regnet_x_3_2gf     V2*            regnet_x_3_2gf-7071aa85             15296552    3.177 224 232 81.196
regnet_x_400mf     V1             regnet_x_400mf-adf1edd5              5495976    0.414 224 256 72.834
regnet_x_400mf     V2*            regnet_x_400mf-62229a5f              5495976    0.414 224 232 74.864
regnet_x_800mf     V1             regnet_x_800mf-ad17e45c              7259656      0.8 224 256 75.212
regnet_x_800mf     V2*            regnet_x_800mf-94a99ebd              7259656      0.8 224 232 77.522
regnet_x_8gf       V1             regnet_x_8gf-03ceed89               39572648    7.995 224 256 79.344
regnet_x_8gf       V2*            regnet_x_8gf-2b70d774               39572648    7.995 224 232 81.682
regnet_y_128gf     SWAG_E2E_V1*   regnet_y_128gf_swag-c8ce3e52       644812894   374.57 384 384 88.228 cubic
regnet_y_128gf     SWAG_LINEAR_V1 regnet_y_128gf_lc_swag-cbe8ce12    644812894  127.518 224 224 86.068 cubic
regnet_y_16gf      V1             regnet_y_16gf-9e6ed7dd              83590140   15.912 224 256 80.424
regnet_y_16gf      V2*            regnet_y_16gf-3e4a00f9              83590140   15.912 224 232 82.886
regnet_y_16gf      SWAG_E2E_V1    regnet_y_16gf_swag-43afe44d         83590140   46.735 384 384 86.012 cubic
regnet_y_16gf      SWAG_LINEAR_V1 regnet_y_16gf_lc_swag-f3ec0043      83590140   15.912 224 224 83.976 cubic
regnet_y_1_6gf     V1             regnet_y_1_6gf-b11a554e             11202430    1.612 224 256 77.950
regnet_y_1_6gf     V2*            regnet_y_1_6gf-0d7bc02a             11202430    1.612 224 232 80.876
regnet_y_32gf      V1             regnet_y_32gf-4dee3f7a             145046770    32.28 224 256 80.878
regnet_y_32gf      V2*            regnet_y_32gf-8db6d4b5             145046770    32.28 224 232 83.368
regnet_y_32gf      SWAG_E2E_V1    regnet_y_32gf_swag-04fdfa75        145046770   94.826 384 384 86.838 cubic
regnet_y_32gf      SWAG_LINEAR_V1 regnet_y_32gf_lc_swag-e1583746     145046770    32.28 224 224 84.622 cubic
regnet_y_3_2gf     V1             regnet_y_3_2gf-b5a9779c             19436338    3.176 224 256 78.948
regnet_y_3_2gf     V2*            regnet_y_3_2gf-9180c971             19436338    3.176 224 232 81.982
regnet_y_400mf     V1             regnet_y_400mf-c65dace8              4344144    0.402 224 256 74.046
regnet_y_400mf     V2*            regnet_y_400mf-e6988f5f              4344144    0.402 224 232 75.804
regnet_y_800mf     V1             regnet_y_800mf-1b27b58c              6432512    0.834 224 256 76.420
regnet_y_800mf     V2*            regnet_y_800mf-58fc7688              6432512    0.834 224 232 78.828
regnet_y_8gf       V1             regnet_y_8gf-d0d0e4a8               39381472    8.473 224 256 80.032
regnet_y_8gf       V2*            regnet_y_8gf-dc2b1b54               39381472    8.473 224 232 82.828
resnet101          V1             resnet101-63fe2227                  44549160    7.801 224 256 77.374
resnet101          V2*            resnet101-cd907fc2                  44549160    7.801 224 232 81.886
resnet152          V1             resnet152-394f9c45                  60192808   11.514 224 256 78.312
resnet152          V2*            resnet152-f82ba261                  60192808   11.514 224 232 82.284
resnet18           V1*            resnet18-f37072fd                   11689512    1.814 224 256 69.758
resnet34           V1*            resnet34-b627a593                   21797672    3.664 224 256 73.314
resnet50           V1             resnet50-0676ba61                   25557032    4.089 224 256 76.130
resnet50           V2*            resnet50-11ad3fa6                   25557032    4.089 224 232 80.858
resnext101_32x8d   V1             resnext101_32x8d-8ba56ff5           88791336   16.414 224 256 79.312
resnext101_32x8d   V2*            resnext101_32x8d-110c445d           88791336   16.414 224 232 82.834
resnext101_64x4d   V1*            resnext101_64x4d-173b62eb           83455272    15.46 224 232 83.246
resnext50_32x4d    V1             resnext50_32x4d-7cdf4587            25028904     4.23 224 256 77.618
resnext50_32x4d    V2*            resnext50_32x4d-1a0047aa            25028904     4.23 224 232 81.198
shufflenet_v2_x0_5 V1*            shufflenetv2_x0.5-f707e7126e         1366792     0.04 224 256 60.552
shufflenet_v2_x1_0 V1*            shufflenetv2_x1-5666bf0f80           2278604    0.145 224 256 69.362
shufflenet_v2_x1_5 V1*            shufflenetv2_x1_5-3c479a10           3503624    0.296 224 232 72.996
shufflenet_v2_x2_0 V1*            shufflenetv2_x2_0-8be3c8ee           7393996    0.583 224 232 76.230
squeezenet1_0      V1*            squeezenet1_0-b66bff10               1248424    0.819 224 256 58.092
squeezenet1_1      V1*            squeezenet1_1-b8a52dc0               1235496    0.349 224 256 58.178
swin_b             V1*            swin_b-68c6b09e                     87768224   15.431 224 238 83.582 cubic
swin_s             V1*            swin_s-5e29d889                     49606258    8.741 224 246 83.196 cubic
swin_t             V1*            swin_t-704ceda3                     28288354    4.491 224 232 81.474 cubic
swin_v2_b          V1*            swin_v2_b-781e5279                  87930848   20.325 256 272 84.112 cubic
swin_v2_s          V1*            swin_v2_s-637d8ceb                  49737442   11.546 256 260 83.712 cubic
swin_v2_t          V1*            swin_v2_t-b137f0e2                  28351570     5.94 256 260 82.072 cubic
vgg11              V1*            vgg11-8a719046                     132863336    7.609 224 256 69.020
vgg11_bn           V1*            vgg11_bn-6002323d                  132868840    7.609 224 256 70.370
vgg13              V1*            vgg13-19584684                     133047848   11.308 224 256 69.928
vgg13_bn           V1*            vgg13_bn-abd245e5                  133053736   11.308 224 256 71.586
vgg16              V1*            vgg16-397923af                     138357544    15.47 224 256 71.592
vgg16              FEATURES       vgg16_features-amdegroot-88682ab5  138357544    15.47 224 256      -
vgg16_bn           V1*            vgg16_bn-6c64b313                  138365992    15.47 224 256 73.360
vgg19              V1*            vgg19-dcbb9e9d                     143667240   19.632 224 256 72.376
vgg19_bn           V1*            vgg19_bn-c79401a0                  143678248   19.632 224 256 74.218
vit_b_16           V1*            vit_b_16-c867db91                   86567656   17.564 224 256 81.072
vit_b_16           SWAG_E2E_V1    vit_b_16_swag-9ac1b537              86859496   55.484 384 384 85.304 cubic
vit_b_16           SWAG_LINEAR_V1 vit_b_16_lc_swag-4e70ced5           86567656   17.564 224 224 81.886 cubic
vit_b_32           V1*            vit_b_32-d86f8d99                   88224232    4.409 224 256 75.912
vit_h_14           SWAG_E2E_V1*   vit_h_14_swag-80465313             633470440 1016.717 518 518 88.552 cubic
vit_h_14           SWAG_LINEAR_V1 vit_h_14_lc_swag-c1eb923e          632045800  167.295 224 224 85.708 cubic
vit_l_16           V1*            vit_l_16-852ce7e3                  304326632   61.555 224 242 79.662
vit_l_16           SWAG_E2E_V1    vit_l_16_swag-4f3808c9             305174504  361.986 512 512 88.064 cubic
vit_l_16           SWAG_LINEAR_V1 vit_l_16_lc_swag-4d563306          304326632   61.555 224 224 85.146 cubic
vit_l_32           V1*            vit_l_32-c7638314                  306535400   15.378 224 256 76.972
wide_resnet101_2   V1             wide_resnet101_2-32ee1156          126886696   22.753 224 256 78.848
wide_resnet101_2   V2*            wide_resnet101_2-d733dc28          126886696   22.753 224 232 82.510
wide_resnet50_2    V1             wide_resnet50_2-95faca4d            68883240   11.398 224 256 78.468
wide_resnet50_2    V2*            wide_resnet50_2-9ba9bcbe            68883240   11.398 224 232 81.602
"""  # noqa: E501

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# Weights whose images are not normalised with ImageNet's values: (model, weights) to mean and std
# of each channel (RGB), as fractions of full scale. In torchvision, googlenet and inception_v3 take
# images normalised with ImageNet's values and turn them into halves inside the network
# (``transform_input``). Here they get halves directly, so that the stem stays a single layer.
_NORMALISATIONS = {
    ("efficientnet_v2_l", "IMAGENET1K_V1"): _HALVES,
    ("googlenet", "IMAGENET1K_V1"): _HALVES,
    ("inception_v3", "IMAGENET1K_V1"): _HALVES,
    ("vgg16", "IMAGENET1K_FEATURES"): ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255)),
}


@dataclass(frozen=True)
class WeightsEntry:
    """Pretrained weights that torchvision offers, and the images they expect.

    Attributes:
        name: Name that ``--weights`` takes, such as ``IMAGENET1K_V2``.
        file: Name of the file in torch's cache.
        parameters: Number of the network's parameters at 1000 classes. Auxiliary heads are
            included where torchvision's metadata include them.
        macs: Multiply-accumulates for one image, rounded to millions.
        image_size: Side of the square input image in pixels.
        resize_size: Length in pixels to which the shorter side is resized before the centre is
            cut out.
        interpolation: Interpolation of that resize: ``bilinear`` or ``bicubic``.
        mean: Mean of each channel (RGB), as a fraction of full scale.
        std: Standard deviation of each channel (RGB), as a fraction of full scale.
        top1: Share of ImageNet-1K's validation images whose class is named right, in percent, by
            torchvision's measurement; None if these weights name no class.
    """

    name: str
    file: str
    parameters: int
    macs: int
    image_size: int
    resize_size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    top1: float | None

    @property
    def url(self) -> str:
        """Address from which torchvision downloads the file."""
        return _URL + self.file

    @property
    def path(self) -> Path:
        """Path of the file in torch's cache, whether it was downloaded yet or not."""
        return weights_dir() / self.file


def weights_dir() -> Path:
    """Return the folder to which torch downloads weights.

    Source: ``torch.hub.get_dir``, which reads the same variables; a test compares them.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints"  # noqa: PTH111


def parse_weights() -> dict[str, tuple[WeightsEntry, ...]]:
    """Return the pretrained weights of each of torchvision's models; the default weights first."""
    weights: dict[str, list[WeightsEntry]] = {}
    for line in _TABLE.strip().split("\n"):
        model, name, file, parameters, gmacs, size, resize, top1, *cubic = line.split()
        full_name = "IMAGENET1K_" + name.rstrip("*")
        mean, std = _NORMALISATIONS.get((model, full_name), IMAGENET)
        entry = WeightsEntry(
            name=full_name,
            file=file + ".pth",
            parameters=int(parameters),
            macs=round(float(gmacs) * 1e9),
            image_size=int(size),
            resize_size=int(resize),
            interpolation="bicubic" if cubic else "bilinear",
            mean=mean,
            std=std,
            top1=None if top1 == "-" else float(top1),
        )
        entries = weights.setdefault(model, [])
        entries.insert(0 if "*" in name else len(entries), entry)
    return {model: tuple(entries) for model, entries in weights.items()}
