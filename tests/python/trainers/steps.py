"""Functions that the programs of this folder share; test_trainers.py runs each program in its own process."""

import importlib
import sys

import seednorm
import torch



def require(*modules):
    """Ends the program with one line that begins with "skipped: " unless all of these modules can be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            print(f"skipped: {module} cannot be imported ({error}); script/setup-torch installs it")
            sys.exit(1)


def check_start(ours, plain, run):
    """With the weights of plain and beta = 0, ours computes the same as plain, up to rounding."""
    missing, unexpected = ours.load_state_dict(plain.state_dict(), strict=False)
    missing = [key for key in missing if not key.endswith("_extra_state")]
    assert missing and not unexpected, (missing, unexpected)
    assert all(key.endswith(("alpha", "beta")) for key in missing), missing
    with torch.no_grad():
        a, b = run(ours.eval()), run(plain.eval())
    assert (a - b).abs().max() <= 1e-5 * b.abs().max(), (a - b).abs().max()
    ours.train()


def check_undecayed(optimizer, model):
    """The optimizer that the trainer makes without the integration does not decay alpha and beta."""
    try:
        seednorm.check_decay(optimizer, model)
    except ValueError as error:
        assert "expected weight decay for alpha and beta" in str(error), error
        return
    raise AssertionError("expected no weight decay of alpha and beta: the integration is needless")


def check_trained(model):
    names = [name for name, _ in model.named_parameters() if name.endswith("beta")]
    parameters = dict(model.named_parameters())
    assert names and all(parameters[name].abs().max() > 0 for name in names), names


def check_equal(a, b):
    assert (a - b).abs().max() == 0, (a - b).abs().max()
