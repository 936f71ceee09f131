"""Monitors for deployed models.

Data quality, model quality, bias, feature attribution, and the ground-truth merge.

One implementation, run three ways: by local AWS under the names of AWS's managed images, as a plain
processing job on any maintained image (``python3 <code>/monitoring analyzer``), and as functions in a test.

Arrows point one way::

    __main__ -> jobs                                    the command: environment, paths, exit message
    jobs -> analyzer, merge, clarify, baseline          one container contract each
    analyzer -> data_quality, model_quality -> tables -> capture -> sources
    clarify -> bias, attribution, predictor
    baseline -> all four kinds in one job
    data_quality -> checks, drift -> profile -> sketch
    report_page -> charts                               the page a person reads
"""
