"""Answers of the service as types, for its OpenAPI document. Routes write JSON themselves, which saves validation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

PROBABILITY = Field(ge=0, le=1, description="Calibrated probability, rounded to four decimals.", examples=[0.9312])


class Schema(BaseModel):
    """Base class of the answers."""

    model_config = ConfigDict(extra="forbid")


class Labels(Schema):
    """Name of a type for people."""

    en: str = Field(examples=["t-shirt"])
    es: str = Field(examples=["camiseta"])


class Text(Schema):
    """A text for people, with a code for programs that never changes."""

    code: str = Field(examples=["confidence"])
    en: str
    es: str


class Input(Schema):
    """Size of the picture that the network sees."""

    height: int
    width: int
    channels: int = Field(description="1 for grey, 3 for RGB")


class ModelVersion(Schema):
    """The model that answered."""

    name: str = Field(description="Its task: a data set with its classes.", examples=["clothing"])
    version: str = Field(
        description="Start of its bundle's SHA-256.", pattern="^[0-9a-f]{12}$", examples=["3d03992736c4"]
    )
    registry_version: str | None = Field(description="Its version on an MLflow server, if it comes from there.")
    input: Input


class Guess(Schema):
    """A type and its probability."""

    type: str = Field(examples=["t-shirt"])
    labels: Labels
    probability: float = PROBABILITY


class Answer(Schema):
    """Answer for one photo."""

    photo: str = Field(description="Name of the file as it was sent, without folders.", examples=["IMG_1.jpg"])
    type: str | None = Field(description="The type; null if the model is unsure or the photo cannot be read.")
    unsure: bool
    reason: Text | None = Field(description="Why the model is unsure: `confidence`, `novelty` or `energy`.")
    guesses: list[Guess] = Field(description="The most probable types, the best first; also of an unsure model.")
    warnings: list[Text] = Field(description="What limits the answer.")
    error: Text | None = Field(description="Why the photo cannot be read, as the end of a sentence about it.")
    picture: str | None = Field(
        default=None, description="With `picture=true`: the network's picture as a data URL of a PNG."
    )


class Prediction(Schema):
    """Answers for the photos of a request, in their order."""

    model: ModelVersion
    milliseconds: float = Field(description="Time from the last byte of the request to the answer.")
    answers: list[Answer]


class Type(Schema):
    """A type that the model knows."""

    type: str
    labels: Labels


class ModelDescription(ModelVersion):
    """The model and what the server does."""

    types: list[Type]
    thresholds: dict[str, float] = Field(
        description="`confidence`: smallest probability of an answer. `novelty` or `energy`: largest of an answer."
    )
    keeps_corrections: bool
    needs_token: bool


class Kept(Schema):
    """A correction that was kept."""

    type: str = Field(description="Name of the type, as its folder bears it.")
    photo: str = Field(description="Hash of the photo's pixels, which is its name.")
    moved_from: str | None = Field(description="Type of an earlier correction of the same photo.")


class Alive(Schema):
    """The process runs."""

    status: str = Field(examples=["alive"])


class Ready(Schema):
    """A model is loaded and has passed its self-test."""

    status: str = Field(examples=["ready"])
    model: ModelVersion


class ErrorText(Schema):
    """Why a request was refused."""

    code: str
    en: str
    es: str
    next: str | None = Field(description="The next step, in English.")


class Error(Schema):
    """A refused request."""

    error: ErrorText
