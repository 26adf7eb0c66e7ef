from __future__ import annotations

import pickle
import re

import pytest

from prenda.errors import PhotoError
from prenda.photos.messages import ERRORS, WARNINGS, problem


@pytest.mark.parametrize("code", [*ERRORS, *WARNINGS])
def test_each_text_is_there_in_both_languages(code):
    en, es = (ERRORS | WARNINGS)[code]
    named = [set(re.findall(r"{(\w+)", text)) for text in (en, es)]
    assert en != es
    assert named[0] - {"claim"} == named[1]


def test_an_error_survives_another_process():
    error = pickle.loads(pickle.dumps(problem("too_small", width=1, height=2, least=8)))

    assert isinstance(error, PhotoError)
    assert str(error) == "is too small: 1 x 2 pixels; at least 8 a side are needed"
    assert (error.message.code, error.message.es[:10]) == ("too_small", "es demasia")
