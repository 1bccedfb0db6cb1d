"""How networks for digits are trained: distortions that leave a digit what it is, and a teacher."""

from dataclasses import replace

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.registry import Registry
from edgemnist.pipeline.train.augment import Distortion
from edgemnist.pipeline.train.model import Adam
from edgemnist.pipeline.train.recipes import (
    AVERAGED,
    CLASSIC,
    DEFAULT_RECIPE,
    Distillation,
    ForSmaller,
    Noise,
    Rounding,
    Training,
)

FAR = Distortion(rotation=15, scale=0.15, shear=0.2, shift=2, elastic=1.4, grid=8, stroke=0.6, sharp=True)
"""As far as a digit can be distorted and still be read: the teacher is wrong on 3 % of what this makes."""

TEACHER = replace(
    AVERAGED,
    summary="a small convolutional network, which `best` learns from",
    images_seen=960_000,
    batch_size=125,
    optimizer=Adam(beta_2=0.99),
    learning_rate=2e-3,
    distortion=replace(FAR, varied=True),
    xla=False,
)

RECIPES = Registry(
    "recipe",
    {
        "baseline": replace(CLASSIC, summary="the classic: five epochs of RMSprop on the images as they are", epochs=5),
        DEFAULT_RECIPE: replace(
            AVERAGED,
            summary="affine and elastic distortion, cosine schedule, weight averaging",
            images_seen=3_000_000,
            averaging=0.999,
            distortion=Distortion(rotation=7, scale=0.07, shear=0.1, shift=1, elastic=1),
        ),
        "best": replace(
            AVERAGED,
            summary="distilled from a teacher over distorted copies, with noise, and trained for int8",
            images_seen=18_000_000,
            batch_size=500,
            optimizer=Adam(weight_decay=0.03),
            warm_up=1,
            averaging=0.9985,
            noise=Noise(sigma=0.15, begins=0.75),
            rounding=Rounding(begins=0.9),
            distillation=Distillation(
                teacher=TEACHER, distortion=FAR, images=1_920_000, uses=5, temperature=2, share=0.7
            ),
            smaller=ForSmaller(
                parameters=250_000,
                batch_size=250,
                optimizer=Adam(weight_decay=0.01),
                averaging=0.999,
                images_seen=28_800_000,
                strength=0.55,
                temperature=1,
                share=1,
            ),
            calibration=FAR.scaled(0.5),
        ),
    },
)

KNOWN = (
    "cnn:28:c12s2-c20-c28-max-c40:4bit",
    "cnn:28:c12s2-c16-c24-max-c32:4bit",
    "cnn:28:c10s2-c16-max-c22-c24:4bit",
    "cnn:28:c8s2-c12-max-c16-c20:4bit",
    "cnn:28:c4s2-c8-max-c10:4bit",
    "mlp:12:134-26:4bit",
)
"""Networks that are good for their size (`benchmarks/training/small.json`): those within the limits are tried first."""

TRAINING = Training(network="mlp:512", recipes=RECIPES, known=KNOWN, distortion=FAR)


def for_digits(spec: InputSpec) -> Training:
    """Return how networks for digits are trained, whatever range their pixels are in."""
    del spec
    return TRAINING
