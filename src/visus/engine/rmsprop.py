"""RMSprop as in TensorFlow, which the recipes of Inception, MobileNet and EfficientNet use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim


class TensorFlowRMSprop(optim.Optimizer):
    """RMSprop with ``eps`` under the root, mean squares that start at 1, and the learning rate inside the momentum.

    With the gradient g, weight decay as an L2 penalty in it:

        s <- alpha s + (1 - alpha) g^2,    v <- momentum v + lr g / sqrt(s + eps),    w <- w - v

    (tensorflow/core/kernels/training_ops.cc, ApplyRMSProp; the squares start at 1 in python/training/rmsprop.py).
    PyTorch's divides by sqrt(s) + eps, starts at 0 and multiplies v by the rate of the present step. With Inception's
    ``eps`` of 1 these are different methods: TensorFlow's is then close to plain momentum.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        alpha: TensorFlow's ``decay``.
        momentum: of the updates.
        eps: under the root.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        alpha: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Makes one step with the present gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients: list[Tensor] = [p.grad for p in parameters]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["squares"] = torch.ones_like(parameter)
                    self.state[parameter]["velocity"] = torch.zeros_like(parameter)
            squares = [self.state[p]["squares"] for p in parameters]
            velocity = [self.state[p]["velocity"] for p in parameters]
            torch._foreach_mul_(squares, group["alpha"])
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["alpha"])
            roots = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(velocity, group["momentum"])
            torch._foreach_addcdiv_(velocity, gradients, roots, value=group["lr"])
            torch._foreach_sub_(parameters, velocity)
        return loss
