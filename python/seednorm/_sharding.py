"""How DTensors go through the operators: rows may be spread over ranks, and everything within a row stays together.

Batch and sequence dimensions stay sharded as they are; parameters are whole on every rank, and their gradients are then
partial sums. A row that is itself sharded is gathered. PyTorch asks for these rules when an operator first meets a
DTensor; importing what they are written with takes half as long as importing PyTorch, so they wait until someone else does.
"""

from typing import Any

from ._after_import import after_import
from ._schema import BACKWARD, NORMS, Norm, Operator

_ROWS = ("x", "residual", "dy", "dsum", "stats")  # arguments that have one row for each of x's


def register_when_needed() -> None:
    """Registers the rules now if DTensors exist, else as soon as their module is imported."""
    after_import("torch.distributed.tensor", _register)


def _register() -> None:
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._op_schema import RuntimeSchemaInfo
    from torch.distributed.tensor.experimental import register_sharding

    for norm in NORMS.values():
        for operator in norm.operators:
            if operator is not None:
                register_sharding(operator.overload)(_rule(norm, operator))
                # Results are remembered by all numbers; register_sharding leaves out those before the first integer, and
                # the shape of stats depends on keep_stats.
                info = RuntimeSchemaInfo(static_argnum=1, needs_pytree=True)
                DTensor._op_dispatcher.sharding_propagator.op_to_schema_info[operator.overload] = info


def _rule(norm: Norm, operator: Operator) -> Any:
    """Which placements of arguments, on one dimension of a mesh, give which placements of results."""
    from torch.distributed.tensor import Partial, Replicate, Shard
    from torch.distributed.tensor._dtensor_spec import DTensorSpec

    def argument(name: str, value: Any, x: Any, dim: int | None) -> Any:
        if not isinstance(value, DTensorSpec):
            return None
        if dim is None or name not in (*_ROWS, *norm.params):
            return Replicate()
        # A parameter has x's leading dimensions if it is a condition, with one row for each sample.
        along = name in _ROWS or (dim < value.ndim - 1 and value.shape[dim] == x.shape[dim])
        return Shard(dim) if along else Replicate()

    def results(a: dict[str, Any], inputs: dict[str, Any], dim: int | None) -> list[Any]:
        row = Replicate() if dim is None else Shard(dim)
        if operator.kind != BACKWARD:
            # Stats that are not kept have no rows.
            return [row] * (1 + ("residual" in a)) + [row if a["keep_stats"] else Replicate()]
        grads = []
        for i, param in enumerate(norm.params):
            if a[param] is None or not a["wanted"] >> i & 1 or dim is None:
                grads.append(Replicate())
            else:
                grads.append(inputs[param] if inputs[param].is_shard() else Partial())
        return [row, *grads]

    def rule(*arguments: Any) -> list[tuple[list[Any], list[Any]]]:
        a, x = operator.by_name(arguments), arguments[operator.names.index("x")]
        acceptable = []
        for dim in (None, *range(x.ndim - 1)):
            inputs = {name: argument(name, value, x, dim) for name, value in a.items()}
            acceptable.append((results(a, inputs, dim), list(inputs.values())[: len(arguments)]))
        return acceptable

    return rule
