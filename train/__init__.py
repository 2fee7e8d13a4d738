"""Training: corpora, simulated spinners, aligned pairs and the models (`python -m train`). Never installed."""
