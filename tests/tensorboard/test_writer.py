"""What a program logs can be read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")

from PIL import Image
from tensorboard.util import tensor_util

import rushlight as torch
from rushlight.engine.runtime.cache import counters
from rushlight.utils.tensorboard import FileWriter, RecordWriter, SummaryWriter, summary
from tests.tensorboard.events import accumulated, events, runs, values


def pixels(value: Any) -> np.ndarray:
    """A written picture, decoded."""
    return np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string)))


def test_a_curve(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(30):
            writer.add_scalar("Loss/train", torch.tensor(1.0) / (step + 1), step)
            writer.add_scalar("Loss/test", 2.0**-step, global_step=step, walltime=1000.0 + step)
    read = accumulated(tmp_path)
    assert read.Tags()["scalars"] == ["Loss/train", "Loss/test"]
    train, test = read.Scalars("Loss/train"), read.Scalars("Loss/test")
    assert [point.step for point in train] == list(range(30))
    assert [point.value for point in train] == [float(np.float32(1) / (i + 1)) for i in range(30)]
    assert [point.value for point in test] == [2.0**-i for i in range(30)]
    assert [point.wall_time for point in test] == [1000.0 + i for i in range(30)]


def test_new_style_and_double_precision(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("a", 0.1, 1, new_style=True)
        writer.add_scalar("b", torch.tensor(0.1), 1, new_style=True, double_precision=True)
        writer.add_scalar("c", 0.1, 1, new_style=True, double_precision=True)
    read = [(v.metadata.plugin_data.plugin_name, v.tensor) for v in values(tmp_path)]
    assert [name for name, _ in read] == ["scalars"] * 3
    assert read[0][1].float_val == [np.float32(0.1)]
    assert read[1][1].double_val == [float(np.float32(0.1))]
    assert read[2][1].double_val == [0.1]


def test_curves_in_one_chart(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalars("run/a", {"sin": np.sin(step), "cos": torch.tensor(1.0)}, step)
    assert runs(tmp_path) == [".", "run_a_cos", "run_a_sin"]
    points = accumulated(tmp_path / "run_a_sin").Scalars("run/a")
    assert [point.value for point in points] == [float(np.float32(np.sin(i))) for i in range(3)]


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_LR_0.1", filename_suffix=".mine") as writer:
        folder = Path(writer.get_logdir())
    assert folder.parent == Path("runs")
    assert folder.name.endswith(f"_{socket.gethostname()}_LR_0.1")
    time.strptime(folder.name.split(f"_{socket.gethostname()}")[0], "%b%d_%H-%M-%S")
    assert [file.suffix for file in folder.iterdir()] == [".mine"]


def test_purge_after_a_crash(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(10):
            writer.add_scalar("loss", step, step, walltime=1.0)
    time.sleep(1.1)  # files are told apart by the second
    with SummaryWriter(tmp_path, purge_step=5) as writer:
        writer.add_scalar("loss", 50, 5)
    read = accumulated(tmp_path).Scalars("loss")
    assert [(point.step, point.value) for point in read] == [(i, i) for i in range(5)] + [(5, 50)]


def test_histogram_tensor_text(tmp_path: Path) -> None:
    numbers = torch.arange(-4.0, 5.0)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("h", numbers, 3)
        writer.add_histogram("b", numbers, 3, bins=2)
        writer.add_histogram_raw("r", 0, 2, 3, 3, 5, [1, 2, 3], torch.ones(3))
        for kind in (torch.float32, torch.float64, torch.int64, torch.bool, torch.float16):
            writer.add_tensor(str(kind), numbers.to(kind), 3)
        writer.add_tensor("bfloat16", numbers.to(torch.bfloat16), 3)
        writer.add_text("note", "**bold**", 3)
    read = accumulated(tmp_path)
    histogram = read.Histograms("h")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num) == (-4, 4, 9)
    assert (histogram.sum, histogram.sum_squares) == (0, 60)
    assert sum(histogram.bucket) == 9
    halves = read.Histograms("b")[0].histogram_value
    assert (halves.bucket_limit, halves.bucket) == ([-4.0, 0.0, 4.0], [0.0, 4.0, 5.0])
    assert read.Histograms("r")[0].histogram_value.bucket == [1.0] * 3
    for kind in (torch.float32, torch.float64, torch.int64, torch.bool, torch.float16):
        back = tensor_util.make_ndarray(read.Tensors(str(kind))[0].tensor_proto)
        assert back.dtype == numbers.to(kind).numpy().dtype
        assert back.tolist() == numbers.to(kind).tolist()
    back = tensor_util.make_ndarray(read.Tensors("bfloat16")[0].tensor_proto)
    assert back.tolist() == numbers.tolist()
    assert read.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"**bold**"]
    with pytest.raises(ValueError, match=r"len\(bucket_limits\) != len\(bucket_counts\)"):
        writer.add_histogram_raw("r", 0, 2, 3, 3, 5, [1, 2, 3], [1])


def test_pictures(tmp_path: Path) -> None:
    picture = torch.rand(3, 6, 5)
    expected = (picture * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("one", picture, 0)
        writer.add_image("rows", picture.permute(1, 2, 0), 0, dataformats="HWC")
        writer.add_image("grey", picture[0], 0, dataformats="HW")
        writer.add_images("many", torch.stack([picture] * 10), 0)
        writer.add_image_with_boxes("box", picture * 0, torch.tensor([[1, 1, 4, 4]]), labels="x")
        writer.add_image_with_boxes("large", picture, torch.zeros(0, 4), rescale=2)
    one, rows, grey, many, box, large = map(pixels, values(tmp_path))
    assert np.array_equal(one, expected)
    assert np.array_equal(rows, expected)
    assert np.array_equal(grey, np.repeat(expected[:, :, :1], 3, axis=2))
    assert many.shape == (12, 40, 3)
    assert np.array_equal(many[6:, 5:10], expected)
    assert not many[6:, 10:].any()
    assert box[1, 1].tolist() == [255, 0, 0]
    assert large.shape == (12, 10, 3)
    assert [image.step for image in accumulated(tmp_path).Images("one")] == [0]


def test_figures(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="Matplotlib is not installed")

    def figure() -> Any:
        made, axes = pyplot.subplots(figsize=(2, 1), dpi=50)
        axes.plot([1, 2])
        return made

    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("one", figure())
        assert not pyplot.get_fignums()
        kept = figure()
        writer.add_figure("kept", kept, close=False)
        assert pyplot.get_fignums()
        writer.add_figure("two", [kept, figure()])
        assert not pyplot.get_fignums()
    one, kept, two = map(pixels, values(tmp_path))
    assert one.shape == (50, 100, 3)
    assert one.min() < 200
    assert np.array_equal(one, kept)
    assert np.array_equal(two, np.concatenate([one, one], axis=1))


def test_film_and_sound(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_video("film", torch.rand(1, 5, 1, 8, 9), fps=10)
        with pytest.warns(UserWarning, match="audio amplitude out of range, auto clipped"):
            writer.add_audio("sound", torch.arange(-2.0, 3.0), sample_rate=8000)
        with pytest.raises(AssertionError, match="5 dimensions"):
            writer.add_video("film", torch.rand(5, 1, 8, 9))
    film, sound = values(tmp_path)
    moving = Image.open(io.BytesIO(film.image.encoded_image_string))
    assert (moving.format, moving.size, moving.n_frames) == ("GIF", (9, 8), 5)
    assert moving.info["duration"] == 100
    assert (sound.audio.sample_rate, sound.audio.length_frames) == (8000, 5)
    heard = np.frombuffer(sound.audio.encoded_audio_string[-10:], "<i2")
    assert heard.tolist() == [-32767, -32767, 0, 32767, 32767]


def test_charts_curves_and_meshes(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_pr_curve("pr", torch.tensor([1, 0, 1]), torch.tensor([0.9, 0.6, 0.4]), 4, 3)
        writer.add_pr_curve_raw("raw", *torch.ones(6, 5), global_step=4, num_thresholds=5)
        writer.add_custom_scalars_multilinechart(["a", "b"], "c", "t")
        writer.add_mesh("points", torch.rand(1, 4, 3), global_step=4)
        with pytest.raises(AssertionError, match="Expected 3 tags, got 2"):
            writer.add_custom_scalars_marginchart(["a", "b"])
    with SummaryWriter(tmp_path / "margin") as writer:
        writer.add_custom_scalars_marginchart(["a", "b", "c"])
    curve, raw, chart, points = values(tmp_path)
    assert tensor_util.make_ndarray(curve.tensor)[4].round(3).tolist() == [
        pytest.approx(0.667), 0.5, 0.0,
    ]  # fmt: skip
    assert tensor_util.make_ndarray(raw.tensor).shape == (6, 5)
    assert chart.tag == "custom_scalars__config__"
    assert points.tag == "points_VERTEX"
    assert [v.metadata.plugin_data.plugin_name for v in (curve, raw, chart, points)] == [
        "pr_curves", "pr_curves", "custom_scalars", "mesh",
    ]  # fmt: skip


def test_hparams_are_a_run_of_their_own(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams({"lr": 0.1}, {"hparam/acc": torch.tensor(0.5)}, run_name="first")
        writer.add_hparams({"lr": 0.2}, {"hparam/acc": 0.75}, {"lr": [0.1, 0.2]}, global_step=3)
        with pytest.raises(TypeError, match="should be dictionary"):
            writer.add_hparams([("lr", 0.1)], {})  # type: ignore[arg-type]
    folders = runs(tmp_path)
    assert len(folders) == 3
    assert folders[-1] == "first"
    assert float(folders[1]) == pytest.approx(time.time(), abs=60)
    tags = [value.tag for value in values(tmp_path / "first")]
    assert tags == [
        "_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info",
        "hparam/acc",
    ]  # fmt: skip
    assert accumulated(tmp_path / "first").Scalars("hparam/acc")[0].value == 0.5
    assert [event.step for event in events(tmp_path / folders[1])] == [3] * 4


def test_a_pending_number_is_not_computed_for_the_log(tmp_path: Path) -> None:
    x = torch.rand(5)
    x.sum().item()
    with SummaryWriter(tmp_path) as writer:
        flushes = counters.flushes
        loss = (x * 2).sum()
        writer.add_scalar("loss", loss, 0)
        loss += 1  # the number of before is logged
        writer.add_scalar("later", 7.0, 0)
        writer.add_scalars("chart", {"a": loss}, 0)
        assert counters.flushes == flushes
        assert loss.item() == pytest.approx(x.sum().item() * 2 + 1)
        assert counters.flushes == flushes + 1 + 1
    assert [value.tag for value in values(tmp_path)] == ["loss", "later"]
    read = values(tmp_path)[0].simple_value
    assert read == pytest.approx(x.sum().item() * 2)
    assert values(tmp_path / "chart_a")[0].simple_value == pytest.approx(read + 1)


def test_not_too_many_numbers_wait(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path, max_queue=4) as writer:
        flushes = counters.flushes
        for step in range(4):
            writer.add_scalar("loss", torch.ones(3).sum() * step, step)
        assert counters.flushes == flushes
        writer.add_scalar("loss", torch.ones(3).sum() * 4, 4)
        assert counters.flushes == flushes + 1
        with pytest.raises(AssertionError, match="should contain one element"):
            writer.add_scalar("loss", torch.ones(3) * 2, 5)
    assert [value.simple_value for value in values(tmp_path)] == [0, 3, 6, 9, 12]


def test_numbers_of_another_thread(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        thread = threading.Thread(
            target=lambda: writer.add_scalar("there", torch.ones(3).sum() * 2, 1)
        )
        thread.start()
        thread.join()
        writer.add_scalar("here", torch.ones(3).sum() * 3, 1)
    assert {v.tag: v.simple_value for v in values(tmp_path)} == {"there": 6.0, "here": 9.0}


def test_threads_share_a_writer(tmp_path: Path) -> None:
    def log(name: str) -> None:
        for step in range(40):
            writer.add_scalar(name, torch.ones(2).sum() * step, step)

    with SummaryWriter(tmp_path) as writer:
        threads = [threading.Thread(target=log, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    read = [(value.tag, value.simple_value) for value in values(tmp_path)]
    for name in "abc":
        assert [number for tag, number in read if tag == name] == [2.0 * i for i in range(40)]


def test_flush_close_and_go_on(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("a", torch.ones(2).sum() * 1, 0)
    writer.flush()
    assert len(values(tmp_path)) == 1
    writer.close()
    writer.close()
    writer.flush()
    writer.add_scalar("a", 3.0, 1)  # a new file
    writer.close()
    assert {value.simple_value for value in values(tmp_path)} == {2.0, 3.0}
    assert len(list(tmp_path.iterdir())) == 2


def test_file_writer(tmp_path: Path) -> None:
    writer = FileWriter(str(tmp_path))
    writer.add_summary(summary.text("t", "x"), 2)
    writer.close()
    writer.reopen()
    writer.reopen()
    writer.add_summary(summary.text("t", "y"), 3)
    writer.close()
    assert writer.get_logdir() == str(tmp_path)
    assert {event.step for event in events(tmp_path)} == {2, 3}
    assert RecordWriter.__name__ == "RecordWriter"


PROGRAM = """
import sys
import rushlight as torch
from rushlight.utils.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1], flush_secs=3600)
for step in range(25):
    writer.add_scalar("loss", torch.ones(3).sum() * step, step)
"""


def test_nothing_is_lost_without_close(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=120)
    assert [value.simple_value for value in values(tmp_path)] == [3.0 * i for i in range(25)]


def test_without_tensorboard() -> None:
    program = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "try:\n    import rushlight.utils.tensorboard\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    assert "pip install 'rushlight[tensorboard]'" in done.stdout
