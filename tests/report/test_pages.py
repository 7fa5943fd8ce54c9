"""The report of a run: complete, self-contained, escaped, and small."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from visus.data.pixels.images import ArrayImage
from visus.engine.recipe import Recipe
from visus.errors import ShapeError
from visus.report import markup
from visus.report.content import Case, ReportContent, class_rows, headline_scores, recall_curves, scalars
from visus.report.pages import write_plots, write_report
from visus.structures import Detections, Heatmap, Label, SegmentationMap

EVIL = "<script>alert('x')</script> & \"quotes\""
VOID = {"meta", "img", "br", "hr", "link"}


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects what a page asks for and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def image(height: int = 40, width: int = 60, seed: int = 0) -> ArrayImage:
    return ArrayImage(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def label_case(names: tuple[str, ...], truth: int, said: int, **more) -> Case:
    scores = np.full(len(names), 0.1 / (len(names) - 1), np.float32)
    scores[said] = 0.9
    heat = Heatmap(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    return Case("a/1.png", Label(names, truth), Label(names, said, scores, image(8, 8)), heat, **more)


def classification(names: tuple[str, ...] = ("cat", "dog", "bird"), **more) -> ReportContent:
    count = len(names)
    values = {
        "title": "pets-resnet18",
        "task": "classification",
        "metrics": {
            "test": {
                "accuracy": 0.9,
                "top5_accuracy": None,
                "loss": 0.4,
                "confusion": (np.eye(count, dtype=int) * 9 + np.eye(count, k=1, dtype=int) * 2).tolist(),
                "per_class": {name: {"recall": 0.8, "images": 11} for name in names},
            },
            "val": {"accuracy": 0.95},
        },
        "results": [{"epoch": 1, "lr": 0.1, "train_loss": 2.0}, {"epoch": 2, "lr": 0.05, "train_loss": 1.0}],
        "classes": names,
        "intro": "3 classes",
        "subject": {"model": "resnet18@paper", "parameters": 11_689_512},
        "primary": "accuracy",
        "recipe": list(Recipe().fields()),
        "findings": [
            {"kind": "a", "severity": "note", "message": "only said", "count": 1, "examples": ["x.png"]},
            {
                "kind": "b",
                "severity": "stop",
                "message": "copies",
                "count": 30,
                "examples": [f"{i}" for i in range(20)],
            },
        ],
        "env": {"python": "3.11", "packages": {"torch": "2.15"}},
        "command": "visus train pets --model resnet18",
        "cases": [label_case(names, 0, 0)],
        "mistakes": [label_case(names, 0, 1, note="loss 4.2")],
    }
    return ReportContent(**{**values, **more})


def written(tmp_path, content: ReportContent) -> str:
    write_report(tmp_path / "report.html", content)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class TestPage:
    def test_everything_is_on_it(self, tmp_path):
        said = Reader(written(tmp_path, classification())).text
        for part in (
            "pets-resnet18",
            "90.0 %",
            "val 95.0 %",
            "resnet18@paper",
            "11,689,512",
            "optimizer.lr",
            "Confusion matrix",
            "Confused most often",
            "wrong: it is cat",
            "loss 4.2",
            "copies",
            "and 24 more",
            "torch 2.15",
            "visus train pets --model resnet18",
        ):
            assert part in said, part
        assert said.index("copies") < said.index("only said")

    def test_it_needs_nothing_from_outside_and_no_script(self, tmp_path):
        text = written(tmp_path, classification())
        page = Reader(text)
        assert not {"script", "link", "iframe", "object", "embed", "form"} & set(page.tags)
        assert all(link.startswith(("data:image/", "#")) for link in page.links)
        style = "".join(re.findall(r"<style.*?</style>", text, re.DOTALL))
        assert "url(" not in style
        assert "@import" not in style
        # Names of namespaces are no requests.
        assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }

    def test_it_follows_light_and_dark(self, tmp_path):
        assert "prefers-color-scheme: dark" in written(tmp_path, classification())

    def test_every_text_is_escaped(self, tmp_path):
        names = (EVIL, "dog", "bird")
        evil = classification(
            names,
            title=EVIL,
            intro=EVIL,
            subject={EVIL: EVIL},
            recipe=[(EVIL, EVIL, EVIL)],
            findings=[{"kind": "a", "severity": "note", "message": EVIL, "count": 1, "examples": [EVIL]}],
            env={EVIL: [EVIL]},
            command=EVIL,
            cases=[label_case(names, 0, 0, note=EVIL)],
            metrics={
                EVIL: {"accuracy": 0.5, EVIL: 0.25, "confusion": [[1, 2, 0]] * 3, "per_class": {EVIL: {EVIL: 0.5}}}
            },
        )
        page = Reader(written(tmp_path, evil))
        assert "script" not in page.tags
        assert page.text.count("alert('x')") >= 12

    def test_pictures_are_small_and_described(self, tmp_path):
        big = ArrayImage(np.tile(image(400, 600).array, (4, 4, 1)))
        case = Case("big.jpg", Label(("a", "b"), 0), Label(("a", "b"), 0, np.asarray([0.9, 0.1], np.float32), big))
        text = written(tmp_path, ReportContent("t", "classification", cases=[case]))
        pictures = re.findall(r'<img src="data:image/(?:png|jpeg);base64,([^"]+)"[^>]* alt="([^"]+)"', text)
        assert len(pictures) == 1
        assert pictures[0][1].startswith("big.jpg")
        assert max(Image.open(io.BytesIO(base64.b64decode(pictures[0][0]))).size) == 480

    def test_an_empty_report_is_a_page_too(self, tmp_path):
        assert "nothing yet" in Reader(written(tmp_path, ReportContent("nothing yet", "detection"))).text

    def test_a_case_without_any_image_is_said(self, tmp_path):
        case = Case("a.png", None, Label(("a", "b"), 0))
        with pytest.raises(ShapeError, match=r"a\.png"):
            write_report(tmp_path / "report.html", ReportContent("t", "classification", cases=[case]))
        assert not (tmp_path / "report.html").exists()

    def test_many_classes_stay_bounded(self, tmp_path):
        text = written(tmp_path, classification(tuple(f"class {i}" for i in range(120))))
        assert len(text) < 1_500_000
        assert "All 120 classes" in text


class TestOtherTasks:
    def test_detection_shows_truth_prediction_and_heat(self, tmp_path):
        classes = ("cat", "dog")
        truth = Detections(classes, np.asarray([[5, 5, 30, 30]], np.float32), np.asarray([1]), (40, 60), image=image())
        none = Detections.empty(classes, (40, 60), scored=True)
        heat = Heatmap(np.zeros((40, 60), np.float32), None, "dog")
        metrics = {
            "map50": 0.5,
            "map": None,
            "per_class": [
                {"class": "cat", "objects": 0, "ap50": None},
                {"class": "dog", "objects": 3, "ap50": 0.5},
            ],
            "curves": {"recall": [0, 0.5, 1], "precision": {"cat": None, "dog": [1, 0.5, 0]}},
        }
        content = ReportContent(
            "t", "detection", {"val": metrics}, classes=classes, cases=[Case("a", truth, none, heat)]
        )
        page = Reader(written(tmp_path, content))
        assert page.tags.count("img") == 4
        for part in (
            "truth",
            "prediction",
            "what is wrong",
            "what speaks for dog",
            "Precision and recall",
            "mAP at IoU 0.5",
            "50.0 %",
        ):
            assert part in page.text
        assert "map None" not in page.text

    def test_segmentation_of_a_huge_image_is_drawn_reduced(self, tmp_path):
        ids = np.zeros((1500, 1000), np.uint8)
        ids[500:] = 1
        names = ("background", "cell")
        large = ArrayImage(np.zeros((1500, 1000), np.uint8))
        case = Case("a", SegmentationMap(names, ids), SegmentationMap(names, ids, image=large))
        page = Reader(written(tmp_path, ReportContent("t", "segmentation", cases=[case])))
        assert page.tags.count("img") == 3  # truth, prediction, difference


class TestContent:
    def test_the_judged_split_is_test_then_val_then_any(self):
        assert ReportContent("t", "x", {"val": {}, "test": {"a": 1}}).judged == "test"
        assert ReportContent("t", "x", {"other": {}, "val": {}}).judged == "val"
        assert ReportContent("t", "x", {"other": {"a": 0.5}}).judged_metrics == {"a": 0.5}
        assert ReportContent("t", "x").judged_metrics == {}

    def test_scalars_are_fractions_only(self):
        metrics = {"a": 0.5, "b": None, "val_loss": 0.2, "c": [1], "d": 7, "e": True, "f": {"x": 1}, "g": float("nan")}
        assert scalars(metrics) == {"a": 0.5}

    def test_the_primary_score_leads(self):
        metrics = {"test": {"pixel_accuracy": 0.9, "zeta": 0.1, "mean_dice": 0.8, "mean_iou": 0.7}}
        order = headline_scores(ReportContent("t", "x", metrics, primary="mean_dice"), 3)
        assert list(order) == ["mean_dice", "mean_iou", "pixel_accuracy"]

    def test_classes_come_as_mapping_or_rows(self):
        assert class_rows({"per_class": {"a": 0.5}}) == {"a": {"score": 0.5}}
        assert class_rows({"per_class": {"a": {"iou": 0.5}}}) == {"a": {"iou": 0.5}}
        assert class_rows({"per_class": [{"class": "a", "iou": 0.5}]}) == {"a": {"iou": 0.5}}
        assert class_rows({}) == {}

    def test_curves_without_values_are_left_out(self):
        curves = {"recall": [0, 1], "precision": {"a": [1, 0], "b": None}}
        assert recall_curves({"curves": curves}) == {"a": ([0, 1], [1, 0])}

    def test_plots_are_written_by_name(self, tmp_path):
        names = {path.name for path in write_plots(tmp_path, classification())}
        assert names == {"loss.png", "learning_rate.png", "confusion.png", "classes.png"}
        assert all((tmp_path / name).stat().st_size > 1000 for name in names)


class TestMarkup:
    def test_attributes_and_children_are_escaped_and_markup_is_not(self):
        inner = markup.element("b", "<i>")
        assert markup.element("p", inner, "<u>", class_='"x"') == (
            '<p class="&quot;x&quot;"><b>&lt;i&gt;</b>&lt;u&gt;</p>'
        )

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (None, "none"),
            (True, "yes"),
            (1234567, "1,234,567"),
            (0.1, "0.1"),
            ([1, 2], "1, 2"),
            ({"a": 1}, "a 1"),
            ((), "none"),
            ("x", "x"),
        ],
    )
    def test_values_are_written_as_people_do(self, value: object, said: str):
        assert markup.plain(value) == said

    def test_flat_pictures_are_png_and_noisy_ones_jpeg(self):
        assert "image/png" in markup.picture(Image.new("RGB", (200, 200)), "x")
        noise = Image.fromarray(image(200, 200).array)
        assert "image/jpeg" in markup.picture(noise, "x")


def test_box_mistakes_are_drawn_and_counted() -> None:
    from visus.report.box_mistakes import COLOURS, draw_box_mistakes

    truth = Detections(
        ("cell", "platelet"),
        np.asarray([[10, 10, 60, 60], [200, 10, 250, 60], [20, 200, 70, 250]], np.float32),
        np.asarray([0, 1, 0]),
        (300, 300),
    )
    prediction = Detections(
        truth.classes,
        np.asarray([[10, 10, 60, 60], [200, 10, 250, 60], [150, 150, 190, 190]], np.float32),
        np.asarray([0, 0, 0]),
        truth.size,
        scores=np.asarray([0.9, 0.8, 0.7], np.float32),
    )
    picture = np.asarray(draw_box_mistakes(prediction, truth, np.zeros((3, 300, 300), np.uint8)))
    assert tuple(picture[61 - 2, 30]) == COLOURS["hit"]  # the lower edge of the hit: thin, and no words
    assert tuple(picture[58, 225]) == COLOURS["classification"]
    assert tuple(picture[188, 170]) == COLOURS["background"]
    assert any(tuple(picture[249, x]) == COLOURS["missed"] for x in range(20, 70))
    assert not any((picture == COLOURS[kind]).all(-1).any() for kind in ("duplicate", "localisation", "both"))

    flat = {
        "kinds": {
            kind: {"count": n, "gain": 0.125}
            for n, kind in enumerate(("classification", "localisation", "both", "duplicate", "background", "missed"))
        }
    }
    metrics = {"val": {"map50": 0.5, "errors": {"map": 0.5, "false_positives": 0.25, "false_negatives": 0.0, **flat}}}
    from visus.report.pages import _box_errors

    text = str(_box_errors(metrics["val"]))
    assert "+12.5 points" in text
    assert "+25.0 points" in text
    assert str(_box_errors({"map50": 0.5})) == ""
