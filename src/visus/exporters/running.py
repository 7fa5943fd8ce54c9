"""Runs an ONNX file in onnxruntime, for the check of an export."""

from __future__ import annotations

from pathlib import Path

from visus.answers.reader import Array
from visus.errors import WeightsError
from visus.runtimes.importing import import_onnxruntime


class OnnxFile:
    """An ONNX file in onnxruntime, on the CPU.

    Args:
        path: of the file.

    Raises:
        WeightsError: if there is no such file, or the runtime cannot read it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsError(f"there is no file {path}", expected="an exported model, such as model.onnx")
        onnxruntime = import_onnxruntime()
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each way to fail
            raise WeightsError(
                f"{path} cannot be read as an ONNX model",
                expected="a whole file, of operators that the runtime knows",
                got=str(error).strip().splitlines()[-1][:300],
                remedy="export the model again",
            ) from None

    @property
    def metadata(self) -> dict[str, str]:
        """The entries of the file's metadata."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> dict[str, list[int | str | None]]:
        """Name -> shape, with a text or None for every free dimension."""
        return {one.name: list(one.shape) for one in self._session.get_inputs()}

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return [one.name for one in self._session.get_outputs()]

    def run(self, images: Array) -> dict[str, Array]:
        """The outputs of [N,C,H,W] by name."""
        values = self._session.run(self.outputs, {self._session.get_inputs()[0].name: images})
        return dict(zip(self.outputs, values, strict=True))
