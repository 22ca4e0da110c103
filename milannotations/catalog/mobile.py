"""Small networks: MobileNet-v2, ShuffleNet-v2 and SqueezeNet, with clear and with blurred faces."""

from __future__ import annotations

from milannotations.catalog.entry import blurred_entry, torchvision_entry

# The layers that the original code dissects.
_LAYERS = {
    "mobilenet_v2": tuple(f"features.{index}" for index in range(0, 19, 2)),
    "shufflenet_v2_x1_0": ("conv1", "stage2", "stage3", "stage4", "conv5"),
    "squeezenet1_0": tuple(f"features.{index}" for index in (0, 3, 4, 5, 7, 8, 9, 10, 12)),
}
_DRIVE = {
    "mobilenet_v2": "1DJIgaQVsRroY1TInBzqenXwXTQR6X4hk",
    "shufflenet_v2_x1_0": "1ifWeFumTS9Kjbvq0hm1hpVrJaYgJFg5Y",
    "squeezenet1_0": "15Ro0jRzpk9-5q_U-rKZlMpe4jHLg_jXi",
}

ENTRIES = (
    *(torchvision_entry(name, layers) for name, layers in _LAYERS.items()),
    *(blurred_entry(name, _LAYERS[name], drive) for name, drive in _DRIVE.items()),
)
