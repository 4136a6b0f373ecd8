"""What a training does unless it is asked for more: numbers alone, read without PyTorch."""

JUDGED = 50
"""How often it is judged at most: at the ends of epochs, spread evenly."""

TEMPERATURE, TEACHER_WEIGHT = 2.0, 0.5
"""By which a teacher's decisions are softened, and their share of the loss."""
