"""One function a question that a page asks: plain arrays or frames in, a small result out."""

from glasslib.studies.correlation import Scores, score

__all__ = ["Scores", "score"]
