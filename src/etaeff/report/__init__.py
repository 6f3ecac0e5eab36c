"""Reports: the rows of a finished study as figures and one HTML file that opens offline.

A figure is `…_rows(frames)`, which makes a frame, then `…_figure(rows)`, which draws it. Loads
no torch, and the packages of the extra `report` only when something is drawn.
"""

from etaeff.report._audit import write_audit
from etaeff.report._report import check_extras, write_report
from etaeff.report._trajectory import write_trajectory

__all__ = ["check_extras", "write_audit", "write_report", "write_trajectory"]
