"""The models have torchvision's names, shapes, order, first numbers and answers."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

import rushlight
from rushlight import hub
from rushlight.nn import init
from rushlight.vision import models
from tests.vision.models.figures import BUILT, COMPUTED, TRAINED, built, layout, losses, outputs

FIGURES = json.loads(Path(__file__).with_name("figures.json").read_text("utf-8"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No parameter is filled: only names and shapes are looked at."""
    for name in dir(init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(init, name, lambda tensor, *others, **named: tensor)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", BUILT)
def test_names_and_shapes(name: str, undrawn: None) -> None:
    assert layout(models.get_model(name)) == FIGURES["layouts"][name]


def close(got: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    """One generator's numbers exactly, sums and answers but for rounding."""
    assert got["drawn"] == expected["drawn"]
    np.testing.assert_allclose(got["parameters"], expected["parameters"], rtol=1e-5)
    for mode in ("trained", "answers"):
        scale = max(map(abs, expected[mode]))
        np.testing.assert_allclose(got[mode], expected[mode], atol=2e-4 * scale, rtol=0)


@pytest.mark.parametrize("name", COMPUTED)
def test_answers_for_one_seed(name: str) -> None:
    close(outputs(rushlight, models, name), FIGURES["outputs"][name])


@pytest.mark.parametrize("name", TRAINED)
def test_losses_of_a_training(name: str) -> None:
    np.testing.assert_allclose(losses(rushlight, models, name), FIGURES["losses"][name], rtol=1e-7)


@pytest.mark.parametrize("name", ["VisionTransformer", "mobilenet_v3_small", "DenseNet"])
def test_states_cross(name: str, torchvision: Any) -> None:
    """What torchvision has drawn for a seed is what is drawn here, number for number."""
    import torch

    theirs, ours = built(torch, torchvision.models, name), built(rushlight, models, name)
    state = theirs.state_dict()
    assert list(state) == list(ours.state_dict())
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy(), err_msg=key)
    assert repr(ours) == repr(theirs)


def test_every_set_of_weights_is_torchvisions(torchvision: Any) -> None:
    for name in models.list_models():
        ours, theirs = models.get_model_weights(name), torchvision.models.get_model_weights(name)
        assert [(m.name, m.url) for m in ours] == [(m.name, m.url) for m in theirs]
        assert ours.DEFAULT.name == theirs.DEFAULT.name
        for mine, other in zip(ours, theirs, strict=True):
            meta = {k: v for k, v in other.meta.items() if k != "_docs"}
            assert repr(mine.meta) == repr(meta)  # some figures are not numbers
            assert repr(mine.transforms()) == repr(other.transforms())


def test_pictures_are_prepared_as_torchvisions(torchvision: Any) -> None:
    import torch

    points = np.random.default_rng(0).integers(256, size=(3, 240, 300)).astype(np.uint8)
    for name in ("ResNet50_Weights.IMAGENET1K_V2", "ViT_B_16_Weights.IMAGENET1K_SWAG_LINEAR_V1"):
        ours = models.get_weight(name).transforms()(rushlight.from_numpy(points))
        theirs = torchvision.models.get_weight(name).transforms()(torch.from_numpy(points))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=0.02)  # a step of 1 / 255


def test_weights_by_name() -> None:
    best = models.ResNet50_Weights.DEFAULT
    assert models.get_weight("ResNet50_Weights.IMAGENET1K_V2") is best
    assert models.get_model_weights(models.resnet50) is models.ResNet50_Weights
    assert pickle.loads(pickle.dumps(best)) is best
    assert best.meta["categories"][0] == "tench"
    assert best.meta["min_size"] == (1, 1)
    with pytest.raises(ValueError, match="Invalid weight name provided: 'best'"):
        models.get_weight("best")
    with pytest.raises(TypeError, match="expected ResNet18_Weights but received ResNet50_Weights"):
        models.resnet18(weights=best)
    with pytest.raises(KeyError, match="V3"):
        models.resnet18(weights="IMAGENET1K_V3")
    with pytest.raises(ValueError, match="'num_classes' expected value 1000 but got 10 instead"):
        models.resnet18(weights="DEFAULT", num_classes=10)


def test_builders() -> None:
    assert set(BUILT) == set(models.list_models())
    assert models.list_models(module=models) == models.list_models()
    assert models.list_models(include=["vgg1*"], exclude="*_bn") == [
        "vgg11", "vgg13", "vgg16", "vgg19",
    ]  # fmt: skip
    parameters = inspect.signature(models.vit_b_16).parameters
    assert list(parameters) == ["weights", "progress", "kwargs"]
    with pytest.raises(ValueError, match="Unknown model resnet19"):
        models.get_model("resnet19")
    with pytest.raises(ValueError, match="'groups' expected value 32 but got 1 instead"):
        models.resnext50_32x4d(groups=1)


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    """The folder of downloaded files, for one test."""
    hub.set_dir(tmp_path)
    yield tmp_path / "checkpoints"
    hub.set_dir(None)


def test_weights_in_the_cache_are_loaded(cache: Path) -> None:
    trained = models.squeezenet1_1()
    cache.mkdir()
    file = cache / models.SqueezeNet1_1_Weights.DEFAULT.url.rpartition("/")[2]
    rushlight.save(trained.state_dict(), file)
    for words in ({"weights": "DEFAULT"}, {"weights": models.SqueezeNet1_1_Weights.DEFAULT}):
        loaded = models.squeezenet1_1(**words)
        for one, other in zip(trained.parameters(), loaded.parameters(), strict=True):
            assert rushlight.equal(one, other)
    with pytest.warns(UserWarning, match=r"deprecated since 0\.13") as told:
        models.squeezenet1_1(pretrained=True)
    texts = [str(warning.message) for warning in told]
    assert texts[0].startswith("The parameter 'pretrained' is deprecated since 0.13")
    assert "`weights=SqueezeNet1_1_Weights.IMAGENET1K_V1`" in texts[1]
    with pytest.warns(UserWarning, match=r"deprecated since 0\.13") as told:
        models.squeezenet1_1(True)
    assert "Using 'weights' as positional parameter(s) is deprecated" in str(told[0].message)


def test_without_a_network_the_error_says_where_to_put_the_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*others: Any, **named: Any) -> Any:
        raise URLError("no network")

    monkeypatch.setattr(hub, "download_url_to_file", refuse)
    url = models.ResNet18_Weights.DEFAULT.url
    with pytest.raises(URLError) as refused:
        models.resnet18(weights="DEFAULT")
    assert f"fetch {url} elsewhere and put it at {cache}/resnet18-" in str(refused.value)


def test_old_interface_without_weights() -> None:
    with pytest.warns(UserWarning, match=r"deprecated since 0\.13") as told:
        model = models.squeezenet1_1(pretrained=False, num_classes=2)
    assert "The parameter 'pretrained' is deprecated" in str(told[0].message)
    assert str(told[1].message).endswith("equivalent to passing `weights=None`.")
    assert model.num_classes == 2
    with (
        pytest.warns(UserWarning, match="'pretrained' is deprecated"),
        pytest.raises(ValueError, match="No weights available for model vit_h_14"),
    ):
        models.vit_h_14(pretrained=True)


def test_googlenet_gives_its_heads_in_training(undrawn: None) -> None:
    net = models.googlenet(num_classes=10, init_weights=True)
    net.eval()
    assert net(rushlight.zeros(2, 3, 64, 64)).shape == (2, 10)
    net.train()
    given = net(rushlight.zeros(2, 3, 64, 64))
    assert type(given).__name__ == "GoogLeNetOutputs"
    assert [value.shape for value in given] == [(2, 10)] * 3


def test_positions_for_pictures_of_another_size(torchvision: Any) -> None:
    import torch

    state = {"encoder.pos_embedding": torch.rand(1, 5, 3), "heads.head.weight": torch.rand(2)}
    own = {name: rushlight.from_numpy(value.numpy()) for name, value in state.items()}
    theirs = torchvision.models.vision_transformer.interpolate_embeddings(64, 16, state)
    ours = models.interpolate_embeddings(64, 16, own)
    key = "encoder.pos_embedding"
    np.testing.assert_allclose(ours[key].numpy(), theirs[key].numpy(), atol=1e-6)
    assert list(models.interpolate_embeddings(64, 16, own, reset_heads=True)) == [key]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_step_is_compiled_without_calls_of_python(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but what draws dropout's random numbers is native code and oneDNN."""
    from rushlight.engine.compiler import pipeline

    called = []
    planner: Any = pipeline._Planner
    plan = planner._python

    def noted(self: Any, position: int, unit: Any) -> None:
        called.append(str(unit.node.spec))
        plan(self, position, unit)

    monkeypatch.setattr(planner, "_python", noted)
    rushlight.manual_seed(0)
    net = models.get_model(name, num_classes=10)
    optimizer = rushlight.optim.SGD(net.parameters(), lr=0.01)
    inputs, labels = rushlight.randn(4, 3, 32, 32), rushlight.arange(4)
    compiled = rushlight.debug.stats().compiled_programs
    for _ in range(8):
        optimizer.zero_grad()
        rushlight.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
    assert rushlight.debug.stats().compiled_programs > compiled
    assert [call for call in called if not call.startswith("random_draws")] == []
