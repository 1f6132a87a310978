#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small neural network on Fisher's iris measurements, with the standard library only.

The data beside this file are the 150 flowers of R. A. Fisher, "The use of multiple measurements in taxonomic problems"
(Annals of Eugenics 7, 1936), measured by Edgar Anderson. One hidden layer, cross-entropy, gradient descent with
momentum. The trained weights are written to model.json in the current directory; the exit code is 0 only when the
network classifies the flowers well that it has not seen.
"""

import csv
import json
import math
import random
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent / "iris.csv"
MODEL = Path("model.json")
SPECIES = ["setosa", "versicolor", "virginica"]
SEED = 7
HIDDEN = 8
EPOCHS = 120
BATCH = 10
RATE = 0.05
MOMENTUM = 0.9
TEST_SHARE = 0.3
WANTED_ACCURACY = 0.9


def load(path):
    """Rows of ([four measurements in cm], index of the species)."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [([float(x) for x in row[:4]], SPECIES.index(row[4])) for row in rows]


def split(rows, rng):
    """Training and test rows, the same share of every species in both."""
    train, test = [], []
    for label in range(len(SPECIES)):
        group = [row for row in rows if row[1] == label]
        rng.shuffle(group)
        cut = round(len(group) * TEST_SHARE)
        test += group[:cut]
        train += group[cut:]
    return train, test


def scale_of(rows):
    """Mean and standard deviation of each measurement."""
    columns = list(zip(*(x for x, _ in rows)))
    means = [sum(c) / len(c) for c in columns]
    spreads = [math.sqrt(sum((v - m) ** 2 for v in c) / len(c)) for c, m in zip(columns, means)]
    return means, spreads


def scaled(rows, means, spreads):
    return [([(v - m) / s for v, m, s in zip(x, means, spreads)], y) for x, y in rows]


def new_layer(inputs, outputs, rng):
    """One row of weights per output; the last weight of a row is the bias."""
    bound = math.sqrt(6 / (inputs + outputs))
    return [[rng.uniform(-bound, bound) for _ in range(inputs)] + [0.0] for _ in range(outputs)]


def weighted(layer, x):
    return [sum(w * v for w, v in zip(row, x)) + row[-1] for row in layer]


def forward(net, x):
    """The hidden layer's activations and the probability of each species."""
    hidden = [math.tanh(v) for v in weighted(net["hidden"], x)]
    scores = weighted(net["output"], hidden)
    top = max(scores)
    powers = [math.exp(s - top) for s in scores]
    total = sum(powers)
    return hidden, [p / total for p in powers]


def add_gradient(gradient, errors, x):
    for row, e in zip(gradient, errors):
        for i, v in enumerate(x):
            row[i] += e * v
        row[-1] += e


def step(net, velocity, batch):
    """One step of gradient descent on a batch; returns the batch's summed loss."""
    gradient = {name: [[0.0] * len(row) for row in layer] for name, layer in net.items()}
    loss = 0.0
    for x, y in batch:
        hidden, probabilities = forward(net, x)
        loss -= math.log(max(probabilities[y], 1e-12))
        errors = [p - (k == y) for k, p in enumerate(probabilities)]
        back = [
            (1 - h * h) * sum(e * row[j] for e, row in zip(errors, net["output"]))
            for j, h in enumerate(hidden)
        ]
        add_gradient(gradient["output"], errors, hidden)
        add_gradient(gradient["hidden"], back, x)
    for name, layer in net.items():
        for row, speeds, slopes in zip(layer, velocity[name], gradient[name]):
            for i, slope in enumerate(slopes):
                speeds[i] = MOMENTUM * speeds[i] - RATE * slope / len(batch)
                row[i] += speeds[i]
    return loss


def accuracy(net, rows):
    hits = 0
    for x, y in rows:
        _, probabilities = forward(net, x)
        hits += probabilities.index(max(probabilities)) == y
    return hits / len(rows)


def main():
    rng = random.Random(SEED)
    train, test = split(load(DATA), rng)
    means, spreads = scale_of(train)
    train, test = scaled(train, means, spreads), scaled(test, means, spreads)
    print(f"iris: {len(train)} flowers to train on, {len(test)} to test with")

    net = {"hidden": new_layer(4, HIDDEN, rng), "output": new_layer(HIDDEN, len(SPECIES), rng)}
    velocity = {name: [[0.0] * len(row) for row in layer] for name, layer in net.items()}
    for epoch in range(1, EPOCHS + 1):
        rng.shuffle(train)
        loss = sum(step(net, velocity, train[i : i + BATCH]) for i in range(0, len(train), BATCH))
        if epoch == 1 or epoch % 20 == 0:
            print(f"epoch {epoch:3d}  loss {loss / len(train):.4f}")

    result = accuracy(net, test)
    print(f"test accuracy {result:.3f}")
    MODEL.write_text(json.dumps({"species": SPECIES, "means": means, "spreads": spreads, **net}, indent=1) + "\n")
    print(f"wrote {MODEL}")
    return 0 if result >= WANTED_ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
