"""Health of a run: findings such as ``collapse``, as pure functions of its records and settings.

Start at ``diagnosis.py``. Each other file has the findings of one family.
"""

from sngan.health.diagnosis import FINDINGS as FINDINGS
from sngan.health.diagnosis import Diagnosis as Diagnosis
from sngan.health.diagnosis import diagnose as diagnose
from sngan.health.finding import Finding as Finding
from sngan.health.finding import Unjudged as Unjudged
from sngan.health.history import History as History

__all__ = [
    "FINDINGS",
    "Diagnosis",
    "Finding",
    "History",
    "Unjudged",
    "diagnose",
]
