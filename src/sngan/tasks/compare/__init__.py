"""Methods compared on one data set: a plan of runs, their execution, one table, one page."""

from sngan.tasks.compare.comparison import compare as compare
from sngan.tasks.compare.summary import Comparison as Comparison
from sngan.tasks.compare.trials import SETTINGS as SETTINGS
from sngan.tasks.compare.trials import Setting as Setting
from sngan.tasks.compare.trials import Trial as Trial
from sngan.tasks.compare.trials import plan as plan
