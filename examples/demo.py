"""The five-minute tour on real handwritten digits: train, evaluate, predict, explain.

The 1,797 digits (8x8 pixels, UCI optical recognition data) come with scikit-learn. Run: ``make demo``.
"""

import time
from pathlib import Path

import visus


def main() -> None:
    began = time.monotonic()
    run = visus.train("digits", model="mnist_cnn")

    print("\nJudged on 359 digits that it never saw:")
    print(run.evaluate("test", quiet=True))

    model = visus.load(run.path)
    held_back = visus.open_data("digits").split("test")[:5]
    folder = Path(run.path) / "demo"
    folder.mkdir(exist_ok=True)
    print("\nFive of them:")
    for number, sample in enumerate(held_back):
        answer = model.predict(sample.image)
        truth = sample.target("classification").name
        print(f"  {sample.id}: it says {answer.name} ({answer.score:.1%} sure), it is {truth}")
        answer.draw().save(folder / f"{number}-answer.png")
        model.explain(sample.image).draw().save(folder / f"{number}-why.png")

    print(f"\nDone in {time.monotonic() - began:.0f} s.")
    print(f"Answers and heat maps: {folder}")
    print(f"Run folder:            {run.path}")
    print(f"Report, open it:       {run.report.resolve()}")


if __name__ == "__main__":
    main()
