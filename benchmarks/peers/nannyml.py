"""NannyML's univariate drift and estimated performance, in chunks of a day."""

import nannyml
import pandas as pd

from benchmarks.peers.frames import Frames, main


def drift(frames: Frames) -> None:
    """Two methods for each column."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=frames.features,
        treat_as_categorical=frames.categorical,
        timestamp_column_name="predicted_at",
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
        categorical_methods=["chi2", "jensen_shannon"],
        chunk_period="D",
    )
    calculator.fit(frames.baseline)
    calculator.calculate(frames.predictions).to_df()


def estimated_performance(frames: Frames) -> None:
    """CBPE of three metrics."""
    estimator = nannyml.CBPE(
        problem_type="classification_binary",
        y_pred_proba="score",
        y_pred="prediction",
        y_true="actual",
        timestamp_column_name="predicted_at",
        metrics=["roc_auc", "f1", "accuracy"],
        chunk_period="D",
    )
    estimator.fit(_with_numbers(frames.baseline))
    estimator.estimate(_with_numbers(frames.predictions)).to_df()


def _with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    classes = {"true": 1, "false": 0}
    return frame.assign(
        prediction=frame["prediction"].map(classes), actual=frame["actual"].map(classes)
    )


if __name__ == "__main__":
    main("nannyml", {"drift": drift, "estimated_performance": estimated_performance})
