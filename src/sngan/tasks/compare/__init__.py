"""Methods compared on one data set: a plan of runs, their execution, one table, one page."""

from sngan.tasks.compare.job import compare as compare
from sngan.tasks.compare.planning import SETTINGS as SETTINGS
from sngan.tasks.compare.planning import Planned as Planned
from sngan.tasks.compare.planning import Setting as Setting
from sngan.tasks.compare.planning import plan as plan
from sngan.tasks.compare.summary import Comparison as Comparison
