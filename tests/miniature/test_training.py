"""What all recipes share: the type that they compute in."""

import pytest
import torch

from miniature.training import DEVICE, autocast


@pytest.mark.skipif(DEVICE.type != "cpu", reason="of a CPU's instructions")
@pytest.mark.parametrize(
    ("able", "dtype"),
    [({"amx_bf16": True}, torch.bfloat16), ({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)],
)
def test_recipes_compute_in_bfloat16_only_where_the_processor_does(
    able: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    x = torch.ones(2, 2)
    with autocast():
        assert (x @ x).dtype == dtype
