"""Latency, throughput and cost of each model in its runtime, measured in turns in processes of their own.

cli → run (which models, which inputs) → turns (whose block comes when) → process and worker (a model that stays open)
→ figures (percentiles, ratios) → screen. `baseline` compares with an earlier run.
"""
