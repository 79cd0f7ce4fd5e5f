"""A linear map in bfloat16 whose weights stay float32: the copy is made once per change of the weights, not once per pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MixedLinear(nn.Module):
    """``x @ weight.T + bias``, in float32 or in bfloat16 with float32 weights and gradients.

    A MetaTS step passes through the same weights up to six times; casting them each time would cost as much as the products of a short
    batch.

    Args:
        weight_OI, bias_O: taken over as parameters.
    """

    def __init__(self, weight_OI: Tensor, bias_O: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_OI.detach().clone())
        self.bias = nn.Parameter(bias_O.detach().clone())
        self._copy: tuple[tuple[int, int, int, int], Tensor, Tensor] | None = None

    def forward(self, x_NI: Tensor) -> Tensor:
        """(N, O) in the number format of ``x_NI``."""
        if x_NI.dtype == self.weight.dtype:
            return F.linear(x_NI, self.weight, self.bias)
        weight, bias = self._copies(x_NI.dtype)
        result: Tensor = _Linear.apply(x_NI, self.weight, self.bias, weight, bias)  # type: ignore[no-untyped-call]
        return result

    def _copies(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        # A tensor's version grows with every change in place that counts (the learner sees to it that the optimizer's do); its address
        # changes when it is moved or replaced.
        state = (self.weight._version, self.bias._version, self.weight.data_ptr(), self.bias.data_ptr())
        if self._copy is None or self._copy[0] != state or self._copy[1].dtype != dtype:
            with torch.inference_mode(False):  # a copy made while predicting must serve training too
                self._copy = (state, self.weight.detach().to(dtype), self.bias.detach().to(dtype))
        return self._copy[1], self._copy[2]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copy": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> MixedLinear:
        return MixedLinear(self.weight, self.bias).train(self.training)


class _Linear(torch.autograd.Function):
    """Products in the low format, weight gradients handed over in the weights' own."""

    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight: Tensor, bias: Tensor, weight_low: Tensor, bias_low: Tensor) -> Tensor:
        ctx.save_for_backward(x_NI, weight_low)
        ctx.dtype = weight.dtype
        return F.linear(x_NI, weight_low, bias_low)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (grad_NO,) = gradients
        x_NI, weight_low = ctx.saved_tensors
        grad_NO = grad_NO.contiguous()
        x_grad = grad_NO @ weight_low if ctx.needs_input_grad[0] else None
        weight_grad = (grad_NO.t() @ x_NI).to(ctx.dtype) if ctx.needs_input_grad[1] else None
        bias_grad = grad_NO.sum(0, dtype=ctx.dtype) if ctx.needs_input_grad[2] else None
        return x_grad, weight_grad, bias_grad, None, None
